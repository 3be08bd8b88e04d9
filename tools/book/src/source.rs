//! A chapter's file, and where in it something stands. mdBook hands over chapters whose includes have been filled in, so a position
//! in one of them says nothing about lines of the file.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::project::Project;

/// The file of a chapter.
pub struct Source {
    /// As a reader would name it: `src/echo.md`.
    name: String,
    pub path: PathBuf,
    pub text: String,
}

impl Source {
    pub fn read(project: &Project, path: &Path) -> Result<Source> {
        let name = project.relative(path).display().to_string();
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
        Ok(Source {
            name,
            path: path.into(),
            text,
        })
    }

    /// The folder that the chapter's relative paths start from.
    pub fn folder(&self) -> PathBuf {
        self.path.parent().map(PathBuf::from).unwrap_or_default()
    }

    /// The byte `position` of this file as `src/echo.md:12`.
    pub fn at(&self, position: usize) -> String {
        let line = self.text[..position].matches('\n').count() + 1;
        format!("{}:{line}", self.name)
    }

    /// The same for a position in `content`, which is this file with its includes filled in. What stands there is looked for in
    /// the file: if it stands there more than once, as often as before it in `content`.
    pub fn locate(&self, content: &str, position: usize) -> String {
        let line = content[position..].lines().next().unwrap_or_default();
        let before = content[..position].matches(line).count();
        match self.text.match_indices(line).nth(before) {
            Some((position, _)) if !line.is_empty() => self.at(position),
            _ => format!("{} (in a file that it includes)", self.name),
        }
    }
}
