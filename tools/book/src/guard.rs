//! The guard stands between mdbook-cmdrun and the command of a directive, because mdbook-cmdrun drops stderr, sets no time limit
//! and waits for every child that holds on to its output (FACTS: it runs `sh -c COMMAND` and reads to the end).
//!
//! mdbook-cmdrun starts `book guard JOB`; the guard runs the command as it would have done, stops it with all its descendants
//! when its time is over, when it prints too much, or when the tool is gone, and leaves a [`Report`] beside the job.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::io::Errno;
use rustix::process::{Signal, WaitOptions};
use serde::{Deserialize, Serialize};
use signal_hook::consts::{SIGHUP, TERM_SIGNALS};

use crate::janitor;
use crate::limits::{self, Usage};
use crate::namespace::Own;
use crate::process::{self, Process};
use crate::project::Project;

/// How long it is tried to kill what is left of a command: a program may belong to somebody else by now.
const SWEEPING: Duration = Duration::from_secs(10);

/// Tells `book` that it runs in a job, and where that is written down.
const JOB: &str = "BOOK_JOB";

/// What a command is run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// To be shown: a scene prints Markdown.
    Page,
    /// To be recorded: a scene's programs have been compiled to be fast, and it prints its terminals as JSON.
    Recording,
    /// To be seen while it runs: a scene prints what happens in it, as it happens, a line of JSON for each [`Event`](crate::live::Event).
    Live,
    /// To be told: a scene is watched call by call and packet by packet, and prints its story as JSON.
    Story,
}

/// What a guard is to run.
#[derive(Serialize, Deserialize)]
pub struct Job {
    /// For `sh -c`.
    pub command: String,
    /// Seconds after which it is stopped.
    pub deadline: u64,
    /// Bytes that it may print.
    pub limit: usize,
    /// Where the programs are that a scene plays, by listing: the tool has compiled them, and knows what the sources were then.
    pub programs: BTreeMap<String, PathBuf>,
    pub purpose: Purpose,
    /// A scene's first program is left running alone until it has been idle for so many seconds.
    #[serde(default)]
    pub alone: Option<u64>,
    /// What a scene has of its own: a little internet, say.
    pub own: Option<Own>,
    /// Whether it compiles: in the reader's own environment, as all of the book is compiled, and with the memory that this takes.
    #[serde(default)]
    pub compiles: bool,
    pub project: Project,
    /// Where to leave the report.
    pub report: PathBuf,
    /// The process of the tool: when it is gone, so is the reason to run.
    pub tool: u32,
}

impl Job {
    /// Writes it down in `folder`, which will be removed afterwards.
    pub fn write(&self, folder: &Path) -> Result<PathBuf> {
        let path = folder.join("job.json");
        fs::write(&path, serde_json::to_vec(self)?).context("cannot write a job")?;
        Ok(path)
    }

    fn read(path: &Path) -> Result<Job> {
        let job =
            fs::read(path).with_context(|| format!("cannot read the job {}", path.display()))?;
        serde_json::from_slice(&job).context("cannot understand the job")
    }

    /// The job that this program runs in, if any.
    pub fn current() -> Result<Option<Job>> {
        let path = std::env::var_os(JOB).map(PathBuf::from);
        path.map(|path| Job::read(&path)).transpose()
    }

    /// The folder that will be removed afterwards.
    pub fn folder(&self) -> &Path {
        self.report.parent().unwrap_or(Path::new("."))
    }
}

/// How a command went.
#[derive(Serialize, Deserialize)]
pub struct Report {
    /// Its exit code; none if it did not end by itself.
    pub code: Option<i32>,
    /// Why it has no exit code.
    pub trouble: Option<String>,
    /// What it printed on stderr.
    pub stderr: Vec<u8>,
}

