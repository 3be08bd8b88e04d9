//! The results of scenes, kept under `target/`: a scene runs again only if something changed that it depends on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

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
    pub fn open(project: &Project, tool: &Path, fresh: bool) -> Result<Cache> {
        let mut common = Sha256::new();
        field(&mut common, &toolchain()?);
        field(&mut common, &version(tool)?);
        let kernel = rustix::system::uname();
        field(&mut common, kernel.release().to_bytes());
        // What a machine without IPv6, another user or other names of hosts would change.
        for path in ["/proc/net/if_inet6", "/etc/hosts"] {
            field(&mut common, &fs::read(path).unwrap_or_default());
        }
        field(&mut common, &privileges());
        for name in ["Cargo.lock", "Cargo.toml", ".cargo/config.toml"] {
            field(
                &mut common,
                &fs::read(project.root.join(name)).unwrap_or_default(),
            );
        }
        Ok(Cache {
            folder: project.state().join("results"),
            common: common.finalize().to_vec(),
            reads: !fresh,
        })
    }

    /// What `command` depends on, in one word.
    pub fn key<'a>(&self, command: &str, listings: impl Iterator<Item = &'a Listing>) -> String {
        let mut hash = Sha256::new();
        field(&mut hash, &self.common);
        field(&mut hash, command.as_bytes());
        for listing in listings {
            field(&mut hash, listing.sources.as_bytes());
        }
        hex(hash.finalize())
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
pub fn hex(hash: impl AsRef<[u8]>) -> String {
    hash.as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Adds one field to a hash; its length keeps it apart from the next.
pub fn field(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
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

/// The tool, by its size and the time of its making: hashing it would take longer than a small scene.
fn version(tool: &Path) -> Result<Vec<u8>> {
    let metadata = fs::metadata(tool).context("cannot see this program")?;
    Ok(format!("{} {:?}", metadata.len(), metadata.modified()?).into_bytes())
}

/// Who runs the scenes, and what the kernel allows them.
fn privileges() -> Vec<u8> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let capabilities = status.lines().find(|line| line.starts_with("CapEff:"));
    let user = rustix::process::geteuid().as_raw();
    format!("{user} {}", capabilities.unwrap_or_default()).into_bytes()
}
