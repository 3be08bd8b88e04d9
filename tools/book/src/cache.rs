//! The results of scenes, kept under `target/`: a scene runs again only if something changed that it depends on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use walkdir::WalkDir;

use crate::listing::Listing;
use crate::process;
use crate::project::Project;

/// The stored results.
#[derive(Clone)]
pub struct Cache {
    folder: PathBuf,
    /// What all scenes depend on: the toolchain, the tool, the kernel and `Cargo.lock`.
    common: Vec<u8>,
    /// Whether stored results are used; new ones are stored in any case.
    reads: bool,
}

impl Cache {
    /// Opens the cache of `project`; a `fresh` one finds nothing.
    pub fn open(project: &Project, fresh: bool) -> Result<Cache> {
        let mut common = Sha256::new();
        field(&mut common, &toolchain()?);
        field(&mut common, &tool()?);
        let kernel = rustix::system::uname();
        field(&mut common, kernel.release().to_bytes());
        // A machine without IPv6 answers otherwise.
        field(
            &mut common,
            &fs::read("/proc/net/if_inet6").unwrap_or_default(),
        );
        field(
            &mut common,
            &fs::read(project.root.join("Cargo.lock")).unwrap_or_default(),
        );
        Ok(Cache {
            folder: project.state().join("results"),
            common: common.finalize().to_vec(),
            reads: !fresh,
        })
    }

    /// What `command` depends on, in one word.
    pub fn key(&self, command: &str, listing: &Listing) -> Result<String> {
        let mut hash = Sha256::new();
        field(&mut hash, &self.common);
        field(&mut hash, command.as_bytes());
        for path in sources(&listing.folder)? {
            let name = path.strip_prefix(&listing.folder)?;
            field(&mut hash, name.as_os_str().as_encoded_bytes());
            let text =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            field(&mut hash, &text);
        }
        Ok(hex(hash.finalize()))
    }

    /// The stored result; none if there is none, or if it is damaged.
    pub fn get(&self, key: &str) -> Option<String> {
        if !self.reads {
            return None;
        }
        let stored = fs::read_to_string(self.folder.join(key)).ok()?;
        let (checksum, result) = stored.split_once('\n')?;
        (checksum == hex(Sha256::digest(result))).then(|| result.to_owned())
    }

    /// Stores a result, below its checksum. Whoever reads it at the same time sees it whole or not at all.
    pub fn put(&self, key: &str, result: &str) -> Result<()> {
        let store = || {
            fs::create_dir_all(&self.folder)?;
            let file = tempfile::NamedTempFile::new_in(&self.folder)?;
            let checksum = hex(Sha256::digest(result));
            fs::write(file.path(), format!("{checksum}\n{result}"))?;
            file.persist(self.folder.join(key))?;
            anyhow::Ok(())
        };
        store().with_context(|| format!("cannot store a result in {}", self.folder.display()))
    }
}

/// A hash in words.
fn hex(hash: impl AsRef<[u8]>) -> String {
    hash.as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Adds one field to a hash; its length keeps it apart from the next.
fn field(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

/// The files that make a listing's programs, sorted: all but its tests and what cargo made of them.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    let entries = WalkDir::new(folder).sort_by_file_name().into_iter();
    for entry in entries.filter_entry(|entry| {
        entry.depth() != 1 || !matches!(entry.file_name().to_str(), Some("tests" | "target"))
    }) {
        let entry = entry.context("cannot read the listing")?;
        if entry.file_type().is_file() {
            paths.push(entry.into_path());
        }
    }
    Ok(paths)
}

/// The compiler's version, commit and host.
fn toolchain() -> Result<Vec<u8>> {
    let output = process::command(Path::new("rustc"))
        .arg("-vV")
        .stdin(Stdio::null())
        .output()
        .context("cannot start rustc")?;
    Ok(output.stdout)
}

/// This program, by its size and the time of its making: hashing it would take longer than a small scene.
fn tool() -> Result<Vec<u8>> {
    let path = std::env::current_exe().context("cannot find this program")?;
    let metadata = fs::metadata(&path).context("cannot see this program")?;
    Ok(format!("{} {:?}", metadata.len(), metadata.modified()?).into_bytes())
}
