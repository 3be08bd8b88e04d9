//! Recordings: what takes too long for a build, or needs a program that not every machine has, has been run once, by
//! `cargo book record`, and is kept with its listing. A build shows it, with where and when that was.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::file;
use crate::foreign;
use crate::lines;
use crate::listing::Listing;
use crate::machine;
use crate::measurement::{Definition, MeasuredRun};
use crate::scene::Words;
use crate::story::Story;
use crate::transcript::Transcript;

/// How many bytes a story may take up in its file.
const STORY_LIMIT: usize = 64 * 1024;

/// How many bytes any recording may have.
const LIMIT: usize = 1024 * 1024;

/// The version of the files' format.
const VERSION: u32 = 1;

/// The file `recordings/NAME.json` of a listing.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    version: u32,
    pub provenance: Provenance,
    pub content: Content,
}

/// What has been recorded, and what was asked for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Content {
    Scene {
        words: Words,
        terminals: Vec<Transcript>,
    },
    Measurement {
        definition: Definition,
        runs: Vec<MeasuredRun>,
    },
    Story {
        words: Words,
        story: Story,
    },
}

/// Where and when something has been recorded.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// `2026-11-22`
    pub date: String,
    pub kernel: String,
    pub cpu: String,
    pub cores: usize,
    /// Those of the compiler, and of the programs that are not ours.
    pub versions: BTreeMap<String, String>,
    /// The listings' sources, as [`Listing::sources`] has them.
    pub sources: BTreeMap<String, String>,
}

/// The name of a recording, from which that of its file is made.
pub fn name(text: &str) -> Result<String> {
    let is_fine = |character: char| matches!(character, 'a'..='z' | '0'..='9' | '-');
    ensure!(
        text.chars().all(is_fine) && text.starts_with(|first: char| first.is_ascii_lowercase()),
        "a name begins with a letter from a to z, and has only those, digits and hyphens in it"
    );
    Ok(text.into())
}

/// The command that makes a recording.
pub fn command(listing: &str, name: &str) -> String {
    format!("cargo book record {listing} {name}")
}

/// Where a recording is, as a reader would name it.
pub fn shown(listing: &str, name: &str) -> String {
    format!("listings/{listing}/recordings/{name}.json")
}

/// The file of a recording.
fn path(listing: &Listing, name: &str) -> PathBuf {
    listing
        .folder
        .join("recordings")
        .join(format!("{name}.json"))
}

impl Recording {
    pub fn new(provenance: Provenance, content: Content) -> Recording {
        Recording {
            version: VERSION,
            provenance,
            content,
        }
    }

    /// Reads the recording `name` of `listing`. The error says how to make it.
    pub fn load(listing: &Listing, name: &str) -> Result<Recording> {
        let shown = shown(&listing.name, name);
        let again = command(&listing.name, name);
        let text = match file::read(&path(listing, name), LIMIT) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                bail!("there is no {shown}; `{again}` makes it");
            }
            other => other.with_context(|| format!("cannot read {shown}"))?,
        };
        let recording: Recording = serde_json::from_str(&text)
            .with_context(|| format!("cannot understand {shown}; `{again}` makes it anew"))?;
        ensure!(
            recording.version == VERSION,
            "{shown} is of another version of this tool; `{again}` makes it anew"
        );
        if let Content::Story { story, .. } = &recording.content {
            recording
                .check_length(text.len())
                .and_then(|()| story.check())
                .with_context(|| format!("{shown} is damaged; `{again}` makes it anew"))?;
        }
        Ok(recording)
    }

    /// Fails if it is too long to be read again, having `length` bytes as JSON.
    fn check_length(&self, length: usize) -> Result<()> {
        let (what, limit) = match self.content {
            Content::Story { .. } => ("story", STORY_LIMIT),
            _ => ("recording", LIMIT),
        };
        ensure!(
            length <= limit,
            "the {what} is too long: {} KiB of JSON, and {} KiB are allowed",
            length / 1024,
            limit / 1024
        );
        Ok(())
    }

    /// Writes it, in one step: whoever reads it at the same time sees the old one or the new one.
    pub fn store(&self, listing: &Listing, name: &str) -> Result<()> {
        let path = path(listing, name);
        let text = lines::json(self)?;
        self.check_length(text.len())?;
        let write = || {
            let folder = path.parent().context("it has no folder")?;
            fs::create_dir_all(folder)?;
            let mut file = tempfile::Builder::new()
                .prefix(".new-")
                .permissions(Permissions::from_mode(0o666))
                .tempfile_in(folder)?;
            file.write_all(text.as_bytes())?;
            file.persist(&path)?;
            anyhow::Ok(())
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }
}

impl Provenance {
    /// Here and now; `foreign` are the programs used that no listing has.
    pub fn here<'a>(
        listings: impl Iterator<Item = &'a Listing>,
        foreign: impl IntoIterator<Item = &'a str>,
    ) -> Provenance {
        let programs = ["rustc"].into_iter().chain(foreign);
        Provenance {
            date: machine::date(),
            kernel: machine::kernel(),
            cpu: machine::cpu(),
            cores: machine::cores(),
            versions: programs
                .filter_map(|name| Some((name.to_owned(), foreign::version(name)?)))
                .collect(),
            sources: listings
                .map(|listing| (listing.name.clone(), listing.sources.clone()))
                .collect(),
        }
    }

    /// The day as a sentence has it: `22 November 2026`.
    pub fn date(&self) -> String {
        match self.date.parse::<Date>() {
            Ok(date) => date.strftime("%-d %B %Y").to_string(),
            Err(_) => self.date.clone(),
        }
    }

    /// The listings that have changed since.
    pub fn changed<'a>(&self, listings: impl Iterator<Item = &'a Listing>) -> Vec<String> {
        listings
            .filter(|listing| self.sources.get(&listing.name) != Some(&listing.sources))
            .map(|listing| format!("The listing {}", listing.name))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_lead_to_another_folder() {
        assert!(name("ab-echo2").is_ok());
        for wrong in ["", "../x", "a/b", "A", "-a", "a b", "a.b"] {
            assert!(name(wrong).is_err(), "{wrong:?}");
        }
    }
}
