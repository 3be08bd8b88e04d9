//! Starting programs in an environment that is always the same, seeing what they print as it comes, and stopping them with all
//! that they have started.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};
use serde::{Deserialize, Serialize};

/// A program that prints more than this, on stdout and stderr together, is stopped: its page could not be read anyway.
pub const OUTPUT_LIMIT: usize = 64 * 1024;

/// How often a wait looks up, to see whether time is over or the tool itself is to stop.
pub const TICK: Duration = Duration::from_millis(20);

/// How long to wait for the end of a program that has closed its output.
const SHORT_TICK: Duration = Duration::from_millis(1);

/// What of the reader's environment programs keep; the rest is fixed, so that it cannot change a page.
const KEPT: [&str; 7] = [
    "PATH",
    "HOME",
    "USER",
    "CARGO",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
];

/// A command in the fixed environment: no colours, no backtraces, plain UTF-8, universal time.
pub fn command(program: &Path) -> Command {
    let kept: Vec<(&str, OsString)> = KEPT
        .iter()
        .filter_map(|name| Some((*name, std::env::var_os(name)?)))
        .collect();
    let mut command = Command::new(program);
    command.env_clear().envs(kept).envs([
        ("LC_ALL", "C.UTF-8"),
        ("TZ", "UTC"),
        ("TERM", "dumb"),
        ("NO_COLOR", "1"),
    ]);
    command
}

/// Makes the kernel kill the command when the thread that started it ends, whatever ends it. Only Linux can.
pub fn die_with_parent(command: &mut Command) {
    #[cfg(target_os = "linux")]
    {
        let parent = rustix::process::getpid();
        // SAFETY: between fork and exec only two system calls are made, and nothing is allocated.
        unsafe {
            command.pre_exec(move || {
                rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
                // The parent may have died before that call.
                match rustix::process::getppid() {
                    Some(found) if found == parent => Ok(()),
                    _ => Err(io::ErrorKind::Interrupted.into()),
                }
            });
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = command;
}

/// Makes the kernel kill this process when its parent ends. Only Linux can.
pub fn die_with_this_parent() -> Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(())
}

/// Which of its two outputs a program used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Stream {
    Stdout,
    Stderr,
}

/// A program under way, in a process group of its own. Dropping it stops the whole group.
pub struct Process {
    child: Child,
    stdout: Option<File>,
    stderr: Option<File>,
    /// How many bytes it may print.
    limit: usize,
    /// What it has printed, in whole lines, in the order in which they were completed.
    pub output: Vec<(Stream, Vec<u8>)>,
    /// The beginnings of the next lines. Programs write to stderr in pieces, and stdout may come between two of them.
    unfinished: [(Stream, Vec<u8>); 2],
    /// When it was started.
    pub started: Instant,
    /// How it ended, if it has ended by itself.
    pub status: Option<ExitStatus>,
    reaped: bool,
}

impl Process {
    /// Starts `command` with an empty stdin. It may print `limit` bytes on stdout and stderr together.
    pub fn start(mut command: Command, limit: usize) -> Result<Process> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        die_with_parent(&mut command);
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let stdout = child.stdout.take().map(|pipe| OwnedFd::from(pipe).into());
        let stderr = child.stderr.take().map(|pipe| OwnedFd::from(pipe).into());
        for pipe in [&stdout, &stderr].into_iter().flatten() {
            let pipe: &File = pipe;
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        Ok(Process {
            child,
            stdout,
            stderr,
            limit,
            output: Vec::new(),
            unfinished: [(Stream::Stdout, Vec::new()), (Stream::Stderr, Vec::new())],
            started: Instant::now(),
            status: None,
            reaped: false,
        })
    }

