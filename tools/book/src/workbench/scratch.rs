//! A listing with a reader's changes, compiled apart from the checkout.
//!
//! The copy is there only while it is compiled. It is always in the same place, and a file that has not changed is as old as it was, so
//! that cargo compiles what has changed and nothing else; dependencies have been compiled with the book.

use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes};
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use similar::TextDiff;
use toml::Table;

use super::diagnostic::{Diagnostic, Message};
use crate::cache::hex;
use crate::compile;
use crate::file;
use crate::guard::{Job, Purpose};
use crate::listing::Listing;
use crate::project::Project;

/// Bytes that a changed file may have.
const FILE: usize = 128 * 1024;
/// Seconds that a compilation may take.
const DEADLINE: u64 = 120;
/// How long a difference may be made small.
const DIFF: Duration = Duration::from_millis(200);
/// Bytes that cargo may print.
const MESSAGES: usize = 4 << 20;

/// Other texts for files of a listing, by their names.
pub type Changes = BTreeMap<String, String>;

/// Fails unless each of `changes` is for one of the listing's own source files: a browser gives no path, it names one of these.
pub fn check(listing: &Listing, changes: &Changes) -> Result<()> {
    let known = listing.rust_files()?;
    for (name, text) in changes {
        ensure!(
            known.contains(name),
            "{} has no file {name:?}",
            listing.name
        );
        ensure!(
            text.len() <= FILE,
            "{name:?} has more than {} KiB",
            FILE / 1024
        );
    }
    Ok(())
}

/// `changes`, which have been checked, for `git apply` or `patch -p1`.
pub fn patch(project: &Project, listing: &Listing, changes: &Changes) -> Result<String> {
    let mut patch = String::new();
    for (name, text) in changes {
        let path = listing.folder.join(name);
        let old = fs::read_to_string(&path).with_context(|| format!("cannot read {name}"))?;
        let name = project.relative(&path).display().to_string();
        // A line ends with a line feed and with nothing else, as it does for git.
        let [old, new] = [&old, text].map(|text| text.split_inclusive('\n').collect::<Vec<_>>());
        let diff = TextDiff::configure()
            .newline_terminated(true)
            .timeout(DIFF)
            .diff_slices(&old, &new);
        let (old, new) = (format!("a/{name}"), format!("b/{name}"));
        patch += &diff.unified_diff().header(&old, &new).to_string();
    }
    Ok(patch)
}

/// Where copies are while they are compiled.
fn folder(project: &Project) -> PathBuf {
    project.state().join("scratch")
}

/// Removes a copy that nobody compiles any more.
pub fn remove_abandoned(project: &Project) -> Result<()> {
    let folder = folder(project);
    // Without one, nothing is to be made: the whole project may be gone.
    if !folder.exists() {
        return Ok(());
    }
    // Another tool may compile one there.
    let _lock = compile::lock(project)?;
    file::remove_folder(&folder).context("cannot remove a copy")
}

/// What is compiled, and where.
pub struct Scratch<'a> {
    pub project: &'a Project,
    pub listing: &'a Listing,
    pub changes: &'a Changes,
    /// The programs that are needed.
    pub programs: Vec<&'a str>,
    /// A folder that will be removed afterwards.
    pub folder: &'a Path,
}

/// What came of it.
pub struct Compiled {
    /// Where the programs are, if it compiles.
    pub programs: Option<PathBuf>,
    pub diagnostics: Vec<Diagnostic>,
}

