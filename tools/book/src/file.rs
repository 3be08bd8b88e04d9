//! Reading a file that may be anything: a pipe to which nobody writes, or a device that never ends. And removing a folder in which there
//! may be anything.

use std::fs::{self, File, Permissions};
use std::io::{self, Error, ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The text of a regular file of at most `limit` bytes.
pub fn read(path: &Path, limit: usize) -> io::Result<String> {
    // Before it is opened: who opens a pipe waits for whoever writes to it.
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(Error::other("it is no regular file"));
    }
    if metadata.len() > limit as u64 {
        let kibibytes = limit / 1024;
        return Err(Error::other(format!("it has more than {kibibytes} KiB")));
    }
    let mut text = String::new();
    File::open(path)?
        .take(limit as u64)
        .read_to_string(&mut text)?;
    Ok(text)
}

/// A folder that is removed with this, whatever programs have written into it.
pub struct Folder(PathBuf);

impl Folder {
    /// A new one in `parent`; its name begins with `prefix`.
    pub fn new(parent: &Path, prefix: &str) -> io::Result<Folder> {
        let folder = tempfile::Builder::new().prefix(prefix).tempdir_in(parent)?;
        // The crate's own way to remove it calls itself for each folder in a folder.
        Ok(Folder(folder.keep()))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The next build removes what is left.
        let _ = remove_folder(&self.0);
    }
}

/// How often it is tried, if somebody else removes the same folder.
const ATTEMPTS: usize = 3;

/// Removes a folder that programs have written into: it may be deeper than paths can be long, or than a process can have open files, and
/// its owner may be forbidden to look into parts of it.
pub fn remove_folder(folder: &Path) -> io::Result<()> {
    let mut result = Ok(());
    for _ in 0..ATTEMPTS {
        result = match flatten(folder).and_then(|()| fs::remove_dir(folder)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            result => result,
        };
        if result.is_ok() {
            break;
        }
    }
    result
}

/// Removes what is in a folder: what is in the folders there comes up into it first, and theirs, and so on. Others may do the same at the
/// same time: whoever brings something up removes it, so that the last one leaves nothing.
fn flatten(folder: &Path) -> io::Result<()> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);

    if !fs::symlink_metadata(folder)?.is_dir() {
        // It would lead elsewhere.
        fs::remove_file(folder)?;
        return Ok(());
    }
    let mut folders: Vec<PathBuf> = vec![folder.into()];
    let mut next = 0;
    while let Some(current) = folders.get(next).cloned() {
        let _ = fs::set_permissions(&current, Permissions::from_mode(0o700));
        // What somebody else has removed meanwhile is gone as well.
        for entry in fs::read_dir(&current).into_iter().flatten().flatten() {
            let path = entry.path();
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let _ = fs::remove_file(path);
            } else if next == 0 {
                folders.push(path);
            } else {
                // Whoever has another folder above it must be allowed to write into it.
                let _ = fs::set_permissions(&path, Permissions::from_mode(0o700));
                let number = NEXT.fetch_add(1, Ordering::Relaxed);
                let up = folder.join(format!(".up-{}-{number}", std::process::id()));
                if fs::rename(&path, &up).is_ok() {
                    folders.push(up);
                }
            }
        }
        if next > 0 {
            let _ = fs::remove_dir(&current);
        }
        next += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_removed_however_deep_it_is_and_no_link_is_followed() {
        let all = tempfile::tempdir().unwrap();
        let (other, folder) = (all.path().join("other"), all.path().join("folder"));
        fs::create_dir(&other).unwrap();
        fs::write(other.join("file"), "precious").unwrap();
        fs::create_dir_all(folder.join("a/b/c")).unwrap();
        fs::write(folder.join("a/b/file"), "").unwrap();
        for place in ["link", "a/link", "a/b/c/link"] {
            std::os::unix::fs::symlink(&other, folder.join(place)).unwrap();
        }
        fs::set_permissions(folder.join("a/b"), Permissions::from_mode(0o000)).unwrap();
        // Longer than a path may be: each of these is put around the last one.
        let name = "x".repeat(200);
        let (one, two) = (all.path().join("one"), all.path().join("two"));
        fs::create_dir(&one).unwrap();
        for _ in 0..100 {
            fs::create_dir(&two).unwrap();
            fs::rename(&one, two.join(&name)).unwrap();
            fs::rename(&two, &one).unwrap();
        }
        fs::rename(&one, folder.join("deep")).unwrap();
        remove_folder(&folder).unwrap();
        assert!(!folder.exists());
        assert_eq!(fs::read_to_string(other.join("file")).unwrap(), "precious");
        remove_folder(&folder).unwrap();
        std::os::unix::fs::symlink(&other, &folder).unwrap();
        remove_folder(&folder).unwrap();
        assert!(!folder.is_symlink() && other.join("file").exists());
    }

    #[test]
    fn several_may_remove_a_folder_at_once() {
        let all = tempfile::tempdir().unwrap();
        let folder = all.path().join("folder");
        for _ in 0..100 {
            for part in ["a/b/c/d", "a/b/e", "f/g/h", "f/i", "j/k"] {
                fs::create_dir_all(folder.join(part)).unwrap();
                fs::write(folder.join(part).join("file"), "").unwrap();
            }
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| remove_folder(&folder));
                }
            });
            assert!(!folder.exists());
        }
    }
}
