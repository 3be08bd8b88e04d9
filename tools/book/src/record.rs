//! `cargo book record`: runs the recorded scenes and the measurements of a listing, one after another, and keeps what they show.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use mdbook_driver::MDBook;

use crate::compile::{self, Profile};
use crate::directive::{self, Directive, Part};
use crate::foreign;
use crate::listing::{Listing, suggestion};
use crate::measurement::{Definition, MeasuredRun, Measurement, Measurements, TASKSET};
use crate::project::Project;
use crate::recording::{Content, Provenance, Recording};
use crate::run::{Run, Runner};
use crate::scene::{Cast, Scene};
use crate::source::Source;

/// The arguments of `book record`.
#[derive(clap::Args, Clone, Debug)]
pub struct Record {
    /// A folder in listings/
    listing: String,
    /// Which of its recordings; all unless said otherwise
    names: Vec<String>,
}

/// Something that can be recorded.
enum Subject {
    Scene(Box<(Scene, Cast)>),
    Measurement(Definition),
}

/// A recording that is to be made.
struct Task {
    name: String,
    subject: Subject,
    runs: Vec<Run>,
}

impl Record {
    pub fn run(&self, project: &Project, tool: &Path) -> Result<()> {
        let listing = Listing::load(project, &self.listing)?;
        let subjects = self.chosen(subjects(project, &listing)?)?;
        foreign::check(subjects.values().flat_map(Subject::foreign))?;
        for (listing, programs) in needed(&listing, &subjects)? {
            compile::compile_release(project, &listing, programs.iter().map(String::as_str))?;
        }

        let mut tasks = Vec::new();
        for (name, subject) in subjects {
            let runs = subject.runs(project, &listing, &name)?;
            tasks.push(Task {
                name,
                subject,
                runs,
            });
        }
        // Scenes first: they take the least time to show a mistake.
        tasks.sort_by_key(|task| matches!(task.subject, Subject::Measurement(_)));
        let length = tasks.iter().map(|task| task.runs.len()).sum();
        let runner = Runner::new(project, tool, length, "runs")?;
        let mut failures = Vec::new();
        for task in &tasks {
            let path = format!("listings/{}/recordings/{}.json", listing.name, task.name);
            match task.record(&runner, &listing) {
                Ok(()) => runner.progress.say(&format!("recorded {path}")),
                Err(error) => failures.push(format!("{}: {error:#}", task.name)),
            }
        }
        drop(runner);
        ensure!(failures.is_empty(), failures.join("\n"));
        Ok(())
    }

    /// Those of `subjects` that are asked for.
    fn chosen(&self, mut subjects: BTreeMap<String, Subject>) -> Result<BTreeMap<String, Subject>> {
        ensure!(
            !subjects.is_empty(),
            "there is nothing to record of {:?}: no chapter has a recorded scene of it, and it has no measurements.toml",
            self.listing
        );
        if self.names.is_empty() {
            return Ok(subjects);
        }
        let known: Vec<String> = subjects.keys().cloned().collect();
        for name in &self.names {
            if !known.contains(name) {
                bail!(
                    "{:?} has no recording {name:?}{}",
                    self.listing,
                    suggestion(name, &known)
                );
            }
        }
        subjects.retain(|name, _| self.names.contains(name));
        Ok(subjects)
    }
}

/// All that can be recorded of `listing`, by name.
fn subjects(project: &Project, listing: &Listing) -> Result<BTreeMap<String, Subject>> {
    let mut subjects = BTreeMap::new();
    for (name, definition) in Measurements::load(listing)?.recording {
        subjects.insert(name, Subject::Measurement(definition));
    }
    let book = MDBook::load(&project.root)?;
    for item in book.book.chapters() {
        let Some(path) = &item.source_path else {
            continue;
        };
        let source = Source::read(
            project,
            &project.root.join(&book.config.book.src).join(path),
        )?;
        let (directives, mistakes) = directive::find(&source.text);
        if let Some(mistake) = mistakes.first() {
            bail!("{}: {:#}", source.at(mistake.position), mistake.error);
        }
        for directive in directives {
            let Some(Part::Recorded(scene)) = directive.part else {
                continue;
            };
            let location = source.at(directive.range.start);
            add(&mut subjects, project, listing, scene).context(location)?;
        }
    }
    Ok(subjects)
}

