//! The listings as a reader takes them along: each copied out alone, where nothing of this workspace is there to help.

mod repository;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use regex::Regex;
use tempfile::TempDir;
use toml::{Table, Value};

/// How long a program may take to refuse its arguments, on a machine that is busy with something else.
const DEADLINE: Duration = Duration::from_secs(30);

/// The programs for which any text can be an argument: a message.
const TAKES_TEXT: [(&str, &str); 2] = [("echo", "client"), ("http", "raw")];

/// A listing, copied to an empty folder. There is one copy at a time.
struct Copy {
    listing: String,
    folder: TempDir,
    /// Where cargo puts what it makes. It is kept between two runs: dependencies take a while.
    target: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

impl Copy {
    fn of(listing: &str) -> Copy {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let source = repository::root().join("listings").join(listing);
        repository::copy(&source, folder.path());
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("listings");
        Copy {
            listing: listing.into(),
            folder,
            target: target.join(listing),
            _alone: alone,
        }
    }

    /// Runs cargo there. What it says, if it fails.
    fn cargo(&self, arguments: &[&str]) -> Option<String> {
        self.cargo_to(&self.target, arguments)
    }

    fn cargo_to(&self, target: &Path, arguments: &[&str]) -> Option<String> {
        let output = Command::new(env!("CARGO"))
            .args(arguments)
            .args(["--offline", "--target-dir"])
            .arg(target)
            .current_dir(self.folder.path())
            .output()
            .expect("cargo starts");
        let said = [output.stdout, output.stderr].concat();
        (!output.status.success()).then(|| String::from_utf8_lossy(&said).into_owned())
    }
}

impl Drop for Copy {
    /// To cargo, the next copy will be another package, since it is in another folder: what was made of this one is of no use.
    fn drop(&mut self) {
        let targets = [&self.target, &self.target.join("tmp").join(&self.listing)];
        for target in targets {
            self.cargo_to(target, &["clean", "--package", &self.listing]);
        }
    }
}

#[track_caller]
fn assert_none(mistakes: Vec<String>) {
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
}

/// The mistakes in all listings.
fn in_each(mut check: impl FnMut(&str) -> Vec<String>) -> Vec<String> {
    let check = |listing: &String| {
        let mistakes = check(listing).into_iter();
        let mistakes = mistakes.map(|mistake| format!("{listing}: {mistake}"));
        mistakes.collect::<Vec<_>>()
    };
    repository::listings().iter().flat_map(check).collect()
}

#[test]
fn a_listing_that_is_copied_out_builds_and_passes_its_tests() {
    assert_none(in_each(|listing| {
        let copy = Copy::of(listing);
        copy.cargo(&["test"]).into_iter().collect()
    }));
}

#[test]
fn every_program_answers_wrong_arguments_with_one_line_and_exit_code_2() {
    let wrong: [&[u8]; 3] = [b"--no-such-option", b"--two\nlines", b"--not-utf-8-\xff"];
    assert_none(in_each(|listing| {
        let copy = Copy::of(listing);
        if let Some(error) = copy.cargo(&["build", "--bins"]) {
            return vec![error];
        }
        let mut mistakes = Vec::new();
        for program in repository::programs(listing) {
            let path = copy.target.join("debug").join(&program);
            for argument in wrong.map(OsStr::from_bytes) {
                // Three are too many for those that take any text as their message.
                let fewest = if TAKES_TEXT.contains(&(listing, &program)) {
                    3
                } else {
                    1
                };
                for count in [fewest, 3] {
                    let arguments = vec![argument; count];
                    let mistake = refusal(&path, &arguments);
                    mistakes.extend(mistake.map(|what| format!("{program} {arguments:?}: {what}")));
                }
            }
        }
        mistakes
    }));
}

/// What is wrong with the way in which a program refuses its arguments.
fn refusal(program: &Path, arguments: &[&OsStr]) -> Option<String> {
    let child = Command::new(program)
        .args(arguments)
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let pid = rustix::process::Pid::from_child(&child);
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let output = child.wait_with_output();
        let _ = sender.send(output);
    });
    let Ok(output) = receiver.recv_timeout(DEADLINE) else {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        return Some("it runs".into());
    };
    let output = output.expect("the output of a program");
    let stderr = String::from_utf8_lossy(&output.stderr);
    let is_fine = output.status.code() == Some(2)
        && output.stdout.is_empty()
        && stderr.ends_with('\n')
        && stderr.lines().count() == 1
        && stderr.trim().len() > 10;
    (!is_fine).then(|| format!("{output:?}"))
}