    /// Takes what has come since the last call, without waiting, and notices the end of the program.
    ///
    /// What a program leaves behind when it ends (a child in the background, say) ends with it: nobody is there to watch it.
    pub fn look(&mut self) -> Result<()> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        if !self.reaped && waitid(WaitId::Pid(self.pid()?), options)?.is_some() {
            self.kill_group();
            self.status = Some(self.child.wait()?);
            self.reaped = true;
        }
        self.read()
    }

    /// Its number, while it is its own.
    pub fn id(&self) -> Option<Pid> {
        (!self.reaped).then(|| self.pid().ok()).flatten()
    }

    /// Whether the program has ended by itself.
    pub fn has_ended(&self) -> bool {
        self.status.is_some()
    }

    /// All that it has printed on stdout.
    pub fn stdout(&self) -> Vec<u8> {
        self.printed(Stream::Stdout)
    }

    /// All that it has printed on stderr.
    pub fn stderr(&self) -> Vec<u8> {
        self.printed(Stream::Stderr)
    }

    fn printed(&self, wanted: Stream) -> Vec<u8> {
        let pieces = self.output.iter().filter(|(stream, _)| *stream == wanted);
        pieces
            .flat_map(|(_, bytes)| bytes.iter().copied())
            .collect()
    }

    /// Kills the program's process group, and takes what is left of its output.
    pub fn stop(&mut self) -> Result<()> {
        if !self.reaped {
            self.kill_group();
            self.child.wait()?;
            self.reaped = true;
        }
        self.read()?;
        for (stream, line) in &mut self.unfinished {
            if !line.is_empty() {
                self.output.push((*stream, std::mem::take(line)));
            }
        }
        Ok(())
    }

    /// Keeps it from doing anything more, such as complaining that another program has been stopped.
    pub fn freeze(&self) {
        if !self.reaped {
            self.signal_group(Signal::STOP);
        }
    }

    fn kill_group(&self) {
        self.signal_group(Signal::KILL);
    }

    /// Only before the program is reaped: its number is then still its own, and so is that of its group.
    fn signal_group(&self, signal: Signal) {
        if let Ok(group) = self.pid() {
            // There may be nobody left in it.
            let _ = rustix::process::kill_process_group(group, signal);
        }
    }

    fn pid(&self) -> Result<Pid> {
        Pid::from_raw(self.child.id() as i32).context("a program without a number")
    }

    /// Whether it has begun a line and not ended it.
    pub fn is_in_a_line(&self) -> bool {
        self.unfinished.iter().any(|(_, bytes)| !bytes.is_empty())
    }

    /// Reads stderr first and shows it last: what was on stdout before a complaint has been read after it, and stands above it.
    fn read(&mut self) -> Result<()> {
        let [(_, out), (_, err)] = &mut self.unfinished;
        let err_is_at_end = read_available(&mut self.stderr, err, self.limit)?;
        let out_is_at_end = read_available(&mut self.stdout, out, self.limit)?;
        let at_end = [out_is_at_end, err_is_at_end];
        for ((stream, line), is_at_end) in self.unfinished.iter_mut().zip(at_end) {
            let whole = match line.iter().rposition(|byte| *byte == b'\n') {
                _ if is_at_end => line.len(),
                Some(position) => position + 1,
                None => 0,
            };
            if whole > 0 {
                self.output.push((*stream, line.drain(..whole).collect()));
            }
        }
        let printed = self.output.iter().chain(&self.unfinished);
        if printed.map(|(_, bytes)| bytes.len()).sum::<usize>() > self.limit {
            bail!("it printed more than {} KiB", self.limit / 1024);
        }
        Ok(())
    }
}

/// Appends to `buffer` what can be read from `pipe` without waiting, but not much more than `limit` bytes. Closes the pipe at its end,
/// and says whether it is closed.
fn read_available(pipe: &mut Option<File>, buffer: &mut Vec<u8>, limit: usize) -> Result<bool> {
    let mut bytes = [0; 8192];
    while let Some(file) = pipe {
        match file.read(&mut bytes) {
            Ok(0) => *pipe = None,
            Ok(count) => buffer.extend(&bytes[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error).context("cannot read its output"),
        }
        if buffer.len() > limit {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

/// Waits until one of `processes` may have printed something or ended, or until a tick is over.
pub fn wait<'a>(processes: impl Iterator<Item = &'a Process>) -> Result<()> {
    let mut tick = TICK;
    let mut pipes = Vec::new();
    for process in processes {
        for pipe in [&process.stdout, &process.stderr].into_iter().flatten() {
            pipes.push(PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN));
        }
        if process.stdout.is_none() && process.stderr.is_none() && !process.has_ended() {
            tick = SHORT_TICK;
        }
    }
    let tick = Timespec::try_from(tick)?;
    match poll(&mut pipes, Some(&tick)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error).context("cannot wait for programs"),
    }
}

/// How a program ended, in words, unless it ended with the exit code `expected`.
pub fn complaint(status: ExitStatus, expected: i32) -> Option<String> {
    match status.code() {
        Some(code) if code == expected => None,
        Some(code) => Some(format!(
            "it ended with exit code {code} instead of {expected}"
        )),
        None => Some(format!(
            "it was killed by signal {}",
            status.signal().unwrap_or_default()
        )),
    }
}
