//! What a reader's programs may use of the reader's machine. Whoever passes a limit is stopped, and the reader is told which.
//!
//! The kernel limits each process, where it can do that (getrlimit(2)); what all of them use together is counted by the guard, on Linux.

use std::fs;
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
const MEMORY: u64 = 512 << 20;
/// Bytes of addresses that one program may have: it uses fewer, and a thousand threads need a great many.
const ADDRESSES: u64 = 8 << 30;
/// Bytes in files.
const DISK: u64 = 16 << 20;
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
    looked: Instant,
}

impl Usage {
    /// Files are counted in `folder`.
    pub fn new(folder: &Path) -> Usage {
        Usage {
            folder: folder.into(),
            looked: Instant::now(),
        }
    }

    /// Fails if it is too much.
    pub fn check(&mut self) -> Result<()> {
        if self.looked.elapsed() < TICK {
            return Ok(());
        }
        let mut memory = 0;
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
            }
            next += 1;
        }
        ensure!(
            memory <= MEMORY,
            "it used more than {} MiB of memory",
            MEMORY >> 20
        );
        ensure!(
            size(&self.folder) <= DISK,
            "it wrote more than {} MiB into files",
            DISK >> 20
        );
        self.looked = Instant::now();
        Ok(())
    }
}

/// The processes that any thread of this one has started. A process may be gone by now: then it has none.
fn children(process: Pid) -> Vec<Pid> {
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

/// The bytes in the files of `folder`.
fn size(folder: &Path) -> u64 {
    let files = WalkDir::new(folder).into_iter().flatten();
    files
        .filter_map(|file| file.metadata().ok())
        .filter(|metadata| metadata.is_file())
        .map(|metadata| metadata.len())
        .sum()
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
        let seen = (process.output.len(), process.id().map_or(0, wakes));
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

/// How often threads of the process have waited for something, and so have woken up since (proc_pid_status(5)).
fn wakes(process: Pid) -> u64 {
    let threads = fs::read_dir(format!("/proc/{}/task", process.as_raw_nonzero()));
    let statuses = threads
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("status")).ok());
    statuses
        .filter_map(|status| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
            line.trim().parse::<u64>().ok()
        })
        .sum()
}
