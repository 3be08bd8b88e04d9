//! Reading a file that may be anything: a pipe to which nobody writes, or a device that never ends.

use std::fs::{self, File};
use std::io::{self, Error, Read};
use std::path::Path;

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
