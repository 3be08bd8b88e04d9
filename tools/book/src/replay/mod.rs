//! Draws a story as HTML: the terminals, a picture in which time flows downward, the lit lines of the listings, and every step in
//! words. It is complete as it stands; `theme/replay.js` steps through it, and `theme/replay.css` says how it looks.
//!
//! mdBook reads it as one HTML block, which a blank line would end: there is none, whatever the story holds.

mod drawing;
mod label;
mod layout;
mod screens;
mod sources;
mod words;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result, ensure};

use crate::file;
use crate::markdown;
use crate::project::Project;
use crate::scene::{Cast, RecordedStory};
use crate::steps;
use crate::story::{Packet, Protocol, Story};
use crate::text;

/// How many bytes a listing's file may have.
const SOURCE_LIMIT: usize = 1024 * 1024;

/// A replay as a page shows it.
pub struct Replay {
    figure: String,
    /// The number of each step, by its name.
    pub steps: BTreeMap<String, usize>,
}

impl Replay {
    /// Draws a story that has been recorded of the scene of `cast`; `name` is what it has been recorded as.
    pub fn draw(
        name: &str,
        recorded: &RecordedStory,
        project: &Project,
        cast: &Cast,
    ) -> Result<Replay> {
        let story = &recorded.story;
        let mut sources = BTreeMap::new();
        for line in story.calls.iter().filter_map(|call| call.source.as_ref()) {
            if !sources.contains_key(&line.file) {
                let text = source(project, cast, &line.file)?;
                sources.insert(line.file.clone(), text);
            }
        }
        let provenance =
            markdown::provenance(&recorded.provenance, &recorded.again, &recorded.changed);
        let numbers = steps::steps(story).into_iter();
        Ok(Replay {
            figure: html(name, story, &sources, &provenance),
            steps: numbers.map(|step| (step.name, step.number)).collect(),
        })
    }

    /// As a part of a page; only an open one can be seen without being asked for.
    pub fn page(&self, is_open: bool) -> String {
        let open = if is_open { " open" } else { "" };
        format!(
            "<details class=\"replayed\"{open}>\n<summary>Replay: call by call, packet by packet</summary>\n{}</details>\n\n",
            self.figure
        )
    }
}

/// The text of a listing's file. A recording is a file like any other: it might name one that is none of its business.
fn source(project: &Project, cast: &Cast, file: &str) -> Result<String> {
    let is_own = cast.all().any(|listing| {
        let folder = format!("listings/{}/src/", listing.name);
        file.starts_with(&folder) && !file.contains("..")
    });
    ensure!(
        is_own,
        "the story names {file:?}, which is not in its listings"
    );
    file::read(&project.root.join(file), SOURCE_LIMIT)
        .with_context(|| format!("cannot read {file:?}"))
}

/// How to read the picture: of its shapes, those that it has.
fn caption(story: &Story) -> String {
    let mut caption = String::from(
        "Another run of the same scene. Time goes down, a row for each step, not to scale. A bar is a call, from its beginning to its return",
    );
    if story.calls.iter().any(|call| call.failed) {
        caption.push_str(", dashed and crossed if it fails");
    }
    if !story.packets.is_empty() {
        caption.push_str("; an arrow is a packet");
    }
    let is_thick = |packet: &Packet| packet.protocol == Protocol::Tcp && packet.length > 0;
    if story.packets.iter().any(is_thick) {
        caption.push_str(", thick if it carries data");
    }
    caption.push('.');
    caption
}

/// The replay of `story`, whose elements' ids begin with `id`. `sources` are the texts of its listings' files, by the names that the
/// story has for them; `provenance` is HTML that says where the story comes from.
fn html(id: &str, story: &Story, sources: &BTreeMap<String, String>, provenance: &str) -> String {
    let steps = steps::steps(story);
    let id = text::html(id);
    let mut page = String::with_capacity(1024 * steps.len());
    let _ = writeln!(
        page,
        "<figure class=\"replay\" id=\"{id}\">\n<figcaption>{}</figcaption>\n<div class=\"controls\"></div>",
        caption(story)
    );
    page.push_str("<div class=\"stage\">\n");
    drawing::write(&mut page, &id, story, &steps);
    page.push_str("<div class=\"side\">\n");
    screens::write(&mut page, story, &steps);
    sources::write(&mut page, &steps, sources);
    page.push_str("</div>\n</div>\n");
    words::write(&mut page, story, &steps);
    page.push_str(provenance.trim());
    page.push_str("\n</figure>\n");
    page
}
