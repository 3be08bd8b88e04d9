//! Compiles listings and puts their programs where scenes find them.
//!
//! Programs of different listings share names (`server`, `client`), and cargo links all programs of one name to one path
//! (<https://github.com/rust-lang/cargo/issues/6313>). So the listings are compiled one after another, with their dependencies
//! shared, and each one's programs are moved to a folder of its own before the next.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::listing::{Listing, hash_of_sources};
use crate::process;
use crate::project::Project;

/// How long programs are kept that have been compiled from sources which have changed since. No scene takes as long.
const KEPT: Duration = Duration::from_secs(1200);

/// What programs are compiled for, as cargo knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// To be compiled in little time.
    Dev,
    /// To run in little time.
    Release,
    /// To be watched: compiled as for [`Profile::Dev`], and each function says where its caller's frame is, without which strace's
    /// unwinder loses its way.
    Watched,
}

/// Where the programs of `listing` are once they have been compiled from these sources: a scene never meets those of others.
pub fn programs(project: &Project, listing: &Listing, profile: Profile) -> PathBuf {
    let folder = match profile {
        Profile::Dev => "programs",
        Profile::Release => "programs-release",
        Profile::Watched => "programs-watched",
    };
    let listings = project.state().join(folder).join(&listing.name);
    listings.join(&listing.sources)
}

/// The same for several listings, by their names.
pub fn programs_of_all<'a>(
    project: &Project,
    listings: impl Iterator<Item = &'a Listing>,
    profile: Profile,
) -> BTreeMap<String, PathBuf> {
    listings
        .map(|listing| (listing.name.clone(), programs(project, listing, profile)))
        .collect()
}

/// Compiles the programs of `listing`; cargo's progress and errors go to the terminal.
pub fn compile(project: &Project, listing: &Listing) -> Result<()> {
    compile_for(project, listing, Profile::Dev, ["--bins"])
}

/// Compiles the programs of `listing` to be watched.
pub fn compile_watched(project: &Project, listing: &Listing) -> Result<()> {
    compile_for(project, listing, Profile::Watched, ["--bins"])
}

/// Compiles some programs of `listing` to be fast, which takes a while for each.
pub fn compile_release<'a>(
    project: &Project,
    listing: &Listing,
    programs: impl IntoIterator<Item = &'a str>,
) -> Result<()> {
    let bins = programs.into_iter().flat_map(|name| ["--bin", name]);
    compile_for(project, listing, Profile::Release, bins)
}

fn compile_for<'a>(
    project: &Project,
    listing: &Listing,
    profile: Profile,
    bins: impl IntoIterator<Item = &'a str>,
) -> Result<()> {
    // Between cargo and the copy below nobody else may compile: two builds can run at once.
    let _lock = lock(project)?;

    // In the reader's own environment: a proxy, say, is needed to fetch a listing's dependencies.
    let mut cargo = Command::new(cargo());
    cargo
        .args(["build", "--message-format=json-render-diagnostics"])
        .args((profile == Profile::Release).then_some("--release"))
        .args(bins)
        .args(["--package", &listing.name])
        .arg("--manifest-path")
        .arg(project.root.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target(project))
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    if profile == Profile::Watched {
        cargo.env_remove("CARGO_ENCODED_RUSTFLAGS");
        cargo.env("RUSTFLAGS", "-Cforce-frame-pointers=yes");
    }
    process::die_with_parent(&mut cargo);
    let mut child = cargo.spawn().context("cannot start cargo")?;
    let messages = BufReader::new(child.stdout.take().context("cargo has no output")?);

    let mut programs = Vec::new();
    for line in messages.lines() {
        let line = line.context("cannot read what cargo says")?;
        if let Ok(Message {
            executable: Some(executable),
            target,
        }) = serde_json::from_str(&line)
        {
            programs.push((target.name, executable));
        }
    }
    let status = child.wait()?;
    ensure!(
        status.success(),
        "listings/{} does not compile; cargo has said why above",
        listing.name
    );
    ensure!(
        hash_of_sources(&listing.folder)? == listing.sources,
        "listings/{} has changed while the book was being built; build again",
        listing.name
    );
    let folder = self::programs(project, listing, profile);
    for (name, executable) in &programs {
        put(executable, &folder.join(name))?;
    }
    remove_old(&folder);
    Ok(())
}

/// Waits until nobody else compiles listings; nobody does while the file is held.
pub fn lock(project: &Project) -> Result<File> {
    fs::create_dir_all(project.state())?;
    let lock = File::create(project.state().join("compile.lock"))?;
    lock.lock().context("cannot lock the folder of programs")?;
    Ok(lock)
}

/// Where cargo compiles listings.
pub fn target(project: &Project) -> PathBuf {
    project.state().join("listings")
}

/// Removes programs that have been compiled from other sources of the same listing, some time ago.
fn remove_old(current: &Path) {
    let entries = current
        .parent()
        .and_then(|folder| fs::read_dir(folder).ok());
    for entry in entries.into_iter().flatten().flatten() {
        let age = entry.metadata().and_then(|metadata| metadata.modified());
        let age = age.ok().and_then(|modified| modified.elapsed().ok());
        if entry.path() != current && age.is_some_and(|age| age > KEPT) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// The part of cargo's messages that says where a program was put.
#[derive(Deserialize)]
struct Message {
    target: Target,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// Puts `source` at `target` in one step, since another build may be running what is there.
fn put(source: &Path, target: &Path) -> Result<()> {
    let Some(folder) = target.parent() else {
        bail!("{} has no folder", target.display());
    };
    fs::create_dir_all(folder)?;
    let temporary = tempfile::Builder::new()
        .prefix(".new-")
        .tempfile_in(folder)?;
    fs::copy(source, temporary.path())
        .and_then(|_| fs::set_permissions(temporary.path(), fs::metadata(source)?.permissions()))
        .with_context(|| format!("cannot copy {}", source.display()))?;
    // A program that is open for writing cannot be started; persisting closes it first.
    temporary.into_temp_path().persist(target)?;
    Ok(())
}

/// The cargo that started this tool, or the one on the path.
pub fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or("cargo".into())
}
