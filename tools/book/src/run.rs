//! Runs directives: several at the same time, each by mdbook-cmdrun, under guard.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Error, Result, anyhow, bail};
use mdbook_cmdrun::CmdRun;

use crate::compile::{self, Profile};
use crate::directive::{Directive, Part, Place};
use crate::file::Folder;
use crate::guard::{Job, Purpose, Report};
use crate::namespace::{self, Own};
use crate::process::OUTPUT_LIMIT;
use crate::progress::Progress;
use crate::project::Project;
use crate::scene::{SERVER_OUTPUT_LIMIT, Scene};
use crate::text;
use crate::turn::Turn;

/// Seconds that a command other than a scene may take.
const DEADLINE: u64 = 10;

/// Seconds that one run of a measurement may take.
const MEASUREMENT_DEADLINE: u64 = 300;

/// A scene's Markdown may be that much longer than what its programs print.
const MARKDOWN_LIMIT: usize = 16 * OUTPUT_LIMIT;

/// And its events, with each escaped letter by letter.
const EVENTS_LIMIT: usize = 8 * SERVER_OUTPUT_LIMIT;

/// How many directives run at the same time: most of them wait for something.
const WORKERS: usize = 8;

/// A directive that is to run.
pub struct Run {
    /// What it is called in the channel of results.
    pub number: usize,
    pub directive: Directive,
    /// Where it stands, for messages: `src/echo.md:12`.
    pub location: String,
    /// The folder that mdbook-cmdrun runs the command in: the chapter's.
    pub folder: PathBuf,
    /// The documented address of the scene's listing.
    pub address: Option<SocketAddr>,
    /// Where the programs of the scene's listings are, by listing.
    pub programs: BTreeMap<String, PathBuf>,
    pub purpose: Purpose,
    /// A scene's first program is left running alone until it has been idle for so many seconds.
    pub alone: Option<u64>,
}

/// Where directives run, one by one or at the same time.
pub struct Runner {
    jobs: Jobs,
    pub progress: Progress,
}

/// What guards are to do.
pub struct Jobs {
    project: Project,
    tool: PathBuf,
    /// A folder for each of them. It is removed with this.
    folder: Folder,
    /// Whether each scene has a little internet of its own.
    is_isolated: bool,
}

impl Runner {
    /// For `length` directives; `name` is what they are called.
    pub fn new(project: &Project, tool: &Path, length: usize, name: &str) -> Result<Runner> {
        Ok(Runner {
            jobs: Jobs::new(project, tool)?,
            progress: Progress::start(length, name),
        })
    }

    /// Runs a directive, when it is its turn.
    pub fn run(&self, run: &Run) -> Result<String> {
        // Where each scene has an internet of its own, it need not wait for others.
        let _turn = run
            .address
            .filter(|_| !self.jobs.is_isolated)
            .map(Turn::wait);
        self.progress.begin(&run.location);
        let result = run_one(&self.jobs, run);
        self.progress.end();
        result
    }
}

/// Runs all of `runs`, and sends the result of each as soon as it is there. Scenes around the same address run one after another where
/// they would meet, so that each can have it.
pub fn start(
    project: &Project,
    tool: &Path,
    runs: Vec<Run>,
) -> Result<Receiver<(usize, Result<String>)>> {
    let runner = Runner::new(project, tool, runs.len(), "scenes")?;
    let mut by_address = BTreeMap::<SocketAddr, Vec<Run>>::new();
    let mut queue: Vec<Vec<Run>> = Vec::new();
    for run in runs {
        match run.address.filter(|_| !runner.jobs.is_isolated) {
            Some(address) => by_address.entry(address).or_default().push(run),
            None => queue.push(vec![run]),
        }
    }
    queue.extend(by_address.into_values());
    // The longest first: workers take from the end.
    queue.sort_by_key(Vec::len);

    let (sender, results) = mpsc::channel();
    // The last worker removes the folder, and ends the progress bar.
    let shared = Arc::new((Mutex::new(queue), runner));
    for _ in 0..WORKERS {
        let shared = Arc::clone(&shared);
        let sender = sender.clone();
        thread::spawn(move || {
            let (queue, runner) = &*shared;
            while let Some(group) = take(queue) {
                for run in group {
                    let result = runner.run(&run);
                    // Nobody is there to receive it if the build has failed already.
                    let _ = sender.send((run.number, result));
                }
            }
            // In this order: when the channel is closed, the folder is gone.
            drop(shared);
            drop(sender);
        });
    }
    Ok(results)
}

