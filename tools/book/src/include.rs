//! Includes are mdBook's business, but it leaves one that it cannot fill in on the page, takes a missing anchor for an empty one, and
//! shows the anchors of a file that is included whole.

use std::fs;
use std::sync::LazyLock;

use anyhow::{Error, anyhow};
use regex::Regex;

use crate::source::Source;

/// `{{#name argument}}`, with the backslash that would make it text.
static LINK: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\\?\{\{\s*#([\w-]+)([^}]*)\}\}").expect("the pattern is fixed and valid")
});

/// A line that marks the beginning or the end of an anchor in a program.
static ANCHOR: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?m)^[ \t]*// ANCHOR(_END)?: [\w-]+\r?\n").expect("the pattern is fixed and valid")
});

/// `chapter` without the lines that mark anchors.
pub fn without_anchors(chapter: &str) -> String {
    ANCHOR.replace_all(chapter, "").into_owned()
}

/// The includes in a chapter that mdBook could not fill in, by their position.
pub fn mistakes(source: &Source) -> Vec<(usize, Error)> {
    let mut mistakes = Vec::new();
    for link in LINK.captures_iter(&source.text) {
        let Some(whole) = link.get(0) else { continue };
        if whole.as_str().starts_with('\\') {
            continue;
        }
        let problem = match &link[1] {
            "include" | "rustdoc_include" | "playground" => check(source, link[2].trim()),
            "title" => None,
            other => Some(anyhow!(
                "mdBook has no `#{other}`; did you mean `#include`?"
            )),
        };
        mistakes.extend(problem.map(|problem| (whole.start(), problem)));
    }
    mistakes
}

/// The files that a chapter includes whole, in its order.
pub fn whole(source: &Source) -> impl Iterator<Item = &str> {
    let links = LINK.captures_iter(&source.text);
    links.filter_map(|link| {
        let (_, [name, argument]) = link.extract();
        let is_meant = !link[0].starts_with('\\') && name == "include";
        let path = argument.trim();
        (is_meant && !path.contains([':', ' '])).then_some(path)
    })
}

fn check(source: &Source, argument: &str) -> Option<Error> {
    let mut parts = argument.split_whitespace().next()?.splitn(2, ':');
    let (path, anchor) = (parts.next()?, parts.next().unwrap_or_default());
    let text = match fs::read_to_string(source.folder().join(path)) {
        Ok(text) => text,
        Err(error) => return Some(anyhow!("cannot include {path}: {error}")),
    };
    let is_range = anchor
        .chars()
        .all(|character| character.is_ascii_digit() || character == ':');
    let starts_here = |line: &str| {
        line.split_once("ANCHOR:")
            .is_some_and(|(_, name)| name.trim() == anchor)
    };
    if is_range || text.lines().any(starts_here) {
        return None;
    }
    Some(anyhow!("{path} has no anchor {anchor:?}"))
}
