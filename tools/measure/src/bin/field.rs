//! Measures the servers of the listing `server-models` beside those of the field, interleaved in one go, and prints where each
//! stands: `cargo run --release -p measure --bin field`. It takes a quarter of an hour on a machine that does nothing else.
//!
//! The field: asyncio with its streams, the same on uvloop, a plain epoll server in C, and nginx. Their sources are in
//! `tools/measure/field`. Beside Rust this needs cc, nginx, taskset, and python3 with venv and a registry to get uvloop from. An
//! argument picks the comparisons that have it in their title.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use measure::{Figures, Server, Workload, in_turns, median};

/// How often each server is measured under each workload; medians count.
const ROUNDS: usize = 5;
/// How long each run counts, in seconds.
const DURATION: [&str; 2] = ["--duration", "0.5"];
const UVLOOP: &str = "uvloop==0.23.0";

/// All servers, and how each is started. Those of the listing come first.
const SERVERS: [(&str, &str); 12] = [
    ("sequential", "{ours}/sequential 127.0.0.1:0"),
    ("threads", "{ours}/threads 127.0.0.1:0"),
    ("pool", "{ours}/pool 127.0.0.1:0"),
    ("event-loop", "{ours}/event-loop 127.0.0.1:0"),
    ("tokio", "{ours}/tokio 127.0.0.1:0"),
    ("tokio --all-cores", "{ours}/tokio 127.0.0.1:0 --all-cores"),
    ("asyncio", "{python} {field}/asyncio_server.py"),
    ("uvloop", "{python} {field}/asyncio_server.py --uvloop"),
    ("C epoll", "{built}/epoll 0"),
    ("C epoll, deferred", "{built}/epoll --defer 0"),
    ("nginx, fixed text", "{field}/nginx.sh {text}"),
    ("nginx, a file", "{field}/nginx.sh"),
];
/// What the others are compared with.
const YARDSTICK: &str = "C epoll";

/// One workload, and what is compared under it.
struct Comparison {
    title: &'static str,
    load: &'static str,
    one_core: bool,
    /// What does not take part: it would starve, or does not speak the protocol.
    without: &'static [&'static str],
    columns: &'static [Column],
}

/// One figure of a run.
#[derive(Clone, Copy)]
enum Column {
    PerSecond,
    Median,
    Tail,
    CpuMicros,
    IdleBytes,
}

use Column::{CpuMicros, IdleBytes, Median, PerSecond, Tail};

const STARVING: &[&str] = &["sequential", "pool"];
const NO_ECHO: &[&str] = &[
    "sequential",
    "pool",
    "nginx, fixed text",
    "nginx, a file",
    "C epoll, deferred",
];
const SPEED: &[Column] = &[PerSecond, CpuMicros, Median, Tail];

const COMPARISONS: [Comparison; 12] = [
    comparison(
        "HTTP, a new connection each, 50 at a time",
        "--new-connections --connections 50",
        &[],
        SPEED,
    ),
    Comparison {
        one_core: true,
        ..comparison(
            "the same, both ends on one core",
            "--new-connections --connections 50",
            &[],
            SPEED,
        )
    },
    comparison(
        "HTTP, keep-alive, 50 connections",
        "--connections 50",
        STARVING,
        SPEED,
    ),
    comparison(
        "HTTP, keep-alive, 1,000 connections",
        "--connections 1000",
        STARVING,
        SPEED,
    ),
    comparison(
        "echo of 64 bytes, 50 connections",
        "--echo --connections 50",
        NO_ECHO,
        SPEED,
    ),
    comparison(
        "5,000 idle connections",
        "--idle 5000",
        STARVING,
        &[IdleBytes],
    ),
    comparison(
        "one client beside ten silent ones",
        "--new-connections --silent 10",
        &[],
        &[Median, Tail],
    ),
    comparison(
        "echo of 64 bytes, 1,000 connections",
        "--echo --connections 1000",
        NO_ECHO,
        SPEED,
    ),
    comparison(
        "echo of 16 KiB, 50 connections",
        "--echo --size 16384 --connections 50",
        NO_ECHO,
        SPEED,
    ),
    comparison(
        "echo of 16 KiB, 1,000 connections",
        "--echo --size 16384 --connections 1000",
        NO_ECHO,
        SPEED,
    ),
    comparison(
        "HTTP, keep-alive, 1 connection",
        "--connections 1",
        &[],
        SPEED,
    ),
    comparison(
        "echo of 64 bytes, 1 connection",
        "--echo --connections 1",
        NO_ECHO,
        SPEED,
    ),
];