/// Plays a scene that an author tries in a terminal, exactly as a page's; returns its Markdown.
pub fn by_hand(project: &Project, tool: &Path, scene: Scene) -> Result<String> {
    let cast = scene.check(project)?;
    for listing in cast.all() {
        compile::compile(project, listing)?;
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    let command = shlex::try_join(words.iter().map(String::as_str))?;
    let run = Run {
        number: 0,
        directive: Directive::alone(format!("book {command}"), Some(Part::Scene(scene))),
        location: format!("a scene of {}", cast.listing.name),
        folder: std::env::current_dir()?,
        address: cast.listing.address,
        programs: compile::programs_of_all(project, cast.all(), Profile::Dev),
        purpose: Purpose::Page,
        alone: None,
    };
    let results = start(project, tool, vec![run])?;
    let (_, result) = results.recv().context("the scene was lost")?;
    results.iter().for_each(drop);
    result
}

impl Jobs {
    pub fn new(project: &Project, tool: &Path) -> Result<Jobs> {
        let prefix = format!("jobs-{}-", std::process::id());
        let folder = Folder::new(&project.make_state()?, &prefix)
            .context("cannot make a folder for jobs")?;
        Ok(Jobs {
            project: project.clone(),
            tool: tool.into(),
            folder,
            is_isolated: namespace::is_possible(tool, Own::Network).is_ok(),
        })
    }

    /// A folder for one of them, which is removed with this, too.
    pub fn folder(&self) -> Result<Folder> {
        Folder::new(self.folder.path(), "job-").context("cannot make a folder for a job")
    }

    /// What a reader's programs have of their own. Others are to reach a server that is left running.
    fn own_of_a_reader(&self, is_server: bool) -> Option<Own> {
        let has_processes = namespace::is_possible(&self.tool, Own::Both).is_ok();
        match (is_server, has_processes) {
            (false, true) => Some(Own::Both),
            (false, false) => Some(Own::Network),
            (true, true) => Some(Own::Processes),
            (true, false) => None,
        }
    }

    /// What a guard is to do for `run`: the job, where that is written down, and its folder.
    pub fn prepare(&self, run: &Run) -> Result<(Folder, Job, PathBuf)> {
        let directive = &run.directive;
        let folder = self.folder()?;
        let job = Job {
            command: directive.command.clone(),
            deadline: match (directive.scene(), run.purpose) {
                (Some(scene), purpose) => scene.longest(purpose, run.alone),
                (None, Purpose::Page) => DEADLINE,
                (None, _) => MEASUREMENT_DEADLINE,
            },
            limit: match (directive.scene(), run.purpose) {
                (Some(_), Purpose::Live) => EVENTS_LIMIT,
                (Some(_), _) => MARKDOWN_LIMIT,
                (None, _) => OUTPUT_LIMIT,
            },
            programs: run.programs.clone(),
            purpose: run.purpose,
            alone: run.alone,
            // What measures may need all of the machine.
            own: match run.purpose {
                _ if !self.is_isolated || directive.scene().is_none() => None,
                Purpose::Live => self.own_of_a_reader(run.alone.is_some()),
                _ => Some(Own::Network),
            },
            compiles: false,
            project: self.project.clone(),
            report: folder.path().join("report.json"),
            tool: std::process::id(),
        };
        let path = job.write(folder.path())?;
        Ok((folder, job, path))
    }
}

/// Has mdbook-cmdrun run one directive, under guard.
fn run_one(jobs: &Jobs, run: &Run) -> Result<String> {
    let directive = &run.directive;
    let (_folder, job, path) = jobs.prepare(run)?;

    // `exec`: the guard takes the place of the shell, and so sees when its parent, this process, is gone.
    let words = [jobs.tool.as_os_str(), "guard".as_ref(), path.as_os_str()];
    let words: Option<Vec<&str>> = words.into_iter().map(|word| word.to_str()).collect();
    let words = shlex::try_join(words.context("a path that is not UTF-8")?)?;
    let working_dir = run.folder.to_str().context("a path that is not UTF-8")?;
    let output = CmdRun::run_cmdrun(format!("exec {words}"), working_dir, !directive.ends_line)?;

    let Ok(report) = fs::read(&job.report) else {
        bail!(
            "the command `{}` did not come to an end: {}",
            directive.command,
            output.trim()
        );
    };
    let report: Report = serde_json::from_slice(&report)?;
    if report.code != Some(directive.expected) {
        return Err(failure(directive, &report, &output));
    }
    if run.purpose != Purpose::Page || directive.scene().is_some() {
        return Ok(output);
    }
    let output = text::readable(output.as_bytes());
    Ok(match directive.place {
        Place::Block => text::block(&output),
        Place::Inline if directive.ends_line => format!("{}\n", text::inline(&output)),
        Place::Inline => text::inline(&output),
        Place::Code => text::in_block(&output),
    })
}

fn take<T>(queue: &Mutex<Vec<T>>) -> Option<T> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

/// What to tell the author about a command that failed.
fn failure(directive: &Directive, report: &Report, output: &str) -> Error {
    let how = match (&report.trouble, report.code) {
        (Some(trouble), _) => trouble.clone(),
        (None, Some(code)) => format!("exit code {code} instead of {}", directive.expected),
        (None, None) => "no exit code".into(),
    };
    let mut message = format!(
        "the command failed: {how}\n  command: {}",
        directive.command
    );
    for (name, bytes) in [("stdout", output.as_bytes()), ("stderr", &report.stderr)] {
        let printed = text::readable(bytes);
        if !printed.trim().is_empty() {
            message.push_str(&format!("\n  {name}:"));
            for line in printed.trim_end().lines() {
                message.push_str(&format!("\n    {line}"));
            }
        }
    }
    anyhow!(message)
}
