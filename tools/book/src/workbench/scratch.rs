//! A listing with a reader's changes, compiled apart from the checkout.
//!
//! There is one such copy for each listing, and dependencies are compiled once for all: only what has changed is compiled again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::listing::Listing;
use crate::process;
use crate::project::Project;

/// Bytes that a changed file may have.
const FILE: usize = 128 * 1024;

/// What the compiler has to say about one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// `src/bin/server.rs`
    pub file: String,
    /// Both count from 1.
    pub line: u32,
    pub column: u32,
    pub end_line: u32,
    pub end_column: u32,
    /// `error` or `warning`
    pub level: String,
    pub message: String,
    /// All of it, as a terminal would show it, with its suggestions.
    pub rendered: String,
}

/// Where the programs are, or why there are none.
pub struct Compiled {
    pub programs: Option<PathBuf>,
    pub diagnostics: Vec<Diagnostic>,
}

/// Fails unless each of `changes` is another text for one of the listing's own source files: the browser says no path, it names one.
pub fn check(listing: &Listing, changes: &BTreeMap<String, String>) -> Result<()> {
    let known = listing.rust_files()?;
    for (name, text) in changes {
        ensure!(known.contains(name), "{} has no file {name:?}", listing.name);
        ensure!(text.len() <= FILE, "{name:?} has more than {} KiB", FILE / 1024);
    }
    Ok(())
}

/// Compiles `listing` with `changes`, which have been checked, into a folder of `programs` of their own.
pub fn compile(
    project: &Project,
    listing: &Listing,
    changes: &BTreeMap<String, String>,
    programs: &Path,
) -> Result<Compiled> {
    let scratch = project.state().join("scratch");
    fs::create_dir_all(&scratch)?;
    // One after another: they share what has been compiled.
    let lock = File::create(scratch.join("lock"))?;
    lock.lock().context("cannot lock the scratch folder")?;

    let copy = scratch.join(&listing.name);
    // Of an earlier change nothing is to stay.
    if copy.exists() {
        fs::remove_dir_all(&copy)?;
    }
    for file in listing.source_files()? {
        let target = copy.join(&file);
        fs::create_dir_all(target.parent().context("a file without a folder")?)?;
        match changes.get(&file) {
            Some(text) => fs::write(&target, text)?,
            None => drop(fs::copy(listing.folder.join(&file), &target)?),
        }
    }
    // It is a workspace of its own, with the versions of the book's.
    let manifest = copy.join("Cargo.toml");
    let text = fs::read_to_string(&manifest)? + "\n[workspace]\n";
    fs::write(&manifest, text)?;
    fs::copy(project.root.join("Cargo.lock"), copy.join("Cargo.lock"))?;

    let mut cargo = Command::new(crate::compile::cargo());
    cargo
        .args(["build", "--offline", "--bins", "--message-format=json"])
        .arg("--manifest-path")
        .arg(&manifest)
        .arg("--target-dir")
        .arg(scratch.join("target"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    process::die_with_parent(&mut cargo);
    let mut child = cargo.spawn().context("cannot start cargo")?;
    let messages = BufReader::new(child.stdout.take().context("cargo has no output")?);
    let mut diagnostics = Vec::new();
    let mut executables = Vec::new();
    for line in messages.lines() {
        match serde_json::from_str(&line?) {
            Ok(Message::CompilerMessage { message }) => diagnostics.extend(message.diagnostic()),
            Ok(Message::CompilerArtifact { target, executable: Some(path) }) => {
                executables.push((target.name, path));
            }
            _ => {}
        }
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        ensure!(
            !diagnostics.is_empty(),
            "cargo cannot compile it: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        return Ok(Compiled { programs: None, diagnostics });
    }
    fs::create_dir_all(programs)?;
    for (name, path) in executables {
        fs::copy(path, programs.join(name))?;
    }
    Ok(Compiled { programs: Some(programs.into()), diagnostics })
}

/// What cargo says.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", tag = "reason")]
enum Message {
    CompilerMessage { message: CompilerMessage },
    CompilerArtifact { target: Target, executable: Option<PathBuf> },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Deserialize)]
struct CompilerMessage {
    message: String,
    level: String,
    spans: Vec<Span>,
    rendered: Option<String>,
}

#[derive(Deserialize)]
struct Span {
    file_name: String,
    line_start: u32,
    line_end: u32,
    column_start: u32,
    column_end: u32,
    is_primary: bool,
}

impl CompilerMessage {
    /// None if it is about no place, as the summary at the end is.
    fn diagnostic(self) -> Option<Diagnostic> {
        let span = self.spans.into_iter().find(|span| span.is_primary)?;
        Some(Diagnostic {
            file: span.file_name,
            line: span.line_start,
            column: span.column_start,
            end_line: span.line_end,
            end_column: span.column_end,
            level: self.level,
            message: self.message,
            rendered: self.rendered.unwrap_or_default(),
        })
    }
}
