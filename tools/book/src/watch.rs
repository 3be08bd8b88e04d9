//! Notices changes to the book's sources.

use std::path::{Component, Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use anyhow::{Context, Result};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::project::Project;

/// An editor's save is several events; so is a `git checkout`. They belong together if they come within this time.
const PAUSE: Duration = Duration::from_millis(50);

/// Watches the folders that pages are made from.
pub struct Watch {
    watcher: RecommendedWatcher,
    root: PathBuf,
    changes: Receiver<()>,
    /// For others who know of a reason to build again.
    pub sender: Sender<()>,
}

impl Watch {
    pub fn start(project: &Project) -> Result<Watch> {
        let (sender, changes) = mpsc::channel();
        let changed = sender.clone();
        let root = project.root.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if matters(&event, &root) {
                // Nobody waits any more when the server ends.
                let _ = changed.send(());
            }
        })?;
        let mut watch = Watch {
            watcher,
            root: project.root.clone(),
            changes,
            sender,
        };
        watch.watch_folders()?;
        Ok(watch)
    }

    /// Waits for a change, and until it is complete.
    pub fn wait(&mut self) -> Result<()> {
        self.changes.recv().context("nothing is watched any more")?;
        while self.changes.recv_timeout(PAUSE).is_ok() {}
        // A folder may have been replaced by another one of its name.
        self.watch_folders()
    }

    fn watch_folders(&mut self) -> Result<()> {
        // The root itself, for `book.toml` and `Cargo.lock`: an editor replaces a file, and a watch on it would be lost.
        self.watcher
            .watch(&self.root, RecursiveMode::NonRecursive)?;
        for name in ["src", "listings", "theme"] {
            let folder = self.root.join(name);
            if folder.exists() {
                self.watcher
                    .watch(&folder, RecursiveMode::Recursive)
                    .with_context(|| format!("cannot watch {name}"))?;
            }
        }
        Ok(())
    }
}

/// Whether an event can change a page. Reading a file is one too, and the build reads them all.
fn matters(event: &notify::Result<Event>, root: &Path) -> bool {
    let Ok(event) = event else { return true };
    !matches!(event.kind, EventKind::Access(_))
        && event
            .paths
            .iter()
            .any(|path| is_source(path.strip_prefix(root).unwrap_or(path)))
}

/// Not what cargo makes of a listing, or an editor while it saves.
fn is_source(path: &Path) -> bool {
    let made = path
        .components()
        .any(|part| part == Component::Normal("target".as_ref()));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    !made && !name.starts_with('.') && !name.ends_with('~') && name != "book"
}
