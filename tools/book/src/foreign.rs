//! Programs that no listing has: load generators, clients in other languages. Only a recording may use one, since not every
//! machine has it.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::LazyLock;

use anyhow::{Result, bail};
use regex::Regex;

use crate::process;

/// What is known about some of them: the name, the argument that makes it say its version, and the Debian package that has it.
const KNOWN: [(&str, &str, &str); 7] = [
    ("ab", "-V", "apache2-utils"),
    ("curl", "--version", "curl"),
    ("nginx", "-v", "nginx-light"),
    ("python3", "--version", "python3"),
    ("strace", "--version", "strace"),
    ("taskset", "--version", "util-linux"),
    ("wrk", "-v", "wrk"),
];

static VERSION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\d+(?:\.\d+)+").expect("the pattern is fixed and valid"));

/// Fails unless all of `names` are programs on the path, and says what to install.
pub fn check<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<()> {
    let names: BTreeSet<&str> = names.into_iter().collect();
    let missing: Vec<&str> = names.into_iter().filter(|name| !is_on_path(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let messages = missing.iter().map(|name| match known(name) {
        Some((_, _, package)) => {
            format!(
                "there is no program {name:?} on the path; on Debian the package {package} has it"
            )
        }
        None => format!("there is no program {name:?}, neither in the listing nor on the path"),
    });
    bail!(messages.collect::<Vec<_>>().join("\n"))
}

/// The version of a program, in numbers and dots, if it says one.
pub fn version(name: &str) -> Option<String> {
    let argument = known(name).map_or("--version", |(_, argument, _)| argument);
    let output = process::command(Path::new(name))
        .arg(argument)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    // Some say it on stderr, and some fail then.
    [output.stdout, output.stderr].iter().find_map(|said| {
        let said = String::from_utf8_lossy(said).into_owned();
        Some(VERSION.find(&said)?.as_str().to_owned())
    })
}

fn known(name: &str) -> Option<&'static (&'static str, &'static str, &'static str)> {
    KNOWN.iter().find(|(known, _, _)| *known == name)
}

fn is_on_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    !name.contains('/')
        && std::env::split_paths(&path).any(|folder| {
            let metadata = folder.join(name).metadata();
            metadata.is_ok_and(|metadata| {
                metadata.is_file() && metadata.permissions().mode() & 0o111 != 0
            })
        })
}
