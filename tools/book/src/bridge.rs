//! The bridge between mdBook 0.5 and mdbook-cmdrun, whose own preprocessor speaks to mdBook 0.4 only.
//!
//! It finds the directives of all chapters, has mdbook-cmdrun run each of them once, and fails if one fails. mdbook-cmdrun would
//! write the error into the page and carry on; it would also look for directives in the output of others.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Error, Result, anyhow, bail};
use mdbook_cmdrun::CmdRun;
use mdbook_preprocessor::book::{Book, Chapter};
use mdbook_preprocessor::{Preprocessor, PreprocessorContext};

use crate::cache::Cache;
use crate::compile;
use crate::directive::{self, Directive, Place};
use crate::guard::{Job, Report};
use crate::include;
use crate::listing::Listing;
use crate::process::OUTPUT_LIMIT;
use crate::progress::Progress;
use crate::project::Project;
use crate::source::Source;
use crate::text;
use crate::turn::Turn;

/// Seconds that a command other than a scene may take.
const DEADLINE: u64 = 10;

/// A scene's Markdown may be that much longer than what its programs print.
const MARKDOWN_LIMIT: usize = 16 * OUTPUT_LIMIT;

/// How many directives run at the same time: most of them wait for something.
const WORKERS: usize = 8;

/// The preprocessor `cmdrun` of `book.toml`.
pub struct Bridge {
    pub project: Project,
    /// This program, which guards what it starts.
    pub tool: PathBuf,
    /// Whether every scene runs, whatever the cache holds.
    pub fresh: bool,
}

/// One directive, and what became of it.
struct Task {
    chapter: usize,
    directive: Directive,
    /// Where it stands, for messages: `src/echo.md:12`.
    location: String,
    /// The folder that mdbook-cmdrun runs the command in: the chapter's.
    folder: PathBuf,
    /// For scenes: the listing, and the name of its result in the cache.
    scene: Option<(Listing, String)>,
    output: Option<Result<String>>,
}

impl Task {
    /// The documented address of the scene's listing.
    fn address(&self) -> Option<SocketAddr> {
        self.scene.as_ref().and_then(|(listing, _)| listing.address)
    }
}

impl Preprocessor for Bridge {
    fn name(&self) -> &str {
        "cmdrun"
    }

    fn supports_renderer(&self, renderer: &str) -> Result<bool> {
        Ok(renderer == "html")
    }