/// Adds a recorded scene, if it is one of `listing`.
fn add(
    subjects: &mut BTreeMap<String, Subject>,
    project: &Project,
    listing: &Listing,
    scene: Scene,
) -> Result<()> {
    let Some(name) = scene
        .recorded
        .clone()
        .filter(|_| scene.listing == listing.name)
    else {
        return Ok(());
    };
    match subjects.get(&name) {
        Some(Subject::Scene(other)) if other.0.words() == scene.words() => {}
        Some(_) => bail!("something else is recorded as {name:?}, too"),
        None => {
            let cast = scene.check(project)?;
            subjects.insert(name, Subject::Scene(Box::new((scene, cast))));
        }
    }
    Ok(())
}

/// The listings that must be compiled, and their programs.
fn needed(
    listing: &Listing,
    subjects: &BTreeMap<String, Subject>,
) -> Result<Vec<(Listing, BTreeSet<String>)>> {
    let mut needed = BTreeMap::<String, (Listing, BTreeSet<String>)>::new();
    let mut need = |listing: &Listing, programs: Vec<String>| {
        let entry = needed.entry(listing.name.clone());
        let (_, known) = entry.or_insert_with(|| (listing.clone(), BTreeSet::new()));
        known.extend(programs);
    };
    for subject in subjects.values() {
        match subject {
            Subject::Measurement(definition) => need(listing, definition.programs()?),
            Subject::Scene(scene) => {
                for listing in scene.1.all() {
                    let programs = scene.1.programs_of(&listing.name);
                    need(listing, programs.map(String::from).collect());
                }
            }
        }
    }
    let mut needed: Vec<_> = needed.into_values().collect();
    needed.retain(|(_, programs)| !programs.is_empty());
    Ok(needed)
}

impl Subject {
    /// The programs that it needs and no listing has.
    fn foreign(&self) -> Vec<&str> {
        match self {
            Subject::Scene(scene) => scene.1.foreign().collect(),
            Subject::Measurement(definition) if definition.one_core => vec![TASKSET],
            Subject::Measurement(_) => Vec::new(),
        }
    }

    /// What has to run for it, in this order.
    fn runs(&self, project: &Project, listing: &Listing, name: &str) -> Result<Vec<Run>> {
        let run = |location: String, directive, cast: Option<&Cast>| {
            let alone = [listing].into_iter();
            let programs = match cast {
                Some(cast) => compile::programs_of_all(project, cast.all(), Profile::Release),
                None => compile::programs_of_all(project, alone, Profile::Release),
            };
            Run {
                number: 0,
                directive,
                location,
                folder: PathBuf::from(&project.root),
                address: cast.and_then(|cast| cast.listing.address),
                programs,
                recording: true,
            }
        };
        match self {
            Subject::Scene(scene) => {
                let (scene, cast) = &**scene;
                let directive =
                    Directive::alone(scene.command()?, Some(Part::Scene(scene.clone())));
                Ok(vec![run(name.into(), directive, Some(cast))])
            }
            Subject::Measurement(definition) => {
                let mut runs = Vec::new();
                for round in 1..=definition.rounds {
                    for server in &definition.servers {
                        let measurement = Measurement {
                            one_core: definition.one_core,
                            listing: listing.name.clone(),
                            server: server.clone(),
                            load: definition.load.clone(),
                        };
                        let directive = Directive::alone(measurement.command()?, None);
                        runs.push(run(
                            format!("{name}, round {round}: {server}"),
                            directive,
                            None,
                        ));
                    }
                }
                Ok(runs)
            }
        }
    }
}

impl Task {
    /// Runs what has to run, and writes the recording when all of it has ended well.
    fn record(&self, runner: &Runner, listing: &Listing) -> Result<()> {
        let outputs = self.runs.iter().map(|run| runner.run(run));
        let outputs: Vec<String> = outputs.collect::<Result<_>>()?;
        let (content, provenance) = match &self.subject {
            Subject::Scene(scene) => {
                let (scene, cast) = &**scene;
                let content = Content::Scene {
                    words: scene.words(),
                    terminals: serde_json::from_str(&outputs.concat())?,
                };
                (content, Provenance::here(cast.all(), cast.foreign()))
            }
            Subject::Measurement(definition) => {
                let servers = definition.servers.iter().cycle();
                let runs = servers.zip(&outputs).map(|(server, output)| {
                    Ok(MeasuredRun {
                        server: server.clone(),
                        figures: serde_json::from_str(output)?,
                    })
                });
                let content = Content::Measurement {
                    definition: definition.clone(),
                    runs: runs.collect::<Result<_>>()?,
                };
                (content, Provenance::here([listing].into_iter(), []))
            }
        };
        Recording::new(provenance, content).store(listing, &self.name)
    }
}