const fn comparison(
    title: &'static str,
    load: &'static str,
    without: &'static [&'static str],
    columns: &'static [Column],
) -> Comparison {
    Comparison {
        title,
        load,
        one_core: false,
        without,
        columns,
    }
}

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = std::env::current_exe()?
        .parent()
        .context("a program without a folder")?
        .to_owned();
    let built = target.join("field-built");
    fs::create_dir_all(&built)?;
    run(Command::new(env!("CARGO"))
        .args(["build", "--release", "--package", "server-models", "--bins"])
        .current_dir(&root))?;
    let field = Path::new(env!("CARGO_MANIFEST_DIR")).join("field");
    run(Command::new("cc")
        .args(["-O2", "-o"])
        .arg(built.join("epoll"))
        .arg(field.join("epoll.c")))?;
    run(Command::new("python3")
        .args(["-m", "venv"])
        .arg(built.join("venv")))?;
    let python = built.join("venv/bin/python");
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", UVLOOP]))?;

    let place = |word: &str| {
        word.replace("{ours}", &target.to_string_lossy())
            .replace("{built}", &built.to_string_lossy())
            .replace("{field}", &field.to_string_lossy())
            .replace("{python}", &python.to_string_lossy())
            .replace("{text}", r#"return 200 "Hello from the other side.\\n";"#)
    };
    let load = target.join("load");
    println!("{}", machine(&python)?);
    let wanted = std::env::args().nth(1).unwrap_or_default();
    for comparison in COMPARISONS {
        if !comparison.title.contains(&wanted) {
            continue;
        }
        let pairs: Vec<(Server, Workload)> = SERVERS
            .iter()
            .filter(|(name, _)| !comparison.without.contains(name))
            .map(|(name, command)| {
                let mut words = command.split(' ').map(place);
                let is_echo = comparison.load.contains("--echo");
                let server = Server {
                    name: (*name).into(),
                    program: words.next().unwrap_or_default().into(),
                    arguments: words.chain(is_echo.then(|| "--echo".into())).collect(),
                };
                let workload = Workload {
                    load: comparison
                        .load
                        .split(' ')
                        .chain(DURATION)
                        .map(String::from)
                        .collect(),
                    one_core: comparison.one_core,
                };
                (server, workload)
            })
            .collect();
        let figures = in_turns(&load, ROUNDS, &pairs, |round, server| {
            eprintln!("{}, round {}: {}", comparison.title, round + 1, server.name);
        })?;
        println!("\n{}", comparison.table(&pairs, &figures));
    }
    Ok(())
}

impl Comparison {
    /// A table in Markdown: of each figure the median, the least and the most, and the median in relation to the yardstick's.
    fn table(&self, pairs: &[(Server, Workload)], figures: &[Vec<Figures>]) -> String {
        let mut table = format!("| {} |", self.title);
        for column in self.columns {
            table += &format!(" {} | ratio |", column.title());
        }
        table += &format!("\n|---|{}\n", "---|---|".repeat(self.columns.len()));
        let medians = |column: Column| {
            move |runs: &Vec<Figures>| median(runs.iter().filter_map(|run| column.of(run)))
        };
        let yardstick = pairs
            .iter()
            .position(|(server, _)| server.name == YARDSTICK);
        for ((server, _), runs) in pairs.iter().zip(figures) {
            table += &format!("| {} |", server.name);
            for column in self.columns {
                let values = || runs.iter().filter_map(|run| column.of(run));
                let least = values().reduce(f64::min);
                let most = values().reduce(f64::max);
                let (Some(middle), Some(least), Some(most)) = (median(values()), least, most)
                else {
                    table += " no answer | |";
                    continue;
                };
                let base = yardstick.and_then(|number| medians(*column)(&figures[number]));
                let ratio = base.map_or(f64::NAN, |base| middle / base);
                let digits = column.digits();
                table += &format!(
                    " {middle:.digits$} ({least:.digits$}–{most:.digits$}) | {ratio:.2} |"
                );
            }
            table += "\n";
        }
        for ((server, _), runs) in pairs.iter().zip(figures) {
            for failures in runs
                .iter()
                .map(|run| &run.failures)
                .filter(|all| !all.is_empty())
            {
                table += &format!("\n{}: {failures:?}", server.name);
            }
        }
        table
    }
}

impl Column {
    fn title(self) -> &'static str {
        match self {
            PerSecond => "answers/s",
            Median => "median, ms",
            Tail => "99 %, ms",
            CpuMicros => "CPU µs each",
            IdleBytes => "bytes each",
        }
    }

    fn digits(self) -> usize {
        match self {
            PerSecond | IdleBytes => 0,
            CpuMicros => 1,
            Median | Tail => 2,
        }
    }

    /// None if there was no answer to tell.
    fn of(self, run: &Figures) -> Option<f64> {
        let time = |percentile: &str| run.since_sent.get(percentile).copied();
        match self {
            PerSecond => Some(run.per_second),
            Median => time("50"),
            Tail => time("99"),
            CpuMicros => run.cpu_micros,
            IdleBytes => run.idle_bytes,
        }
    }
}

/// The machine and the versions, in one line.
fn machine(python: &Path) -> Result<String> {
    let versions = [
        Command::new("uname").arg("-sr").output()?,
        Command::new("rustc").arg("-V").output()?,
        Command::new("cc").arg("--version").output()?,
        Command::new(python).arg("-V").output()?,
        Command::new("nginx").arg("-v").output()?,
    ];
    let first_line = |output: &std::process::Output| {
        let text = [output.stdout.clone(), output.stderr.clone()].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        text.lines().next().unwrap_or_default().to_owned()
    };
    let cores = std::thread::available_parallelism()?;
    let versions: Vec<String> = versions.iter().map(first_line).collect();
    Ok(format!(
        "{cores} cores, {}, {UVLOOP}; medians of {ROUNDS} (least–most)",
        versions.join(", ")
    ))
}

fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "{command:?} failed");
    Ok(())
}
