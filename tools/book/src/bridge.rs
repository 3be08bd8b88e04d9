//! The bridge between mdBook 0.5 and mdbook-cmdrun, whose own preprocessor speaks to mdBook 0.4 only.
//!
//! It finds the directives of all chapters, has mdbook-cmdrun run each of them once, and fails if one fails. mdbook-cmdrun would
//! write the error into the page and carry on; it would also look for directives in the output of others.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail, ensure};
use mdbook_preprocessor::book::{Book, Chapter};
use mdbook_preprocessor::{Preprocessor, PreprocessorContext};

use crate::cache::Cache;
use crate::compile::{self, Profile};
use crate::directive::{self, Directive, Part};
use crate::guard::Purpose;
use crate::include;
use crate::late::Late;
use crate::links::{self, Replays};
use crate::offer;
use crate::project::Project;
use crate::replay::Replay;
use crate::run::{self, Run};
use crate::scene::Cast;
use crate::source::Source;
use crate::workbench::Workbench;

/// The preprocessor `cmdrun` of `book.toml`.
pub struct Bridge {
    pub project: Project,
    /// This program, which guards what it starts.
    pub tool: PathBuf,
    /// Whether every scene runs, whatever the cache holds.
    pub fresh: bool,
    /// Where slow scenes go; none if pages wait for all of them.
    pub late: Option<Arc<Late>>,
    /// How long pages wait for their scenes before that.
    pub patience: Duration,
    /// Where readers run the scenes of the pages, if they can.
    pub workbench: Option<Arc<Workbench>>,
}

/// One directive, and what became of it.
struct Task {
    chapter: usize,
    directive: Directive,
    /// Where it stands, for messages: `src/echo.md:12`.
    location: String,
    /// The chapter's folder.
    folder: PathBuf,
    scene: Option<Played>,
    output: Option<Result<String>>,
    /// What stands above the output, and beneath it.
    offer: String,
    replay: String,
}

/// What takes the place of a part of a chapter.
struct Insertion {
    range: Range<usize>,
    text: String,
}

/// What there is to a scene that is played.
struct Played {
    cast: Cast,
    /// The name of its result in the cache.
    key: String,
}

impl Preprocessor for Bridge {
    fn name(&self) -> &str {
        "cmdrun"
    }

    fn supports_renderer(&self, renderer: &str) -> Result<bool> {
        Ok(renderer == "html")
    }

    fn run(&self, context: &PreprocessorContext, mut book: Book) -> Result<Book> {
        let cache = Cache::open(&self.project, &self.tool, self.fresh)?;
        book.for_each_chapter_mut(|chapter| {
            chapter.content = include::without_anchors(&chapter.content);
        });
        let chapters: Vec<&Chapter> = book.chapters().filter(|c| !c.is_draft_chapter()).collect();
        let mut tasks = self.tasks(&context.config.book.src, &chapters, &cache)?;
        let replays = self.replays(&context.config.book.src, &chapters, &mut tasks)?;
        let mut insertions = self.offer(&context.config.book.src, &chapters, &mut tasks)?;

        for task in tasks.iter_mut().filter(|task| task.output.is_none()) {
            task.output = self.known(task, &cache);
        }
        self.compile(&mut tasks)?;
        self.run_rest(&mut tasks, &cache)?;

        let mut failures = Vec::new();
        for task in tasks {
            match task.output {
                Some(Ok(output)) => insertions.entry(task.chapter).or_default().push(Insertion {
                    range: task.directive.range,
                    text: task.offer + &output + &task.replay,
                }),
                Some(Err(error)) => failures.push(format!("{}: {error:#}", task.location)),
                None => failures.push(format!("{}: it was not run", task.location)),
            }
        }
        fail_if_any(failures)?;

        let mut number = 0;
        book.for_each_chapter_mut(|chapter| {
            if !chapter.is_draft_chapter() {
                let content = std::mem::take(&mut chapter.content);
                let none = BTreeMap::new();
                let replays = replays.get(&number).unwrap_or(&none);
                let mut end = 0;
                let mut insertions = insertions.remove(&number).unwrap_or_default();
                insertions.sort_by_key(|insertion| insertion.range.start);
                for Insertion { range, text } in insertions {
                    let before = &content[end..range.start];
                    chapter
                        .content
                        .push_str(&links::with_steps(before, replays));
                    chapter.content.push_str(&text);
                    end = range.end;
                }
                let text = &content[end..];
                chapter.content.push_str(&links::with_steps(text, replays));
                number += 1;
            }
        });
        Ok(book)
    }
}

