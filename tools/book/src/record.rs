//! `cargo book record`: watches the scenes that have a replay, runs the recorded scenes and the measurements of a listing, one after
//! another, and keeps what they show; with `--check` it watches again, and compares.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use mdbook_driver::MDBook;

use crate::compare;
use crate::compile::{self, Profile};
use crate::directive::{self, Directive, Part};
use crate::foreign;
use crate::guard::Purpose;
use crate::listing::{self, Listing, suggestion};
use crate::measurement::{Definition, MeasuredRun, Measurement, Measurements, TASKSET};
use crate::namespace::{self, Own};
use crate::project::Project;
use crate::recording::{self, Content, Provenance, Recording};
use crate::run::{Run, Runner};
use crate::scene::{Cast, Scene};
use crate::source::Source;
use crate::story::Story;
use crate::witness;

/// The arguments of `book record`.
#[derive(clap::Args, Clone, Debug)]
pub struct Record {
    /// A folder in listings/; without it, the replays of all listings
    listing: Option<String>,
    /// Which of its recordings; all unless said otherwise
    names: Vec<String>,
    /// Keep the recordings, and fail if a replay's story is no longer the same; what is measured is not compared
    #[arg(long)]
    check: bool,
}

/// How often a scene may tell another story than its recording, or none, before that counts. Where programs race, as a reset does with
/// a shutdown, both ends are real; strace gives up if a program is killed at the wrong moment. A listing that does something else
/// never tells the old story.
const ATTEMPTS: usize = 3;

/// Something that can be recorded.
enum Subject {
    /// A scene that is shown as it was.
    Scene(Box<(Scene, Cast)>),
    /// A scene that is watched.
    Story(Box<(Scene, Cast)>),
    Measurement(Definition),
}

/// A recording that is to be made.
struct Task {
    listing: Listing,
    name: String,
    subject: Subject,
    runs: Vec<Run>,
}

