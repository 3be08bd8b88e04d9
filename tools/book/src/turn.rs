//! Two builds on one machine take turns at an address, so that each of their scenes can have it, and none meets the other's programs.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

/// How long to wait for another build's scene. After that the address counts as taken, as if by any other program.
const PATIENCE: Duration = Duration::from_secs(10);
/// A lock with a time limit has to be tried again and again: there is no call that waits for it.
const TICK: Duration = Duration::from_millis(10);

/// The right to use an address, until it is dropped. The system takes it back when the process ends.
pub struct Turn {
    _file: Option<File>,
}

impl Turn {
    /// Waits for the turn at `address`.
    pub fn wait(address: SocketAddr) -> Turn {
        let name = format!("sockets-in-rust-{address}.lock").replace(':', "-");
        let start = Instant::now();
        // Without such a file, a scene that finds its address taken uses another one.
        let file = open(&std::env::temp_dir().join(name)).ok().filter(|file| {
            loop {
                match file.try_lock() {
                    Ok(()) => return true,
                    Err(TryLockError::Error(_)) => return false,
                    Err(TryLockError::WouldBlock) if start.elapsed() > PATIENCE => return false,
                    Err(TryLockError::WouldBlock) => thread::sleep(TICK),
                }
            }
        });
        Turn { _file: file }
    }
}

/// Opens the file for reading, which is enough to lock it, and works for another user's file, too.
fn open(path: &Path) -> io::Result<File> {
    // Somebody else may have put something else there: a pipe, say, that nobody writes to.
    let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits() as i32;
    let mut options = OpenOptions::new();
    let file = match options.read(true).custom_flags(flags).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => options
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?,
        other => other?,
    };
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(file)
}