impl Bridge {
    /// The directives of all chapters. Fails if one of them cannot be right, before anything has run.
    fn tasks(&self, src: &Path, chapters: &[&Chapter], cache: &Cache) -> Result<Vec<Task>> {
        let mut tasks = Vec::new();
        let mut mistakes = Vec::new();
        for (number, chapter) in chapters.iter().enumerate() {
            let Some(path) = &chapter.source_path else {
                continue;
            };
            let source = Source::read(&self.project, &self.project.root.join(src).join(path))?;
            for (position, error) in include::mistakes(&source) {
                mistakes.push(format!("{}: {error:#}", source.at(position)));
            }
            let (directives, found) = directive::find(&chapter.content);
            for mistake in found {
                let location = source.locate(&chapter.content, mistake.position);
                mistakes.push(format!("{location}: {:#}", mistake.error));
            }
            for directive in directives {
                let location = source.locate(&chapter.content, directive.range.start);
                match self.prepare(&directive, cache) {
                    Ok((scene, output)) => tasks.push(Task {
                        chapter: number,
                        directive,
                        location,
                        folder: source.folder(),
                        scene,
                        output: output.map(Ok),
                        offer: String::new(),
                        replay: String::new(),
                    }),
                    Err(error) => mistakes.push(format!("{location}: {error:#}")),
                }
            }
        }
        fail_if_any(mistakes)?;
        Ok(tasks)
    }

    /// Draws the replays of all chapters, and gives each to its task. Fails if one cannot be shown, or if a chapter names a step that
    /// its replays do not have. By the chapters' numbers.
    fn replays(
        &self,
        src: &Path,
        chapters: &[&Chapter],
        tasks: &mut [Task],
    ) -> Result<BTreeMap<usize, Replays>> {
        let mut replays = BTreeMap::<usize, Replays>::new();
        let mut mistakes = Vec::new();
        for task in tasks {
            match self.replay(task) {
                Ok(None) => {}
                Ok(Some((name, replay))) => {
                    let known = replays.entry(task.chapter).or_default();
                    task.replay = replay.page(known.is_empty());
                    if known.insert(name.clone(), replay).is_some() {
                        mistakes.push(format!(
                            "{}: two replays are called {name:?}",
                            task.location
                        ));
                    }
                    if let Some(other) = links::mistaken(&name, known) {
                        mistakes.push(format!(
                            "{}: of the replays {name:?} and {other:?}, one is called like a step of the other",
                            task.location
                        ));
                    }
                }
                Err(error) => mistakes.push(format!("{}: {error:#}", task.location)),
            }
        }
        // A step of a replay that cannot be shown is no mistake of its own.
        fail_if_any(mistakes)?;
        let mut mistakes = Vec::new();
        let none = Replays::new();
        for (number, chapter) in chapters.iter().enumerate() {
            let wrong = links::mistakes(&chapter.content, replays.get(&number).unwrap_or(&none));
            let Some(path) = chapter.source_path.as_ref().filter(|_| !wrong.is_empty()) else {
                continue;
            };
            let source = Source::read(&self.project, &self.project.root.join(src).join(path))?;
            for (position, error) in wrong {
                let location = source.locate(&chapter.content, position);
                mistakes.push(format!("{location}: {error:#}"));
            }
        }
        fail_if_any(mistakes)?;
        Ok(replays)
    }

    /// Says above each scene how a reader can run it: by its id where there is a workbench, which learns of it here; elsewhere once in
    /// a chapter, in words. Returns what is to stand above code blocks, by the chapters' numbers.
    fn offer(
        &self,
        src: &Path,
        chapters: &[&Chapter],
        tasks: &mut [Task],
    ) -> Result<BTreeMap<usize, Vec<Insertion>>> {
        let mut insertions = BTreeMap::new();
        let mut known = BTreeMap::new();
        for (number, chapter) in chapters.iter().enumerate() {
            let Some(path) = &chapter.source_path else {
                continue;
            };
            let name = path.with_extension("");
            let mut count = 0;
            for task in tasks.iter_mut().filter(|task| task.chapter == number) {
                let (Some(Part::Scene(scene)), Some(played)) = (&task.directive.part, &task.scene)
                else {
                    continue;
                };
                count += 1;
                task.offer.extend(offer::playground(scene, &played.cast)?);
                if self.workbench.is_some() {
                    let id = format!("{}-{count}", name.display());
                    task.offer += &offer::scene(&id, scene, &played.cast);
                    known.insert(id, scene.clone());
                } else if count == 1 {
                    task.offer += &offer::nothing();
                }
            }
            if self.workbench.is_none() {
                continue;
            }
            let source = Source::read(&self.project, &self.project.root.join(src).join(path))?;
            for shown in offer::shown(&self.project, &source, &chapter.content)? {
                let list: &mut Vec<_> = insertions.entry(number).or_default();
                list.push(Insertion {
                    range: shown.position..shown.position,
                    text: shown.editor(),
                });
            }
        }
        if let Some(workbench) = &self.workbench {
            workbench.set_scenes(known);
        }
        Ok(insertions)
    }

    /// The replay of a directive's scene, if that has one.
    fn replay(&self, task: &Task) -> Result<Option<(String, Replay)>> {
        let (Some(Part::Scene(scene)), Some(played)) = (&task.directive.part, &task.scene) else {
            return Ok(None);
        };
        let Some(name) = &scene.replay else {
            return Ok(None);
        };
        let recorded = scene.recorded_story(&played.cast.listing, &played.cast)?;
        // While the book is served, its reader may change a listing and see what comes of it.
        ensure!(
            recorded.changed.is_empty() || self.late.is_some(),
            "{} has changed since the replay {name:?} was recorded; `{}` records it again",
            recorded.changed.join(" and "),
            recorded.again
        );
        let replay = Replay::draw(name, &recorded, &self.project, &played.cast)?;
        Ok(Some((name.clone(), replay)))
    }

