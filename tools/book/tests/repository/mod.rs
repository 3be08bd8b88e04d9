//! This repository, as the tests of the real book and of its listings see it.

#![allow(dead_code)] // each test program uses a part

use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// The folder that holds `book.toml`.
pub fn root() -> PathBuf {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR"));
    tool.ancestors()
        .nth(2)
        .expect("the tool is two folders down")
        .into()
}

/// The text of a file, named from the root.
pub fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The chapters that `SUMMARY.md` names, in its order, without `.md`.
pub fn chapters() -> Vec<String> {
    let link = Regex::new(r"\]\((?:\./)?([^)]+)\.md\)").expect("a valid pattern");
    let summary = read("src/SUMMARY.md");
    let chapters: Vec<String> = link
        .captures_iter(&summary)
        .map(|link| link[1].to_owned())
        .collect();
    assert!(!chapters.is_empty(), "SUMMARY.md names no chapter");
    chapters
}

/// The names of all listings, sorted.
pub fn listings() -> Vec<String> {
    let folder = root().join("listings");
    let mut listings = names(&folder);
    listings.retain(|name| folder.join(name).is_dir());
    assert!(!listings.is_empty(), "there is no listing");
    listings
}

/// The programs of a listing, sorted.
pub fn programs(listing: &str) -> Vec<String> {
    let folder = root().join("listings").join(listing).join("src/bin");
    let mut programs = names(&folder);
    for program in &mut programs {
        *program = program
            .strip_suffix(".rs")
            .unwrap_or_else(|| panic!("{program} of {listing} is not a .rs file"))
            .to_owned();
    }
    assert!(!programs.is_empty(), "{listing} has no program");
    programs
}

/// The manifest of a listing.
pub fn manifest(listing: &str) -> toml::Table {
    let text = read(format!("listings/{listing}/Cargo.toml"));
    toml::from_str(&text).unwrap_or_else(|error| panic!("{listing}: {error}"))
}

/// The names of what is in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<String> = entries
        .map(|entry| {
            let name = entry.expect("an entry of the folder").file_name();
            name.into_string().expect("a name in UTF-8")
        })
        .collect();
    names.sort();
    names
}

/// Puts a copy of `from` at `to`, without what git does not keep.
pub fn copy(from: &Path, to: &Path) {
    let entries = walkdir::WalkDir::new(from)
        .into_iter()
        .filter_entry(|entry| {
            let made = matches!(
                entry.file_name().to_str(),
                Some(".git" | "target" | "node_modules")
            );
            // `book` is where the pages go; `tools/book` is the tool.
            !made && (entry.depth() != 1 || entry.file_name() != "book")
        });
    for entry in entries {
        let entry = entry.expect("an entry of the folder");
        let path = entry.path();
        let target = to.join(path.strip_prefix(from).expect("a path inside"));
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target).expect("a new folder");
        } else {
            fs::copy(path, &target).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
}
