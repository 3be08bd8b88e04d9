//! Compiles listings and puts their programs where scenes find them.
//!
//! Programs of different listings share names (`server`, `client`), and cargo links all programs of one name to one path
//! (<https://github.com/rust-lang/cargo/issues/6313>). So the listings are compiled one after another, with their dependencies
//! shared, and each one's programs are moved to a folder of its own before the next.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::listing::Listing;
use crate::process;
use crate::project::Project;

/// Where the program `name` of `listing` is once it has been compiled.
pub fn program(project: &Project, listing: &Listing, name: &str) -> PathBuf {
    project
        .state()
        .join("programs")
        .join(&listing.name)
        .join(name)
}

/// Compiles `listing`; cargo's progress and errors go to the terminal.
pub fn compile(project: &Project, listing: &Listing) -> Result<()> {
    fs::create_dir_all(project.state())?;
    // Between cargo and the copy below nobody else may compile: two builds can run at once.
    let lock = File::create(project.state().join("compile.lock"))?;
    lock.lock().context("cannot lock the folder of programs")?;

    // In the reader's own environment: a proxy, say, is needed to fetch a listing's dependencies.
    let mut cargo = Command::new(cargo());
    cargo
        .args([
            "build",
            "--bins",
            "--message-format=json-render-diagnostics",
            "--package",
        ])
        .arg(&listing.name)
        .arg("--manifest-path")
        .arg(project.root.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(project.state().join("listings"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
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
    for (name, executable) in &programs {
        put(executable, &program(project, listing, name))?;
    }
    Ok(())
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
fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or("cargo".into())
}
