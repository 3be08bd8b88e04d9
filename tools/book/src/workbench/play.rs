//! One run of a scene: its programs are compiled if they must be, and then run under guard, as when the book is built.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::Sender;

use crate::compile::{self, Profile};
use crate::directive::Directive;
use crate::directive::Part;
use crate::guard::{Purpose, Report};
use crate::live::Event;
use crate::process;
use crate::project::Project;
use crate::run::{self, Run, Runner};
use crate::scene::Scene;

/// Starts it. It ends with the scene, or when nobody receives its events any more.
pub fn start(
    project: Project,
    tool: PathBuf,
    scene: Scene,
    inputs: BTreeMap<String, String>,
    events: Sender<Event>,
    permit: OwnedSemaphorePermit,
) {
    let handle = tokio::runtime::Handle::current();
    // A thread of its own, which lives as long as what it starts: the kernel kills that when the thread ends.
    thread::spawn(move || {
        let end = match play(&project, &tool, scene, inputs, &events, &handle) {
            Ok(()) => Event::Over,
            Err(error) => Event::Failed {
                message: crate::text::readable(format!("{error:#}").as_bytes()),
            },
        };
        drop(permit);
        // Nobody may be there to hear it.
        let _ = events.blocking_send(end);
    });
}

fn play(
    project: &Project,
    tool: &std::path::Path,
    scene: Scene,
    inputs: BTreeMap<String, String>,
    events: &Sender<Event>,
    runtime: &tokio::runtime::Handle,
) -> Result<()> {
    let cast = scene.check(project)?;
    for listing in cast.all() {
        if !compile::programs(project, listing, Profile::Dev).exists() {
            let listing = listing.name.clone();
            if events.blocking_send(Event::Compile { listing }).is_err() {
                return Ok(());
            }
        }
        compile::compile(project, listing)?;
    }
    let runner = Runner::new(project, tool, 1, "runs")?;
    let run = Run {
        number: 0,
        directive: Directive::alone(scene.command()?, Some(Part::Scene(scene))),
        location: cast.listing.name.clone(),
        folder: project.root.clone(),
        address: cast.listing.address,
        programs: compile::programs_of_all(project, cast.all(), Profile::Dev),
        purpose: Purpose::Live,
        inputs,
    };
    let (_folder, job, path) = run::prepare(&runner, &run)?;
    let mut guard = process::command(tool);
    guard.arg("guard").arg(&path).stdin(Stdio::null()).stdout(Stdio::piped());
    process::die_with_parent(&mut guard);
    let mut guard = guard.spawn().context("cannot start a guard")?;
    let lines = BufReader::new(guard.stdout.take().context("the guard has no output")?).lines();
    let guard = Arc::new(Mutex::new(guard));
    let watcher = runtime.spawn({
        let (guard, events) = (Arc::clone(&guard), events.clone());
        async move {
            events.closed().await;
            stop(&guard);
        }
    });
    for line in lines {
        let event = serde_json::from_str(&line.context("cannot read what the guard says")?)?;
        if events.blocking_send(event).is_err() {
            break;
        }
    }
    let is_wanted = !events.is_closed();
    if !is_wanted {
        stop(&guard);
    }
    guard.lock().unwrap_or_else(PoisonError::into_inner).wait()?;
    watcher.abort();
    if !is_wanted {
        return Ok(());
    }
    let report = fs::read(&job.report).context("the scene did not come to an end")?;
    let report: Report = serde_json::from_slice(&report)?;
    match (report.trouble, report.code) {
        (_, Some(0)) => Ok(()),
        (Some(trouble), None) => bail!(trouble),
        _ => bail!("{}", String::from_utf8_lossy(&report.stderr).trim()),
    }
}

/// Tells the guard to stop, and so to clear up.
fn stop(guard: &Mutex<Child>) {
    let guard = guard.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(process) = Pid::from_raw(guard.id() as i32) {
        let _ = kill_process(process, Signal::TERM);
    }
}
