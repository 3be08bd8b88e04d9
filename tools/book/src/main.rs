//! `cargo book`: builds, serves and checks *Sockets in Rust*.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};

mod bridge;
mod cache;
mod capture;
mod chart;
mod closed_port;
mod compare;
mod compile;
mod directive;
mod file;
mod foreign;
mod guard;
mod include;
mod input;
mod janitor;
mod late;
mod limits;
mod lines;
mod links;
mod listing;
mod live;
mod machine;
mod markdown;
mod measurement;
mod namespace;
mod offer;
mod plot;
mod preprocess;
mod process;
mod progress;
mod project;
mod record;
mod recording;
mod render;
mod replay;
mod run;
mod scale;
mod scene;
mod server;
mod source;
mod steps;
mod story;
mod tell;
mod text;
mod trace;
mod transcript;
mod turn;
mod warnings;
mod watch;
mod witness;
mod workbench;

use chart::Chart;
use directive::Part;
use guard::{Job, Purpose};
use measurement::Measurement;
use namespace::Own;
use project::Project;
use record::Record;
use render::Render;
use scene::Scene;

/// Builds, serves and checks the book
#[derive(Debug, Parser)]
#[command(name = "book", bin_name = "cargo book", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Build the book, serve it on this machine, and build it again whenever a chapter or a listing changes
    Serve {
        /// The port to serve at
        #[arg(long, default_value_t = 3000)]
        port: u16,
        /// How long a server may be idle that a reader has left running
        #[arg(long, value_name = "SECONDS", default_value_t = 600)]
        idle: u64,
        /// Do not open a browser
        #[arg(long)]
        no_open: bool,
    },
    /// Build the book into book/
    Build {
        /// Where to put the pages
        #[arg(long, value_name = "DIR")]
        dest_dir: Option<PathBuf>,
        /// Run every scene, even if nothing changed since it ran last
        #[arg(long)]
        fresh: bool,
    },
    /// Play one scene and print it as Markdown: what the chapters' directives do
    Scene(Scene),
    /// Draw one chart of what has been measured and print it as Markdown
    Chart(Chart),
    /// Run what takes too long for a build, and keep what it shows with the listing
    Record(Record),
    /// Measure one server, once (internal)
    #[command(hide = true)]
    Measure(Measurement),
    /// Be a preprocessor for stock mdBook, as book.toml says
    Preprocess {
        #[command(subcommand)]
        question: Option<Question>,
    },
    /// Try whether scenes can have an internet of their own (internal)
    #[command(hide = true)]
    Namespace {
        /// And process numbers
        #[arg(long)]
        processes: bool,
    },
    /// Run a directive's command (internal)
    #[command(hide = true)]
    Guard { job: PathBuf },
    /// Remove what a process has left, when it is gone (internal)
    #[command(hide = true)]
    Janitor { tool: u32 },
}

#[derive(Debug, Subcommand)]
enum Question {
    /// Say by the exit code whether a renderer is supported
    Supports { renderer: String },
}

impl Cli {
    /// What the words of a directive, `book scene …`, ask for.
    fn part(words: &[String]) -> Result<Part> {
        let first_lines = |error: clap::Error| {
            let text = error.to_string();
            let text: Vec<&str> = text
                .lines()
                .take_while(|line| !line.starts_with("Usage"))
                .collect();
            anyhow::anyhow!(
                text.join(" ")
                    .trim()
                    .trim_start_matches("error: ")
                    .to_owned()
            )
        };
        match Cli::try_parse_from(words).map_err(first_lines)?.task {
            Task::Scene(scene) if scene.recorded.is_some() => Ok(Part::Recorded(scene)),
            Task::Scene(scene) => Ok(Part::Scene(scene)),
            Task::Chart(chart) => Ok(Part::Chart(chart)),
            _ => bail!("a directive can only run `book scene` or `book chart`"),
        }
    }
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(code) => code,
        Err(error) => {
            // It may quote a file that somebody else has written.
            let message = text::readable(format!("{error:#}").as_bytes());
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn is_being_recorded() -> Result<bool> {
    Ok(Job::current()?.is_some_and(|job| job.purpose == Purpose::Recording))
}

fn run(task: Task) -> Result<ExitCode> {
    let tool = std::env::current_exe().context("cannot find this program")?;
    let project = || Project::around(Path::new("."));
    match task {
        Task::Serve {
            port,
            idle,
            no_open,
        } => {
            warnings::collect();
            server::serve(project()?, tool, port, idle, !no_open)?;
        }
        Task::Build { dest_dir, fresh } => {
            warnings::collect();
            let render = Render {
                project: project()?,
                tool,
                fresh,
                live_reload: None,
                late: None,
                patience: Duration::MAX,
                workbench: None,
            };
            render::build(&render, dest_dir)?;
        }
        Task::Scene(scene) if scene.recorded.is_some() && !is_being_recorded()? => {
            print!("{}", scene.recorded_page(&project()?)?);
        }
        Task::Scene(scene) => match Job::current()? {
            Some(job) => {
                let project = project()?;
                process::die_with_this_parent()?;
                if let Some(own) = job.own.filter(|_| !namespace::is_first()) {
                    namespace::enter(own)?;
                    if own != Own::Network {
                        return namespace::go_on_as_first(&tool);
                    }
                }
                match job.purpose {
                    Purpose::Page => print!("{}", markdown::scene(&scene.play(&project, &job)?)),
                    Purpose::Live => {
                        limits::apply();
                        scene.play_live(&project, &job)?;
                    }
                    Purpose::Recording => {
                        println!("{}", serde_json::to_string(&scene.play(&project, &job)?)?);
                    }
                    Purpose::Story => {
                        println!("{}", serde_json::to_string(&scene.tell(&project, &job)?)?);
                    }
                }
            }
            None => print!("{}", run::by_hand(&project()?, &tool, scene)?),
        },
        Task::Chart(chart) => print!("{}", chart.page(&project()?)?),
        Task::Record(record) => record.run(&project()?, &tool)?,
        Task::Measure(measurement) => {
            let job = Job::current()?.context("`book record` starts this")?;
            process::die_with_this_parent()?;
            println!("{}", serde_json::to_string(&measurement.run(&job)?)?);
        }
        Task::Preprocess { question: None } => {
            preprocess::preprocess(tool, io::stdin().lock(), io::stdout().lock())?;
        }
        Task::Preprocess {
            question: Some(Question::Supports { renderer }),
        } => {
            return Ok(if renderer == "html" {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            });
        }
        Task::Namespace { processes: false } => namespace::enter(Own::Network)?,
        Task::Namespace { .. } if namespace::is_first() => {}
        Task::Namespace { .. } => {
            namespace::enter(Own::Both)?;
            return namespace::go_on_as_first(&tool);
        }
        Task::Guard { job } => guard::run(&job)?,
        Task::Janitor { tool } => janitor::run(&project()?, tool)?,
    }
    Ok(ExitCode::SUCCESS)
}
