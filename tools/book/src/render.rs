//! Builds the book: in a folder apart, which then takes the place of the old one. A build that fails changes nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use mdbook_driver::MDBook;
use mdbook_driver::config::{Config, HtmlConfig};

use crate::bridge::Bridge;
use crate::late::Late;
use crate::project::Project;
use crate::warnings;
use crate::workbench::Workbench;

/// What can be asked of a build.
pub struct Render {
    pub project: Project,
    /// This program.
    pub tool: PathBuf,
    /// Whether every scene runs again.
    pub fresh: bool,
    /// Where pages find the WebSocket that tells them to reload, if they are served with one.
    pub live_reload: Option<String>,
    /// Where slow scenes go; none if pages wait for all of them.
    pub late: Option<Arc<Late>>,
    /// How long pages wait for their scenes before that.
    pub patience: Duration,
    /// Where readers run the scenes of the pages, if they can.
    pub workbench: Option<Arc<Workbench>>,
}

impl Render {
    /// Builds the book and puts it at `destination`.
    pub fn render(&self, destination: &Path) -> Result<()> {
        check_destination(destination)?;
        let state = self.project.make_state()?;
        let stage = tempfile::Builder::new()
            .prefix(&format!("stage-{}-", std::process::id()))
            .tempdir_in(&state)
            .context("cannot make a folder for the pages")?;
        let pages = stage.path().join("pages");

        let mut config = config(&self.project)?;
        config.build.build_dir = pages.clone();
        if let Some(endpoint) = &self.live_reload {
            config.set("output.html.live-reload-endpoint", endpoint)?;
            config.set("output.html.site-url", "/")?;
        }
        if self.workbench.is_some() {
            for (kind, file) in [("css", "theme/workbench.css"), ("js", "theme/workbench.js")] {
                let key = format!("output.html.additional-{kind}");
                let mut files: Vec<PathBuf> = config.get(&key)?.unwrap_or_default();
                files.push(file.into());
                config.set(&key, files)?;
            }
        }
        warnings::forget();
        let mut book = MDBook::load_with_config(&self.project.root, config)?;
        // It takes the place of the command that book.toml names, which stock mdBook would start.
        book.with_preprocessor(Bridge {
            project: self.project.clone(),
            tool: self.tool.clone(),
            fresh: self.fresh,
            late: self.late.clone(),
            patience: self.patience,
            workbench: self.workbench.clone(),
        });
        book.build()?;
        warnings::fail_if_any()?;
        publish(&pages, destination, stage.path())
    }
}

/// What `book.toml` says.
fn config(project: &Project) -> Result<Config> {
    let read = || {
        let config = Config::from_disk(project.root.join("book.toml"))?;
        // mdBook itself would go on with its defaults.
        config.get::<HtmlConfig>("output.html")?;
        Ok(config)
    };
    read().map_err(|error: anyhow::Error| error.context("cannot understand book.toml"))
}

/// Only a book may be replaced: `--dest-dir ~` must not cost anybody a home.
fn check_destination(destination: &Path) -> Result<()> {
    match fs::read_dir(destination) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => {
            Err(error).with_context(|| format!("cannot write to {}", destination.display()))
        }
        Ok(mut entries) => {
            let is_book =
                destination.join(".nojekyll").exists() && destination.join("404.html").exists();
            ensure!(
                is_book || entries.next().is_none(),
                "{} is not empty and does not hold a book; choose another folder, or empty it",
                destination.display()
            );
            Ok(())
        }
    }
}

/// Puts `pages` at `destination`; what was there goes to `stage`, which is removed afterwards.
fn publish(pages: &Path, destination: &Path, stage: &Path) -> Result<()> {
    if let Some(parent) = destination.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    match exchange(pages, destination, &stage.join("old")) {
        Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {
            let near = tempfile::Builder::new()
                .prefix(".book-")
                .tempdir_in(destination.parent().unwrap_or(Path::new(".")))?;
            let copied = near.path().join("pages");
            copy(pages, &copied)?;
            exchange(&copied, destination, &near.path().join("old"))
        }
        other => other,
    }
    .with_context(|| format!("cannot put the pages at {}", destination.display()))
}

/// Moves what is hidden, and so none of mdBook's, from the old pages to the new ones: a book may be kept under version control.
fn keep_hidden(old: &Path, new: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(old)? {
        let name = entry?.file_name();
        if name.as_encoded_bytes().starts_with(b".") && !new.join(&name).exists() {
            fs::rename(old.join(&name), new.join(&name))?;
        }
    }
    Ok(())
}

/// Renames `pages` to `destination`, and what was there to `old`.
fn exchange(pages: &Path, destination: &Path, old: &Path) -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        // In one step: nobody ever sees no book.
        if renameat_with(CWD, pages, CWD, destination, RenameFlags::EXCHANGE).is_ok() {
            return keep_hidden(pages, destination);
        }
    }
    if destination.exists() {
        fs::rename(destination, old)?;
    }
    fs::rename(pages, destination).inspect_err(|_| {
        let _ = fs::rename(old, destination);
    })?;
    if old.exists() {
        keep_hidden(old, destination)?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry?;
        let target = to.join(entry.path().strip_prefix(from)?);
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// `book build`: builds into `destination`, or where book.toml says.
pub fn build(render: &Render, destination: Option<PathBuf>) -> Result<()> {
    let destination = match destination {
        Some(folder) => std::path::absolute(folder)?,
        None => render
            .project
            .root
            .join(config(&render.project)?.build.build_dir),
    };
    // A link stays one: it is what it leads to that is replaced.
    let destination = destination.canonicalize().unwrap_or(destination);
    if destination == render.project.root || render.project.root.starts_with(&destination) {
        bail!("{} holds the book's sources", destination.display());
    }
    let start = std::time::Instant::now();
    render.render(&destination)?;
    let shown = render.project.relative(&destination).display();
    eprintln!(
        "the book is in {shown} ({:.1} s)",
        start.elapsed().as_secs_f64()
    );
    Ok(())
}
