//! Watches the programs of a scene while it plays: strace writes down what each of them asks of the system, and a capture keeps what
//! travels between them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::capture::{Capture, Captured};
use crate::process::{self, TICK};

/// The program that watches.
pub const STRACE: &str = "strace";

/// The calls that can matter to a story; strace lets all others pass without stopping the program.
const CALLS: &str = "trace=%network,read,write,readv,writev,close,poll,ppoll,epoll_wait,epoll_pwait,epoll_ctl,clock_nanosleep,nanosleep";

/// What strace writes when it ends before a program.
const DETACHED: &str = "<detached ...>";

/// How long strace may take to write its last lines.
const LAST_LINES: Duration = Duration::from_secs(10);

/// Who has done nothing for so long does nothing but wait.
const QUIET: Duration = Duration::from_millis(300);

/// A watcher of scenes: it must be started inside the scene's namespace, before the programs.
pub struct Witness {
    /// Here strace writes a file for each thread: `N.TID`, of the N-th program.
    folder: TempDir,
    capture: Capture,
}

/// All that a witness has seen.
pub struct Seen {
    pub traces: TempDir,
    pub captured: Captured,
}

/// Fails unless strace is there and may do its work.
pub fn check() -> Result<()> {
    crate::foreign::check([STRACE])?;
    let output = process::command(Path::new(STRACE))
        .args(["-qq", "-e", "trace=none", "true"])
        .stdin(Stdio::null())
        .output()
        .context("cannot start strace")?;
    let why = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "strace may not watch programs here: {}",
        why.trim()
    );
    Ok(())
}

impl Witness {
    /// Its files are in `folder` until they are no longer needed.
    pub fn start(folder: &Path) -> Result<Witness> {
        Ok(Witness {
            folder: tempfile::tempdir_in(folder).context("cannot make a folder for traces")?,
            capture: Capture::start()?,
        })
    }

    /// The command that starts the program at `path`, the scene's program `number`, under strace. The program is this process's own
    /// child, as without it: strace is a grandchild, in a group of its own, and ends when the program does (`-DD`).
    pub fn command(&self, number: usize, path: &Path) -> Command {
        let mut command = process::command(Path::new(STRACE));
        command
            .args(["-DD", "-ff", "--seccomp-bpf", "-k", "-yy", "-v"])
            .args(["-s", "4096", "-e", CALLS])
            .arg("--absolute-timestamps=format:unix,precision:ns")
            .arg("--syscall-times=ns")
            .arg("-o")
            .arg(self.folder.path().join(number.to_string()))
            .arg(path);
        command
    }

    /// Waits until the programs do nothing more but wait: one that ended the scene has not waited for the others.
    pub fn await_quiet(&self) -> Result<()> {
        let start = Instant::now();
        let (mut length, mut since) = (0, start);
        while since.elapsed() < QUIET && start.elapsed() < LAST_LINES {
            let mut now = 0;
            for entry in fs::read_dir(&self.folder).context("cannot read the folder of traces")? {
                now += entry?.metadata()?.len();
            }
            if now != length {
                (length, since) = (now, Instant::now());
            }
            std::thread::sleep(TICK);
        }
        Ok(())
    }

    /// Ends the watching when all programs have ended or are frozen: a call that waits is cut short by that, and strace says then
    /// where it was made.
    pub fn end(self) -> Result<Seen> {
        let start = Instant::now();
        while let Some((path, last)) = self.unfinished()? {
            let path = path.display();
            // It does so if a program is killed while it looks for where a call was made.
            ensure!(
                !last.ends_with(DETACHED),
                "strace has given up before {path} was complete"
            );
            if start.elapsed() > LAST_LINES {
                bail!("strace has not come to an end with {path}; its last line is {last:?}");
            }
            std::thread::sleep(TICK);
        }
        Ok(Seen {
            captured: self.capture.end()?,
            traces: self.folder,
        })
    }

    /// A file that strace has still to write to, and its last line.
    fn unfinished(&self) -> Result<Option<(PathBuf, String)>> {
        for entry in fs::read_dir(&self.folder).context("cannot read the folder of traces")? {
            let path = entry?.path();
            let text =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            // Beneath a line may stand where it comes from.
            let mut lines = text.split(|byte| *byte == b'\n').rev();
            let last = lines.find(|line| !line.is_empty() && !line.starts_with(b" > "));
            let last = String::from_utf8_lossy(last.unwrap_or_default());
            let is_at_end = ["+++ exited", "+++ killed", "--- stopped by SIGSTOP"]
                .iter()
                .any(|end| last.contains(end));
            if !is_at_end {
                return Ok(Some((path, last.into_owned())));
            }
        }
        Ok(None)
    }
}