    fn run(&self, context: &PreprocessorContext, mut book: Book) -> Result<Book> {
        let cache = Cache::open(&self.project, self.fresh)?;
        book.for_each_chapter_mut(|chapter| {
            chapter.content = include::without_anchors(&chapter.content);
        });
        let chapters: Vec<&Chapter> = book.chapters().filter(|c| !c.is_draft_chapter()).collect();
        let mut tasks = self.tasks(&context.config.book.src, &chapters, &cache)?;

        for task in &mut tasks {
            task.output = task
                .scene
                .as_ref()
                .and_then(|(_, key)| cache.get(key))
                .map(Ok);
        }
        self.compile(&mut tasks)?;
        self.run_all(&mut tasks)?;

        let mut failures = Vec::new();
        let mut results = BTreeMap::<usize, Vec<(Directive, String)>>::new();
        for task in tasks {
            match task.output {
                Some(Ok(output)) => {
                    if let Some((_, key)) = &task.scene {
                        cache.put(key, &output)?;
                    }
                    results
                        .entry(task.chapter)
                        .or_default()
                        .push((task.directive, output));
                }
                Some(Err(error)) => failures.push(format!("{}: {error:#}", task.location)),
                None => failures.push(format!("{}: it was not run", task.location)),
            }
        }
        fail_if_any(failures)?;

        let mut number = 0;
        book.for_each_chapter_mut(|chapter| {
            if !chapter.is_draft_chapter() {
                // From the last to the first, so that the positions of the others stay true.
                for (directive, output) in results.remove(&number).unwrap_or_default().iter().rev()
                {
                    chapter
                        .content
                        .replace_range(directive.range.clone(), output);
                }
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
                match self.scene(&directive, cache) {
                    Ok(scene) => tasks.push(Task {
                        chapter: number,
                        directive,
                        location,
                        folder: source.folder(),
                        scene,
                        output: None,
                    }),
                    Err(error) => mistakes.push(format!("{location}: {error:#}")),
                }
            }
        }
        fail_if_any(mistakes)?;
        Ok(tasks)
    }

    /// If the directive plays a scene: its listing, and the name of its result.
    fn scene(&self, directive: &Directive, cache: &Cache) -> Result<Option<(Listing, String)>> {
        let Some(scene) = &directive.scene else {
            return Ok(None);
        };
        let listing = scene.check(&self.project)?;
        let key = cache.key(&directive.command, &listing)?;
        Ok(Some((listing, key)))
    }

    /// Compiles the listings of all scenes that are to run.
    fn compile(&self, tasks: &mut [Task]) -> Result<()> {
        let mut outcomes = BTreeMap::<String, std::result::Result<(), String>>::new();
        for task in tasks.iter_mut().filter(|task| task.output.is_none()) {
            let Some((listing, _)) = &task.scene else {
                continue;
            };
            let outcome = outcomes.entry(listing.name.clone()).or_insert_with(|| {
                compile::compile(&self.project, listing).map_err(|error| format!("{error:#}"))
            });
            if let Err(error) = outcome {
                task.output = Some(Err(anyhow!("{error}")));
            }
        }
        Ok(())
    }

    /// Runs what has no output yet. Scenes around the same address run one after another, so that each can have it.
    fn run_all(&self, tasks: &mut [Task]) -> Result<()> {
        let waiting: Vec<&mut Task> = tasks
            .iter_mut()
            .filter(|task| task.output.is_none())
            .collect();
        if waiting.is_empty() {
            return Ok(());
        }
        fs::create_dir_all(self.project.state())?;
        let jobs = tempfile::Builder::new()
            .prefix(&format!("jobs-{}-", std::process::id()))
            .tempdir_in(self.project.state())
            .context("cannot make a folder for jobs")?;
        let progress = Progress::start(waiting.len());

        let mut by_address = BTreeMap::<SocketAddr, Vec<&mut Task>>::new();
        let mut queue: Vec<Vec<&mut Task>> = Vec::new();
        for task in waiting {
            match task.address() {
                Some(address) => by_address.entry(address).or_default().push(task),
                None => queue.push(vec![task]),
            }
        }
        queue.extend(by_address.into_values());
        // The longest first: workers take from the end.
        queue.sort_by_key(Vec::len);

        let queue = Mutex::new(queue);
        thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| {
                    while let Some(group) = take(&queue) {
                        for task in group {
                            let _turn = task.address().map(Turn::wait);
                            progress.begin(&task.location);
                            task.output = Some(self.run_one(task, jobs.path()));
                            progress.end();
                        }
                    }
                });
            }
        });
        progress.finish();
        Ok(())
    }

    /// Has mdbook-cmdrun run one directive, under guard.
    fn run_one(&self, task: &Task, jobs: &Path) -> Result<String> {
        let directive = &task.directive;
        let folder = tempfile::tempdir_in(jobs).context("cannot make a folder for a job")?;
        let job = Job {
            command: directive.command.clone(),
            deadline: directive
                .scene
                .as_ref()
                .map_or(DEADLINE, |scene| scene.longest()),
            limit: if directive.scene.is_some() {
                MARKDOWN_LIMIT
            } else {
                OUTPUT_LIMIT
            },
            report: folder.path().join("report.json"),
            tool: std::process::id(),
        };
        let path = folder.path().join("job.json");
        fs::write(&path, serde_json::to_vec(&job)?).context("cannot write a job")?;

        // `exec`: the guard takes the place of the shell, and so sees when its parent, this process, is gone.
        let words = [self.tool.as_os_str(), "guard".as_ref(), path.as_os_str()];
        let words: Option<Vec<&str>> = words.into_iter().map(|word| word.to_str()).collect();
        let words = shlex::try_join(words.context("a path that is not UTF-8")?)?;
        let working_dir = task.folder.to_str().context("a path that is not UTF-8")?;
        let output =
            CmdRun::run_cmdrun(format!("exec {words}"), working_dir, !directive.ends_line)?;

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
        Ok(match (&directive.scene, directive.place) {
            (Some(_), _) => output,
            (None, Place::Block) => text::block(&text::readable(output.as_bytes())),
            (None, Place::Inline) if directive.ends_line => {
                format!("{}\n", text::inline(&text::readable(output.as_bytes())))
            }
            (None, Place::Inline) => text::inline(&text::readable(output.as_bytes())),
            (None, Place::Code) => text::in_block(&text::readable(output.as_bytes())),
        })
    }
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

fn fail_if_any(failures: Vec<String>) -> Result<()> {
    if failures.is_empty() {
        Ok(())
    } else {
        bail!(failures.join("\n"))
    }
}