    /// If the directive plays a scene: its listings, and the name of its result. If it shows a recording: what that looks like.
    fn prepare(
        &self,
        directive: &Directive,
        cache: &Cache,
    ) -> Result<(Option<Played>, Option<String>)> {
        Ok(match &directive.part {
            None => (None, None),
            Some(Part::Scene(scene)) => {
                let cast = scene.check(&self.project)?;
                scene.check_inputs(&cast)?;
                let key = cache.key(&directive.command, cast.all());
                (Some(Played { cast, key }), None)
            }
            Some(Part::Recorded(scene)) => (None, Some(scene.recorded_page(&self.project)?)),
            Some(Part::Chart(chart)) => (None, Some(chart.page(&self.project)?)),
        })
    }

    /// Compiles the listings of all scenes that are to run.
    fn compile(&self, tasks: &mut [Task]) -> Result<()> {
        let mut outcomes = BTreeMap::<String, std::result::Result<(), String>>::new();
        for task in tasks.iter_mut().filter(|task| task.output.is_none()) {
            let Some(Played { cast, .. }) = &task.scene else {
                continue;
            };
            for listing in cast.all() {
                let outcome = outcomes.entry(listing.name.clone()).or_insert_with(|| {
                    compile::compile(&self.project, listing).map_err(|error| format!("{error:#}"))
                });
                if let Err(error) = outcome {
                    task.output = Some(Err(anyhow!("{error}")));
                    break;
                }
            }
        }
        Ok(())
    }

    /// The output of a scene that need not run, or the stand-in of one that is running already.
    fn known(&self, task: &Task, cache: &Cache) -> Option<Result<String>> {
        let key = &task.scene.as_ref()?.key;
        let command = &task.directive.command;
        let known = cache.get(key).map(Ok);
        match &self.late {
            Some(late) => known
                .inspect(|output| late.remember(command, output.as_deref().unwrap_or_default()))
                .or_else(|| late.failure(key))
                .or_else(|| late.stand_in_if_running(key, command).map(Ok)),
            None => known,
        }
    }

    /// Runs what has no output yet. Pages of a book that is being served do not wait for slow scenes.
    fn run_rest(&self, tasks: &mut [Task], cache: &Cache) -> Result<()> {
        let mut runs = Vec::new();
        for (number, task) in tasks.iter().enumerate() {
            if task.output.is_none() {
                let cast = task.scene.as_ref().map(|scene| &scene.cast);
                runs.push(Run {
                    number,
                    directive: task.directive.clone(),
                    location: task.location.clone(),
                    folder: task.folder.clone(),
                    address: cast.and_then(|cast| cast.listing.address),
                    programs: cast.map_or_else(Default::default, |cast| {
                        compile::programs_of_all(&self.project, cast.all(), Profile::Dev)
                    }),
                    purpose: Purpose::Page,
                    alone: None,
                });
            }
        }
        if runs.is_empty() {
            return Ok(());
        }
        let results = run::start(&self.project, &self.tool, runs)?;
        let start = Instant::now();
        loop {
            let mut waiting = tasks.iter().filter(|task| task.output.is_none()).peekable();
            if waiting.peek().is_none() {
                // The channel is closed when the workers have cleared up.
                results.iter().for_each(drop);
                return Ok(());
            }
            let can_be_late = waiting.all(|task| task.scene.is_some());
            let patience = match &self.late {
                Some(_) if can_be_late => self.patience.saturating_sub(start.elapsed()),
                _ => Duration::MAX,
            };
            match results.recv_timeout(patience) {
                Ok((number, result)) => {
                    let task = &mut tasks[number];
                    task.output = Some(result.and_then(|output| {
                        if let Some(scene) = &task.scene {
                            cache.put(&scene.key, &output)?;
                        }
                        if let Some(late) = &self.late {
                            late.remember(&task.directive.command, &output);
                        }
                        Ok(output)
                    }));
                }
                Err(RecvTimeoutError::Disconnected) => bail!("a directive was lost"),
                Err(RecvTimeoutError::Timeout) => break,
            }
        }
        let Some(late) = &self.late else {
            return Ok(());
        };
        let mut keys = HashMap::new();
        for (number, task) in tasks.iter_mut().enumerate() {
            if let (None, Some(scene)) = (&task.output, &task.scene) {
                keys.insert(number, scene.key.clone());
                task.output = Some(Ok(late.stand_in(&task.directive.command)));
            }
        }
        late.wait(keys, results, cache.clone());
        Ok(())
    }
}

fn fail_if_any(failures: Vec<String>) -> Result<()> {
    if failures.is_empty() {
        Ok(())
    } else {
        bail!(failures.join("\n"))
    }
}
