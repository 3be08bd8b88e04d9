//! Where things are: the book's folder and what the tool keeps in it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The folder that holds `book.toml`, `src/` and `listings/`.
#[derive(Clone, Debug)]
pub struct Project {
    pub root: PathBuf,
}

impl Project {
    /// The project that `folder` belongs to: the nearest folder upwards with a `book.toml`.
    pub fn around(folder: &Path) -> Result<Project> {
        let folder = folder
            .canonicalize()
            .with_context(|| format!("cannot find {}", folder.display()))?;
        match folder
            .ancestors()
            .find(|folder| folder.join("book.toml").is_file())
        {
            Some(root) => Ok(Project { root: root.into() }),
            None => bail!(
                "{} is not inside a book: neither it nor a folder above it has a book.toml",
                folder.display()
            ),
        }
    }

    /// The folder of all listings.
    pub fn listings(&self) -> PathBuf {
        self.root.join("listings")
    }

    /// What the tool keeps between two builds. `cargo clean` removes it.
    pub fn state(&self) -> PathBuf {
        self.root.join("target").join("book")
    }

    /// `path` as a reader would name it: relative to the project if it is inside.
    pub fn relative<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}