#[test]
fn every_manifest_stands_alone() {
    assert_none(in_each(|listing| {
        let manifest = repository::manifest(listing);
        let mut mistakes = Vec::new();
        let package = &manifest["package"];
        for (key, wanted) in [
            ("name", Value::from(listing)),
            ("edition", Value::from("2024")),
            ("publish", Value::from(false)),
        ] {
            if package.get(key) != Some(&wanted) {
                mistakes.push(format!("{key} is not {wanted}"));
            }
        }
        let version = Regex::new(r"^1\.\d+(\.\d+)?$").expect("a valid pattern");
        let rust = package.get("rust-version").and_then(Value::as_str);
        if !rust.is_some_and(|rust| version.is_match(rust)) {
            mistakes.push(format!("rust-version is {rust:?}"));
        }
        leans(&manifest, &mut mistakes);
        for (name, dependency) in dependencies(&manifest) {
            mistakes.extend(inexact(&name, &dependency));
        }
        mistakes
    }));
}

/// Finds keys by which a manifest leans on something outside its folder.
fn leans(table: &Table, mistakes: &mut Vec<String>) {
    for (key, value) in table {
        if matches!(
            key.as_str(),
            "workspace" | "path" | "git" | "patch" | "replace"
        ) {
            mistakes.push(format!("{key} = {value}"));
        }
        match value {
            Value::Table(table) => leans(table, mistakes),
            Value::Array(values) => {
                let tables = values.iter().filter_map(Value::as_table);
                tables.for_each(|table| leans(table, mistakes));
            }
            _ => {}
        }
    }
}

/// The dependencies of a manifest: of the programs, the tests and the build, on every system.
fn dependencies(manifest: &Table) -> Vec<(String, Value)> {
    let systems = manifest.get("target").and_then(Value::as_table);
    let systems = systems.into_iter().flat_map(Table::values);
    let systems = systems.filter_map(Value::as_table);
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let mut all = Vec::new();
    for table in [manifest].into_iter().chain(systems) {
        for kind in kinds {
            let list = table.get(kind).and_then(Value::as_table);
            let list = list.into_iter().flatten();
            all.extend(list.map(|(name, value)| (name.clone(), value.clone())));
        }
    }
    all
}

/// What is not exact about a dependency: its version, or a list of features that can grow with the crate.
fn inexact(name: &str, dependency: &Value) -> Option<String> {
    let version = match dependency {
        Value::Table(table) => table.get("version").and_then(Value::as_str),
        other => other.as_str(),
    };
    let known = Regex::new(r"^=?\d+(\.\d+){0,2}$").expect("a valid pattern");
    match version {
        Some(version) if known.is_match(version) => None,
        other => Some(format!("the version of {name} is {other:?}")),
    }
}

#[test]
fn no_program_panics_on_purpose_or_leaves_the_safe_part_of_rust() {
    let forbidden = Regex::new(
        r"\.unwrap(?:_err|_unchecked)?\(|\.expect(?:_err)?\(|\b(?:unsafe|static mut)\b|\b(?:todo|unimplemented|panic|dbg)!",
    )
    .expect("a valid pattern");
    let comment = Regex::new(r"(?:^|\s)//.*$").expect("a valid pattern");
    assert_none(in_each(|listing| {
        let folder = repository::root().join("listings").join(listing);
        let mut mistakes = Vec::new();
        for entry in walkdir::WalkDir::new(folder.join("src")) {
            let entry = entry.expect("an entry of the listing");
            if !entry.file_type().is_file() {
                continue;
            }
            let text = fs::read_to_string(entry.path()).expect("a source in UTF-8");
            for (number, line) in text.lines().enumerate() {
                if let Some(found) = forbidden.find(&comment.replace(line, "")) {
                    let file = entry.path().strip_prefix(&folder).expect("a path inside");
                    let place = format!("{}:{}", file.display(), number + 1);
                    mistakes.push(format!("{place}: {}", found.as_str()));
                }
            }
        }
        mistakes
    }));
}

#[test]
fn no_listing_knows_another() {
    let listings = repository::listings();
    assert_none(in_each(|listing| {
        let dependencies = dependencies(&repository::manifest(listing));
        let others = dependencies
            .iter()
            .filter(|(name, _)| listings.contains(name));
        others
            .map(|(name, _)| format!("it depends on {name}"))
            .collect()
    }));
}

#[test]
fn what_two_listings_share_is_the_same_to_the_word() {
    let mut first_with = BTreeMap::<PathBuf, PathBuf>::new();
    assert_none(in_each(|listing| {
        let folder = repository::root().join("listings").join(listing);
        let modules = ["src", "tests/programs"].map(|name| folder.join(name));
        let files = modules.iter().flat_map(|module| {
            let entries = walkdir::WalkDir::new(module).max_depth(1);
            entries.into_iter().filter_map(Result::ok)
        });
        let mut mistakes = Vec::new();
        for entry in files {
            let name = entry.path().strip_prefix(&folder).expect("a path inside");
            // What a listing's programs alone have in common is their own.
            if !entry.file_type().is_file() || name == Path::new("src/lib.rs") {
                continue;
            }
            let other = first_with.entry(name.into()).or_insert(entry.path().into());
            if fs::read(&*other).expect("a source") != fs::read(entry.path()).expect("a source") {
                mistakes.push(format!("{} is not {}", name.display(), other.display()));
            }
        }
        mistakes
    }));
}
