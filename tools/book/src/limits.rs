//! What a reader's programs may use of the reader's machine. Whoever passes a limit is stopped, and the reader is told which.
//!
//! The kernel limits each process, where it can do that (getrlimit(2)); what all of them use together is counted by the guard, on Linux.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use rustix::process::{Pid, Resource, Rlimit, Signal, getpid, setrlimit};
use walkdir::WalkDir;

use crate::process::Process;

/// Programs at once; a shell and the tool are among them.
const PROCESSES: usize = 64;
/// Bytes of memory that all programs use together.
pub const MEMORY: u64 = 512 << 20;
/// The same for a compiler, which is told what to read and to compute by what it compiles.
pub const COMPILER_MEMORY: u64 = 2 << 30;
/// Bytes of addresses that one program may have: it uses fewer, and a thousand threads need a great many.
const ADDRESSES: u64 = 8 << 30;
/// Bytes in files.
const DISK: u64 = 16 << 20;
/// What a file takes at least, though nothing may be in it.
const BLOCK: u64 = 4096;
/// Folders in one another: of more of them nobody could say how much is in them.
const DEPTH: usize = 128;
/// How often it is looked what is used.
const TICK: Duration = Duration::from_millis(50);

/// Limits what this process may use, and all that it starts.
pub fn apply() {
    // Not all systems know of all limits.
    for (resource, limit) in [
        (Resource::As, ADDRESSES),
        (Resource::Fsize, DISK),
        (Resource::Core, 0),
    ] {
        let limit = Some(limit);
        let _ = setrlimit(
            resource,
            Rlimit {
                current: limit,
                maximum: limit,
            },
        );
    }
}

/// Which limit of the kernel's ended a program.
pub fn met(status: ExitStatus) -> Option<String> {
    let is_size = status.signal() == Some(Signal::XFSZ.as_raw());
    is_size.then(|| format!("it wrote more than {} MiB into a file", DISK >> 20))
}

/// Watches what the descendants of this process use.
pub struct Usage {
    folder: PathBuf,
    memory: u64,
    looked: Instant,
}

impl Usage {
    /// They may use so many bytes of memory. Files are counted in `folder`.
    pub fn new(folder: &Path, memory: u64) -> Usage {
        Usage {
            folder: folder.into(),
            memory,
            looked: Instant::now(),
        }
    }

    /// Fails if it is too much.
    pub fn check(&mut self) -> Result<()> {
        if self.looked.elapsed() < TICK {
            return Ok(());
        }
        let mut memory = 0;
        let mut hidden = BTreeMap::new();
        let mut found = vec![getpid()];
        let mut next = 0;
        while let Some(process) = found.get(next) {
            found.extend(children(*process));
            ensure!(
                found.len() <= PROCESSES,
                "it started more than {PROCESSES} processes"
            );
            if next > 0 {
                memory += resident(found[next]);
                hidden.extend(nameless_files(found[next]));
            }
            next += 1;
        }
        ensure!(
            memory <= self.memory,
            "it used more than {} MiB of memory",
            self.memory >> 20
        );
        ensure!(
            size(&self.folder)? + hidden.values().sum::<u64>() <= DISK,
            "it wrote more than {} MiB into files",
            DISK >> 20
        );
        self.looked = Instant::now();
        Ok(())
    }
}

/// The processes that any thread of this one has started. A process may be gone by now: then it has none.
pub fn children(process: Pid) -> Vec<Pid> {
    let threads = fs::read_dir(format!("/proc/{}/task", process.as_raw_nonzero()));
    let lists = threads
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| {
            let numbers = list.split_whitespace().map(str::parse);
            numbers
                .flatten()
                .filter_map(Pid::from_raw)
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The bytes of memory that are this process's (proc_pid_statm(5)): the second number, in pages.
fn resident(process: Pid) -> u64 {
    let pages = fs::read_to_string(format!("/proc/{}/statm", process.as_raw_nonzero()));
    let pages = pages.unwrap_or_default();
    let pages = pages
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}

/// The bytes in the files of `folder`. Links and folders take their places, too.
fn size(folder: &Path) -> Result<u64> {
    let mut size = 0;
    // What is removed meanwhile does not count.
    for file in WalkDir::new(folder).into_iter().flatten() {
        ensure!(
            file.depth() <= DEPTH,
            "it made more than {DEPTH} folders in one another"
        );
        size += file.metadata().map_or(0, |file| file.len().max(BLOCK));
    }
    Ok(size)
}

/// The files that a process has open and that are in no folder any more, or never were (unlink(2), memfd_create(2)), and their bytes.
fn nameless_files(process: Pid) -> Vec<((u64, u64), u64)> {
    let open = fs::read_dir(format!("/proc/{}/fd", process.as_raw_nonzero()));
    let files = open
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|file| fs::metadata(file.path()).ok())
        .filter(|metadata| metadata.is_file() && metadata.nlink() == 0);
    files
        .map(|metadata| ((metadata.dev(), metadata.ino()), metadata.len().max(BLOCK)))
        .collect()
}

/// How long a program may do nothing.
pub struct Idle {
    allowed: Duration,
    since: Instant,
    seen: (usize, u64),
}

impl Idle {
    pub fn new(seconds: u64) -> Idle {
        Idle {
            allowed: Duration::from_secs(seconds),
            since: Instant::now(),
            seen: (0, 0),
        }
    }

    /// Fails if `process` has not done anything for too long: it has printed nothing, and none of its threads has woken up.
    pub fn check(&mut self, process: &Process) -> Result<()> {
        let seen = (process.output.len(), process.id().map_or(0, worked));
        if seen != self.seen {
            self.seen = seen;
            self.since = Instant::now();
        }
        if self.since.elapsed() > self.allowed {
            bail!("it was idle for {}", said(self.allowed));
        }
        Ok(())
    }
}

fn said(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds % 60 == 0 => format!("{} minutes", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

/// For how many nanoseconds all threads of the process have worked: who wakes up works. Not from /proc, where it has another number than
/// here if this process has process numbers of its own (pid_namespaces(7)).
#[cfg(target_os = "linux")]
fn worked(process: Pid) -> u64 {
    use nix::time::ClockId;

    let process = nix::unistd::Pid::from_raw(process.as_raw_nonzero().get());
    let time = ClockId::pid_cpu_clock_id(process).and_then(ClockId::now);
    time.map_or(0, |time| Duration::from(time).as_nanos() as u64)
}

#[cfg(not(target_os = "linux"))]
fn worked(_: Pid) -> u64 {
    0
}