impl Scratch<'_> {
    /// Compiles it: `run` runs a job under guard, and hands over what it prints on its stdout and stderr.
    pub fn compile(&self, run: impl FnOnce(&Job) -> Result<(Vec<u8>, String)>) -> Result<Compiled> {
        // One after another: they share the place, and cargo's folder with the book.
        let _lock = compile::lock(self.project)?;
        let copy = Copy::make(self)?;
        let files = self.listing.rust_files()?;
        let (said, complaint) = run(&self.job(&copy.folder)?)?;
        let mut diagnostics = Vec::new();
        let mut executables = Vec::new();
        let mut has_compiled = None;
        for line in said.lines() {
            match serde_json::from_str(&line?) {
                Ok(Message::Compiler { message }) => {
                    let found = message.diagnostic(&files);
                    // The same may be said for each program that a file is a part of.
                    diagnostics.extend(found.filter(|found| !diagnostics.contains(found)));
                }
                Ok(Message::Artifact {
                    target,
                    executable: Some(path),
                }) => executables.push((target.name, path)),
                Ok(Message::Finished { success }) => has_compiled = Some(success),
                _ => {}
            }
        }
        let is_explained = diagnostics.iter().any(|found| found.level == "error");
        match has_compiled {
            Some(true) => {}
            Some(false) if is_explained => {
                return Ok(Compiled {
                    programs: None,
                    diagnostics,
                });
            }
            _ => bail!(complaint),
        }
        let programs = self.folder.join("programs");
        fs::create_dir_all(&programs)?;
        for (name, path) in executables {
            fs::copy(path, programs.join(name)).context("cannot copy a program")?;
        }
        Ok(Compiled {
            programs: Some(programs),
            diagnostics,
        })
    }

    fn job(&self, copy: &Path) -> Result<Job> {
        let manifest = copy.join("Cargo.toml");
        let target = compile::target(self.project);
        let cargo = compile::cargo();
        let mut words = vec![
            cargo.to_str(),
            Some("build"),
            Some("--offline"),
            Some("--message-format=json"),
            Some("--manifest-path"),
            manifest.to_str(),
            Some("--target-dir"),
            target.to_str(),
        ];
        for program in &self.programs {
            words.extend([Some("--bin"), Some(program)]);
        }
        let words: Option<Vec<&str>> = words.into_iter().collect();
        Ok(Job {
            command: shlex::try_join(words.context("a path that is not UTF-8")?)?,
            deadline: DEADLINE,
            limit: MESSAGES,
            programs: BTreeMap::new(),
            purpose: Purpose::Live,
            alone: None,
            own: None,
            compiles: true,
            project: self.project.clone(),
            report: self.folder.join("compiled.json"),
            tool: std::process::id(),
        })
    }
}

/// The copy. It is removed when this is dropped.
struct Copy {
    folder: PathBuf,
}

/// What a file of a copy was when it was compiled last: cargo knows a change by a file's age.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Age {
    hash: String,
    since: SystemTime,
}

impl Copy {
    fn make(scratch: &Scratch) -> Result<Copy> {
        let Scratch {
            project,
            listing,
            changes,
            ..
        } = scratch;
        let all = folder(project);
        // It must be a folder of ours, not the way to another one.
        if all.is_symlink() {
            bail!("{} is a symbolic link", project.relative(&all).display());
        }
        fs::create_dir_all(&all)?;
        let copy = Copy {
            folder: all.join(&listing.name),
        };
        copy.remove()?;
        fs::create_dir(&copy.folder).context("cannot make a scratch folder")?;

        let record = project.state().join(format!("ages-{}.json", listing.name));
        let old = fs::read(&record).unwrap_or_default();
        let old: BTreeMap<String, Age> = serde_json::from_slice(&old).unwrap_or_default();
        let mut ages = BTreeMap::new();
        for name in listing.source_files()? {
            let text = match changes.get(&name) {
                Some(text) => text.clone().into_bytes(),
                None => fs::read(listing.folder.join(&name))
                    .with_context(|| format!("cannot read {name}"))?,
            };
            let text = match name.as_str() {
                "Cargo.toml" => manifest(project, text)?,
                _ => text,
            };
            let hash = hex(Sha256::digest(&text));
            let known = old.get(&name).filter(|age| age.hash == hash).cloned();
            let age = known.unwrap_or_else(|| Age {
                hash,
                since: SystemTime::now(),
            });
            copy.write(&name, &text, age.since)?;
            ages.insert(name, age);
        }
        // The versions of the book's dependencies.
        fs::copy(
            project.root.join("Cargo.lock"),
            copy.folder.join("Cargo.lock"),
        )?;
        fs::write(record, serde_json::to_vec(&ages)?)?;
        Ok(copy)
    }

    fn write(&self, name: &str, text: &[u8], since: SystemTime) -> Result<()> {
        let path = self.folder.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, text).with_context(|| format!("cannot write {name}"))?;
        let file = File::options().write(true).open(path)?;
        Ok(file.set_times(FileTimes::new().set_modified(since))?)
    }

    fn remove(&self) -> Result<()> {
        match fs::symlink_metadata(&self.folder) {
            Err(_) => Ok(()),
            Ok(found) if found.is_dir() => Ok(fs::remove_dir_all(&self.folder)?),
            Ok(_) => Ok(fs::remove_file(&self.folder)?),
        }
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // The next one removes what is left.
        let _ = self.remove();
        let _ = self.folder.parent().map(fs::remove_dir);
    }
}

/// A listing's manifest as that of a workspace of its own, which compiles as the book's does.
fn manifest(project: &Project, text: Vec<u8>) -> Result<Vec<u8>> {
    let mut manifest: Table = toml::from_str(&String::from_utf8(text)?)?;
    let book =
        fs::read_to_string(project.root.join("Cargo.toml")).context("cannot read Cargo.toml")?;
    let book: Table = toml::from_str(&book)?;
    manifest.insert("workspace".into(), Table::new().into());
    manifest.extend(
        book.get("profile")
            .map(|profile| ("profile".into(), profile.clone())),
    );
    Ok(toml::to_string(&manifest)?.into_bytes())
}