/// Runs the job in the file `path`; prints the command's stdout.
pub fn run(path: &Path) -> Result<()> {
    let job = Job::read(path)?;

    // Whoever loses its parent becomes a child of the guard, and can be found below.
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    // Whatever ends the tool, with its whole group perhaps: the guard must live long enough to clear up.
    rustix::process::setpgid(None, None)?;
    let told_to_stop = Arc::new(AtomicBool::new(false));
    for signal in TERM_SIGNALS.iter().chain(&[SIGHUP]) {
        signal_hook::flag::register(*signal, Arc::clone(&told_to_stop))?;
    }

    let mut shell = match job.compiles {
        true => Command::new("sh"),
        false => process::command(Path::new("sh")),
    };
    shell
        .arg("-c")
        .arg(match job.purpose {
            // Pages come first.
            Purpose::Live => format!("nice -n 10 {}", job.command),
            _ => job.command.clone(),
        })
        .env("PATH", path_with_tool(&job.folder().join("bin"))?)
        .env(JOB, path);
    let mut process = Process::start(shell, job.limit)?;
    let mut told = 0;
    let outcome = watch(&mut process, &job, &told_to_stop, &mut told);
    let stopped = process.stop();
    sweep();
    if !is_parent(job.tool) {
        // Nobody else may be left to do it.
        return janitor::clear_up(&job.project, job.tool);
    }

    let (code, trouble) = match outcome.and_then(|status| stopped.map(|()| status)) {
        Ok(status) => (
            status.code(),
            process::complaint(status, status.code().unwrap_or(0)),
        ),
        Err(error) => (None, Some(format!("{error:#}"))),
    };
    pass_on(&process, &mut told)?;
    let report = Report {
        code,
        trouble,
        stderr: process.stderr(),
    };
    fs::write(&job.report, serde_json::to_vec(&report)?)
        .with_context(|| format!("cannot write {}", job.report.display()))
}

/// Waits for the end of the command, or for a reason to end it.
fn watch(
    process: &mut Process,
    job: &Job,
    told_to_stop: &AtomicBool,
    told: &mut usize,
) -> Result<ExitStatus> {
    let mut usage = (job.purpose == Purpose::Live).then(|| {
        let memory = match job.compiles {
            true => limits::COMPILER_MEMORY,
            false => limits::MEMORY,
        };
        Usage::new(job.folder(), memory)
    });
    loop {
        process.look()?;
        if job.purpose == Purpose::Live {
            pass_on(process, told)?;
            if let Some(usage) = &mut usage {
                usage.check()?;
            }
        }
        if let Some(status) = process.status {
            return Ok(status);
        }
        if process.started.elapsed() > Duration::from_secs(job.deadline) {
            bail!("it did not end within {} s", job.deadline);
        }
        if told_to_stop.load(Ordering::Relaxed) || !is_parent(job.tool) {
            bail!("the tool was stopped");
        }
        process::wait(std::iter::once(&*process))?;
    }
}

/// Prints what the command has printed on stdout since the last time; `told` is how much of its output has been dealt with.
fn pass_on(process: &Process, told: &mut usize) -> Result<()> {
    let mut stdout = io::stdout().lock();
    for (stream, bytes) in &process.output[*told..] {
        if *stream == process::Stream::Stdout {
            stdout.write_all(bytes)?;
        }
    }
    *told = process.output.len();
    Ok(stdout.flush()?)
}

fn is_parent(process: u32) -> bool {
    rustix::process::getppid().is_some_and(|parent| parent.as_raw_nonzero().get() as u32 == process)
}

/// Kills what is left of the command: descendants that left its process group. On systems other than Linux they cannot be found.
fn sweep() {
    let start = Instant::now();
    while start.elapsed() < SWEEPING {
        // Those included that the guard has by being the subreaper.
        for child in limits::children(rustix::process::getpid()) {
            let _ = rustix::process::kill_process(child, Signal::KILL);
        }
        // While it changes, the list of children may lack one (proc_tid_children(5)). Whether there is one is certain here.
        match rustix::process::wait(WaitOptions::NOHANG) {
            Err(Errno::CHILD) => return,
            Ok(Some(_)) => {}
            _ => thread::yield_now(),
        }
    }
}

/// The path to programs with this one in front, so that a directive can say `book`: alone in a folder, since beside it there may be
/// programs whose names mean something else to a shell.
fn path_with_tool(folder: &Path) -> Result<OsString> {
    let tool = std::env::current_exe().context("cannot find this program")?;
    fs::create_dir_all(folder)?;
    std::os::unix::fs::symlink(tool, folder.join("book"))?;
    let others = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&others));
    std::env::join_paths(folders).context("cannot extend PATH")
}
