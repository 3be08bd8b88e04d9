//! A listing: one crate under `listings/`, the programs in it, and the address that its chapter documents.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use walkdir::WalkDir;

use crate::cache::{field, hex};
use crate::project::Project;

/// One crate under `listings/`.
#[derive(Clone, Debug)]
pub struct Listing {
    pub name: String,
    pub folder: PathBuf,
    /// Where its server listens by default; none if no program of the listing takes an address.
    pub address: Option<SocketAddr>,
    /// The names of its programs, sorted.
    pub programs: Vec<String>,
    /// A hash of all that its programs are made of.
    pub sources: String,
}

/// The part of a listing's manifest that the tool reads: `[package.metadata.book]`.
#[derive(Deserialize)]
struct Manifest {
    package: Package,
}

#[derive(Deserialize)]
struct Package {
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    book: BookMetadata,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct BookMetadata {
    address: Option<SocketAddr>,
}

/// The names of all listings.
pub fn names(project: &Project) -> Result<Vec<String>> {
    names_in(&project.listings(), |path| {
        path.join("Cargo.toml").is_file()
    })
}

impl Listing {
    /// Reads the listing `name`. The error names the listings that there are.
    pub fn load(project: &Project, name: &str) -> Result<Listing> {
        let names = self::names(project)?;
        if !names.iter().any(|known| known == name) {
            bail!("there is no listing {name:?}{}", suggestion(name, &names));
        }
        let folder = project.listings().join(name);
        let path = folder.join("Cargo.toml");
        let text = fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", project.relative(&path).display()))?;
        let manifest: Manifest = toml::from_str(&text)
            .with_context(|| format!("cannot understand {}", project.relative(&path).display()))?;
        let mut programs = names_in(&folder.join("src").join("bin"), |path| {
            path.extension().is_some_and(|extension| extension == "rs")
        })?;
        for program in &mut programs {
            program.truncate(program.len() - ".rs".len());
        }
        let sources = hash_of_sources(&folder)?;
        Ok(Listing {
            name: name.into(),
            folder,
            address: manifest.package.metadata.book.address,
            programs,
            sources,
        })
    }

    /// The files that make its programs, relative to its folder: `src/bin/server.rs`.
    pub fn source_files(&self) -> Result<Vec<String>> {
        let names = sources(&self.folder)?.into_iter().map(|path| {
            let name = path.strip_prefix(&self.folder)?.to_str();
            Ok(name.context("a file name that is not UTF-8")?.to_owned())
        });
        names.collect()
    }

    /// Those of them that a reader may change.
    pub fn rust_files(&self) -> Result<Vec<String>> {
        let mut names = self.source_files()?;
        names.retain(|name| name.starts_with("src/") && name.ends_with(".rs"));
        Ok(names)
    }

    /// Fails unless `name` is one of the programs, and says which there are.
    pub fn check_program(&self, name: &str) -> Result<()> {
        if !self.programs.iter().any(|known| known == name) {
            bail!(
                "the listing {:?} has no program {name:?}{}",
                self.name,
                suggestion(name, &self.programs)
            );
        }
        Ok(())
    }
}

/// What in a listing's folder its programs are not made of: tests, what cargo makes, what has been recorded, and what is to be.
const OTHER: [&str; 4] = ["tests", "target", "recordings", "measurements.toml"];

/// The files that make a listing's programs, sorted.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    let entries = WalkDir::new(folder)
        .follow_links(true)
        .sort_by_file_name()
        .into_iter();
    for entry in entries.filter_entry(|entry| {
        let name = entry.file_name().to_str();
        entry.depth() != 1 || !name.is_some_and(|name| OTHER.contains(&name))
    }) {
        let entry = entry.context("cannot read the listing")?;
        if entry.file_type().is_file() {
            paths.push(entry.into_path());
        }
    }
    Ok(paths)
}

/// A hash of these files, and of their names.
pub fn hash_of_sources(folder: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    for path in sources(folder)? {
        let name = path.strip_prefix(folder)?;
        field(&mut hash, name.as_os_str().as_encoded_bytes());
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        field(&mut hash, &text);
    }
    Ok(hex(hash.finalize()))
}

/// What to say after "there is no such …": the closest name, and all of them.
pub fn suggestion(wrong: &str, names: &[String]) -> String {
    let closest = names
        .iter()
        .map(|name| (strsim::damerau_levenshtein(wrong, name), name))
        .min()
        .filter(|(distance, _)| *distance <= 2);
    match closest {
        Some((_, name)) => format!("; did you mean {name:?}?"),
        None if names.is_empty() => "; there is none".into(),
        None => format!("; there are: {}", names.join(", ")),
    }
}

/// The sorted names of the entries of `folder` that `wanted` accepts; none if there is no such folder.
pub fn names_in(folder: &Path, wanted: impl Fn(&Path) -> bool) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", folder.display()));
        }
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
        if wanted(&entry.path()) {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}
