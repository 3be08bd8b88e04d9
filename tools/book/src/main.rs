//! `cargo book`: builds, serves and checks *Sockets in Rust*.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};

mod bridge;
mod cache;
mod compile;
mod directive;
mod guard;
mod include;
mod late;
mod listing;
mod markdown;
mod preprocess;
mod process;
mod progress;
mod project;
mod render;
mod run;
mod scene;
mod server;
mod source;
mod text;
mod turn;
mod warnings;
mod watch;

use guard::Job;
use project::Project;
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
    /// Be a preprocessor for stock mdBook, as book.toml says
    Preprocess {
        #[command(subcommand)]
        question: Option<Question>,
    },
    /// Run a directive's command (internal)
    #[command(hide = true)]
    Guard { job: PathBuf },
}

#[derive(Debug, Subcommand)]
enum Question {
    /// Say by the exit code whether a renderer is supported
    Supports { renderer: String },
}

impl Cli {
    /// The scene that the words of a directive, `book scene …`, ask for.
    fn scene(words: &[String]) -> Result<Scene> {
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
            Task::Scene(scene) => Ok(scene),
            _ => bail!("a directive can only run `book scene`"),
        }
    }
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    let tool = std::env::current_exe().context("cannot find this program")?;
    let project = || Project::around(Path::new("."));
    match task {
        Task::Serve { port, no_open } => {
            warnings::collect();
            server::serve(project()?, tool, port, !no_open)?;
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
            };
            render::build(&render, dest_dir)?;
        }
        Task::Scene(scene) => match Job::current()? {
            Some(job) => {
                process::die_with_this_parent()?;
                print!("{}", scene.play(&project()?, &job)?);
            }
            None => print!("{}", run::by_hand(&project()?, &tool, scene)?),
        },
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
        Task::Guard { job } => guard::run(&job)?,
    }
    Ok(ExitCode::SUCCESS)
}
