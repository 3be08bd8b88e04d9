//! One run of a scene for a reader: its programs are compiled if they must be, and then run under guard, as when the book is built.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedSender;

use super::scratch::{Changes, Scratch};
use crate::compile::{self, Profile};
use crate::directive::{Directive, Part};
use crate::guard::{Job, Purpose, Report};
use crate::listing::Listing;
use crate::live::Event;
use crate::project::Project;
use crate::run::{Jobs, Run};
use crate::scene::{Cast, Scene};
use crate::text;

/// What is run, and for whom.
pub struct Play {
    pub project: Project,
    pub tool: PathBuf,
    /// With the values that the reader wants.
    pub scene: Scene,
    /// By listing.
    pub changes: BTreeMap<String, Changes>,
    /// The first program is left running alone until it has been idle for so many seconds.
    pub alone: Option<u64>,
    /// When nobody receives them any more, it is over.
    pub events: UnboundedSender<Event>,
}

impl Play {
    /// Starts it. It has `permits` until it ends.
    pub fn start(self, permits: Vec<OwnedSemaphorePermit>) {
        let runtime = Handle::current();
        // A thread of its own, which lives as long as what it starts: the kernel kills that when the thread ends.
        thread::spawn(move || {
            let end = match self.play(&runtime) {
                Ok(()) => Event::Over,
                Err(error) => Event::Failed {
                    message: text::readable(format!("{error:#}").as_bytes()),
                },
            };
            drop(permits);
            // Nobody may be there to hear it.
            let _ = self.events.send(end);
        });
    }

    fn play(&self, runtime: &Handle) -> Result<()> {
        let cast = self.scene.check(&self.project)?;
        let is_changed = |listing: &&Listing| {
            let changes = self.changes.get(&listing.name);
            changes.is_some_and(|changes| !changes.is_empty())
        };
        let mut programs = BTreeMap::new();
        for listing in cast.all().filter(|listing| !is_changed(listing)) {
            programs.insert(listing.name.clone(), self.find(listing, &cast)?);
        }
        let jobs = Jobs::new(&self.project, &self.tool)?;
        // What is compiled for this run alone is there until its end.
        let folder = jobs.folder()?;
        for listing in cast.all().filter(is_changed) {
            let changes = &self.changes[&listing.name];
            let place = self.compile(listing, changes, &cast, folder.path(), runtime)?;
            programs.insert(listing.name.clone(), place);
        }
        let run = Run {
            number: 0,
            directive: Directive::alone(
                self.scene.command()?,
                Some(Part::Scene(self.scene.clone())),
            ),
            location: cast.listing.name.clone(),
            folder: self.project.root.clone(),
            address: cast.listing.address,
            programs,
            purpose: Purpose::Live,
            alone: self.alone,
        };
        let (_folder, job, path) = jobs.prepare(&run)?;
        let report = self.guard(&job, &path, runtime, |line| {
            // Nobody may be there to receive it: then the guard is told to stop.
            let _ = self.events.send(serde_json::from_str(line)?);
            Ok(())
        })?;
        match (report.trouble, report.code) {
            (_, Some(0)) => Ok(()),
            (Some(trouble), None) => bail!(trouble),
            _ => bail!("{}", message(&report.stderr)),
        }
    }

    /// The programs of a listing that has not been changed: the book has compiled them, unless that has not come to it yet.
    fn find(&self, listing: &Listing, cast: &Cast) -> Result<PathBuf> {
        let place = compile::programs(&self.project, listing, Profile::Dev);
        if !cast
            .programs_of(&listing.name)
            .all(|name| place.join(name).exists())
        {
            self.say(Event::Compile {
                listing: listing.name.clone(),
            });
            compile::compile(&self.project, listing)?;
        }
        Ok(place)
    }

    /// The programs of a listing with a reader's changes.
    fn compile(
        &self,
        listing: &Listing,
        changes: &Changes,
        cast: &Cast,
        folder: &Path,
        runtime: &Handle,
    ) -> Result<PathBuf> {
        self.say(Event::Compile {
            listing: listing.name.clone(),
        });
        let folder = folder.join(&listing.name);
        fs::create_dir(&folder)?;
        let scratch = Scratch {
            project: &self.project,
            listing,
            changes,
            programs: cast.programs_of(&listing.name).collect(),
            folder: &folder,
        };
        let compiled = scratch.compile(|job| {
            let path = job.write(&folder)?;
            let mut said = Vec::new();
            let report = self.guard(job, &path, runtime, |line| {
                said.extend(line.bytes().chain([b'\n']));
                Ok(())
            })?;
            match report.code {
                Some(_) => Ok((said, message(&report.stderr))),
                None => bail!(report.trouble.unwrap_or_default()),
            }
        });
        let compiled = compiled.with_context(|| format!("cannot compile {}", listing.name))?;
        self.say(Event::Diagnostics {
            listing: listing.name.clone(),
            diagnostics: compiled.diagnostics,
        });
        compiled
            .programs
            .with_context(|| format!("{} does not compile with your changes", listing.name))
    }

    /// Has a guard do a job, and hands over each line that it prints. Stops it when nobody waits for it any more.
    fn guard(
        &self,
        job: &Job,
        path: &Path,
        runtime: &Handle,
        mut hear: impl FnMut(&str) -> Result<()>,
    ) -> Result<Report> {
        // It gives a program the environment that is meant for it.
        let mut guard = Command::new(&self.tool);
        guard
            .arg("guard")
            .arg(path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // Ctrl-C is for the tool alone: the guard is to clear up.
            .process_group(0);
        let mut guard = guard.spawn().context("cannot start a guard")?;
        let lines = BufReader::new(guard.stdout.take().context("the guard has no output")?).lines();
        let guard = Arc::new(Mutex::new(guard));
        let watcher = runtime.spawn({
            let (guard, events) = (Arc::clone(&guard), self.events.clone());
            async move {
                events.closed().await;
                stop(&guard);
            }
        });
        // It is waited for whatever it says: it is to clear up.
        let heard = lines.into_iter().try_for_each(|line| hear(&line?));
        watcher.abort();
        if heard.is_err() || self.events.is_closed() {
            stop(&guard);
        }
        guard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .wait()?;
        heard.context("cannot understand what the guard says")?;
        let report = fs::read(&job.report).context("it did not come to an end")?;
        Ok(serde_json::from_slice(&report)?)
    }

    /// Nobody may be there to hear it.
    fn say(&self, event: Event) {
        let _ = self.events.send(event);
    }
}

/// What the tool said when it failed.
fn message(stderr: &[u8]) -> String {
    String::from_utf8_lossy(stderr)
        .trim()
        .trim_start_matches("error: ")
        .to_owned()
}

/// Tells the guard to stop, and so to clear up.
fn stop(guard: &Mutex<Child>) {
    let mut guard = guard.lock().unwrap_or_else(PoisonError::into_inner);
    // Once it has been waited for, its number may be another one's.
    if let (Ok(None), Some(process)) = (guard.try_wait(), Pid::from_raw(guard.id() as i32)) {
        let _ = kill_process(process, Signal::TERM);
    }
}
