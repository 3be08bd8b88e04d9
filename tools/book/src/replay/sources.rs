//! The lines of the listings that made the calls, and those around them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::replay::label;
use crate::steps::{Event, Step};
use crate::text;

/// How many lines are shown above a lit one, and below.
const AROUND: u32 = 2;

/// An excerpt, folded, of each file in which a line is lit, in the order in which they come up. It is no `code`, since mdBook would
/// add a copy button, which copies the numbers as well, and highlighting, which may replace the lines' elements.
pub fn write(page: &mut String, steps: &[Step], sources: &BTreeMap<String, String>) {
    let mut files: Vec<(&str, BTreeSet<u32>)> = Vec::new();
    for step in steps {
        let (Event::Call(call) | Event::Begin(call) | Event::Return(call)) = step.event else {
            continue;
        };
        let Some(source) = &call.source else {
            continue;
        };
        match files.iter_mut().find(|(file, _)| *file == source.file) {
            Some((_, lit)) => drop(lit.insert(source.line)),
            None => files.push((&source.file, BTreeSet::from([source.line]))),
        }
    }
    page.push_str("<div class=\"sources\">\n");
    for (file, lit) in &files {
        let Some(source) = sources.get(*file) else {
            continue;
        };
        excerpt(page, file, source, lit);
    }
    page.push_str("</div>\n");
}

/// The `lit` lines of `source`, the first one being 1, and those around them.
fn excerpt(page: &mut String, file: &str, source: &str, lit: &BTreeSet<u32>) {
    let file = text::html(&label::plain(file));
    let _ = write!(
        page,
        "<details class=\"source\" data-file=\"{file}\"><summary><code>{file}</code></summary><pre tabindex=\"0\">"
    );
    let is_shown = |number: u32| {
        let around = number.saturating_sub(AROUND)..=number.saturating_add(AROUND);
        lit.range(around).next().is_some()
    };
    let mut last = None;
    for (number, line) in (1..).zip(source.lines()) {
        if is_anchor(line) {
            last = last.map(|last| if last + 1 == number { number } else { last });
            continue;
        }
        if !is_shown(number) {
            continue;
        }
        if last.is_some_and(|last| last + 1 != number) {
            page.push_str("<span class=\"gap\">⋮\n</span>");
        }
        last = Some(number);
        let line = text::readable(line.as_bytes());
        let _ = write!(
            page,
            "<span class=\"line\" data-line=\"{number}\"><span class=\"number\">{number}</span>{}\n</span>",
            text::html(&line)
        );
    }
    page.push_str("</pre></details>\n");
}

/// Whether a line is there for mdBook only, which leaves it out wherever it shows the file.
fn is_anchor(line: &str) -> bool {
    line.contains("ANCHOR: ") || line.contains("ANCHOR_END: ")
}
