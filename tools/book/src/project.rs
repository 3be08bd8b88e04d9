//! Where things are: the book's folder and what the tool keeps in it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::file;

/// The folder that holds `book.toml`, `src/` and `listings/`.
#[derive(Clone, Debug, Serialize, Deserialize)]
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

    /// The same folder, made if it is not there, without what killed runs have left in it.
    pub fn make_state(&self) -> Result<PathBuf> {
        let state = self.state();
        fs::create_dir_all(&state).with_context(|| format!("cannot make {}", state.display()))?;
        remove_leftovers(&state, is_gone);
        Ok(state)
    }

    /// `path` as a reader would name it: relative to the project if it is inside.
    pub fn relative<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}

/// Whether nobody has this number; somebody else's process counts, though it may not be killed.
fn is_gone(process: u32) -> bool {
    let process = rustix::process::Pid::from_raw(process as i32);
    process.map(rustix::process::test_kill_process) == Some(Err(Errno::SRCH))
}

/// Removes the folders in `state` of processes that have been killed, as `is_gone` tells.
pub fn remove_leftovers(state: &Path, is_gone: impl Fn(u32) -> bool) {
    let Ok(entries) = fs::read_dir(state) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let mut parts = name.split('-');
        if !matches!(parts.next(), Some("stage" | "jobs")) {
            continue;
        }
        let process = parts.next().and_then(|number| number.parse().ok());
        if process.is_some_and(&is_gone) {
            let _ = file::remove_folder(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_has_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project {
            root: folder.path().into(),
        };
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        let left = project.state().join(format!("jobs-{}-x", ended.id()));
        let used = project
            .state()
            .join(format!("jobs-{}-x", std::process::id()));
        let other = project.state().join("results");
        for folder in [&left, &used, &other] {
            fs::create_dir_all(folder).unwrap();
        }
        project.make_state().unwrap();
        assert!(!left.exists() && used.exists() && other.exists());
    }
}
