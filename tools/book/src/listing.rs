//! A listing: one crate under `listings/`, the programs in it, and the address that its chapter documents.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

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

impl Listing {
    /// Reads the listing `name`. The error names the listings that there are.
    pub fn load(project: &Project, name: &str) -> Result<Listing> {
        let names = names_in(&project.listings(), |path| {
            path.join("Cargo.toml").is_file()
        })?;
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
        Ok(Listing {
            name: name.into(),
            folder,
            address: manifest.package.metadata.book.address,
            programs,
        })
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
fn names_in(folder: &Path, wanted: impl Fn(&Path) -> bool) -> Result<Vec<String>> {
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