impl Record {
    pub fn run(&self, project: &Project, tool: &Path) -> Result<()> {
        let names = match &self.listing {
            Some(name) => vec![name.clone()],
            None => listing::names(project)?,
        };
        let mut work = Vec::new();
        for name in names {
            let listing = Listing::load(project, &name)?;
            let mut subjects = subjects(project, &listing)?;
            if self.listing.is_some() {
                subjects = self.chosen(subjects)?;
            }
            // What is measured takes minutes, and is only measured of a listing that is named.
            let stories_alone = self.check || self.listing.is_none();
            subjects.retain(|_, subject| !stories_alone || matches!(subject, Subject::Story(_)));
            work.push((listing, subjects));
        }
        let subjects = || work.iter().flat_map(|(_, subjects)| subjects.values());
        // All that can be missing is missed before anything is done.
        foreign::check(subjects().flat_map(Subject::foreign))?;
        if subjects().any(|subject| matches!(subject, Subject::Story(_))) {
            let only_linux = "a replay is recorded in a network namespace of its own";
            namespace::is_possible(tool, Own::Network).context(only_linux)?;
            witness::check()?;
        }
        for (listing, subjects) in &work {
            compile(project, listing, subjects)?;
        }

        let mut tasks = Vec::new();
        for (listing, subjects) in work {
            for (name, subject) in subjects {
                let runs = subject.runs(project, &listing, &name)?;
                tasks.push(Task {
                    listing: listing.clone(),
                    name,
                    subject,
                    runs,
                });
            }
        }
        // Scenes first: they take the least time to show a mistake.
        tasks.sort_by_key(|task| matches!(task.subject, Subject::Measurement(_)));
        let length = tasks.iter().map(|task| task.runs.len()).sum();
        let runner = Runner::new(project, tool, length, "runs")?;
        let mut failures = Vec::new();
        for task in &tasks {
            let path = recording::shown(&task.listing.name, &task.name);
            let result = match self.check {
                true => task
                    .check(&runner)
                    .map(|()| format!("{path} still tells the story")),
                false => task.record(&runner).map(|()| format!("recorded {path}")),
            };
            match result {
                Ok(message) => runner.progress.say(&message),
                Err(error) => failures.push(format!("{path}: {error:#}")),
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
            "there is nothing to record of {:?}: no chapter has a scene of it with a replay or a recording, and it has no measurements.toml",
            self.listing.as_deref().unwrap_or_default()
        );
        if self.names.is_empty() {
            return Ok(subjects);
        }
        let known: Vec<String> = subjects.keys().cloned().collect();
        for name in &self.names {
            if !known.contains(name) {
                bail!(
                    "{:?} has no recording {name:?}{}",
                    self.listing.as_deref().unwrap_or_default(),
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
            let (Some(Part::Recorded(scene)) | Some(Part::Scene(scene))) = directive.part else {
                continue;
            };
            let location = source.at(directive.range.start);
            add(&mut subjects, project, listing, scene).context(location)?;
        }
    }
    Ok(subjects)
}

/// Adds a scene that is to be recorded or watched, if it is one of `listing`.
fn add(
    subjects: &mut BTreeMap<String, Subject>,
    project: &Project,
    listing: &Listing,
    scene: Scene,
) -> Result<()> {
    let name = scene.recorded.as_ref().or(scene.replay.as_ref());
    let Some(name) = name.filter(|_| scene.listing == listing.name).cloned() else {
        return Ok(());
    };
    match subjects.get(&name) {
        Some(Subject::Scene(other) | Subject::Story(other)) if other.0.is_like(&scene) => {}
        Some(_) => bail!("something else is recorded as {name:?}, too"),
        None => {
            let cast = scene.check(project)?;
            let is_watched = scene.replay.is_some();
            let scene = Box::new((scene, cast));
            let subject = if is_watched {
                Subject::Story(scene)
            } else {
                Subject::Scene(scene)
            };
            subjects.insert(name, subject);
        }
    }
    Ok(())
}

/// Compiles what the subjects of `listing` need, its own programs and those of others.
fn compile(
    project: &Project,
    listing: &Listing,
    subjects: &BTreeMap<String, Subject>,
) -> Result<()> {
    let mut fast = BTreeMap::<String, (Listing, BTreeSet<String>)>::new();
    let mut watched = BTreeMap::<String, Listing>::new();
    let mut need = |listing: &Listing, programs: Vec<String>| {
        let entry = fast.entry(listing.name.clone());
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
            Subject::Story(scene) => {
                let all = scene.1.all();
                watched.extend(all.map(|listing| (listing.name.clone(), listing.clone())));
            }
        }
    }
    for (listing, programs) in fast.values().filter(|(_, programs)| !programs.is_empty()) {
        compile::compile_release(project, listing, programs.iter().map(String::as_str))?;
    }
    for listing in watched.values() {
        compile::compile_watched(project, listing)?;
    }
    Ok(())
}

impl Subject {
    /// The programs that it needs and no listing has.
    fn foreign(&self) -> Vec<&str> {
        match self {
            Subject::Scene(scene) => scene.1.foreign().collect(),
            Subject::Story(_) => vec![witness::STRACE],
            Subject::Measurement(definition) if definition.one_core => vec![TASKSET],
            Subject::Measurement(_) => Vec::new(),
        }
    }

    /// What has to run for it, in this order.
    fn runs(&self, project: &Project, listing: &Listing, name: &str) -> Result<Vec<Run>> {
        let purpose = match self {
            Subject::Story(_) => Purpose::Story,
            _ => Purpose::Recording,
        };
        let run = |location: String, directive, cast: Option<&Cast>| {
            let profile = match purpose {
                Purpose::Story => Profile::Watched,
                _ => Profile::Release,
            };
            let programs = match cast {
                Some(cast) => compile::programs_of_all(project, cast.all(), profile),
                None => compile::programs_of_all(project, [listing].into_iter(), profile),
            };
            Run {
                number: 0,
                directive,
                location,
                folder: PathBuf::from(&project.root),
                address: cast.and_then(|cast| cast.listing.address),
                programs,
                purpose,
                alone: None,
            }
        };
        match self {
            Subject::Scene(scene) | Subject::Story(scene) => {
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
    fn record(&self, runner: &Runner) -> Result<()> {
        let outputs = self.outputs(runner)?;
        let (content, provenance) = match &self.subject {
            Subject::Scene(scene) => {
                let (scene, cast) = &**scene;
                let content = Content::Scene {
                    words: scene.words(),
                    terminals: serde_json::from_str(&outputs.concat())?,
                };
                (content, Provenance::here(cast.all(), cast.foreign()))
            }
            Subject::Story(scene) => {
                let (scene, cast) = &**scene;
                let content = Content::Story {
                    words: scene.words(),
                    story: serde_json::from_str(&outputs.concat())?,
                };
                (content, Provenance::here(cast.all(), [witness::STRACE]))
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
                (content, Provenance::here([&self.listing].into_iter(), []))
            }
        };
        Recording::new(provenance, content).store(&self.listing, &self.name)
    }

    /// Watches the scene again, and fails if it tells another story than the recording, however often it is asked.
    fn check(&self, runner: &Runner) -> Result<()> {
        let Subject::Story(scene) = &self.subject else {
            bail!("only a replay can be compared");
        };
        let recorded = scene.0.recorded_story(&self.listing, &scene.1)?;
        let mut attempt = 1;
        loop {
            let command = recording::command(&self.listing.name, &self.name);
            let again = self.outputs(runner).and_then(|outputs| {
                let again: Story = serde_json::from_str(&outputs.concat())?;
                compare::same(&recorded.story, &again).with_context(|| {
                    format!("it tells another story now; `{command}` records that")
                })
            });
            match again {
                Err(error) if attempt < ATTEMPTS => {
                    let path = recording::shown(&self.listing.name, &self.name);
                    runner
                        .progress
                        .say(&format!("{path}: once more, since {error:#}"));
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    fn outputs(&self, runner: &Runner) -> Result<Vec<String>> {
        self.runs.iter().map(|run| runner.run(run)).collect()
    }
}
