//! Measures servers side by side: each is started, put under the load of the listing `server-models`' program `load`, and stopped,
//! many times in turns, so that whatever else happens on the machine happens to all of them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// How long a server may take to listen, and to end.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often memory is looked at, and whether a program has ended.
const TICK: Duration = Duration::from_millis(20);
/// The core of a workload whose both ends share one.
const CORE: &str = "1";

/// A server that says `listening on ADDR` in its first line and knows the protocol that the workload speaks.
#[derive(Clone, Debug)]
pub struct Server {
    pub name: String,
    pub program: PathBuf,
    pub arguments: Vec<String>,
}

/// What a server is put to.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The arguments of `load`, without an address.
    pub load: Vec<String>,
    /// Whether server and load share one core.
    pub one_core: bool,
}

/// What one run has shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Answers each second.
    pub per_second: f64,
    /// Milliseconds from sending a request to its answer, by percentile; none if there was no answer.
    pub since_sent: BTreeMap<String, f64>,
    /// The same from the time when it should have been sent; none without a rate.
    pub since_due: Option<BTreeMap<String, f64>>,
    /// How many requests have failed, by their cause.
    pub failures: BTreeMap<String, u64>,
    /// How many requests could not even be sent in time.
    pub unsent: u64,
    /// Microseconds of the server's CPU time for each answer; none if there was none.
    pub cpu_micros: Option<f64>,
    /// Bytes of the server's memory for each idle connection; none if there were none.
    pub idle_bytes: Option<f64>,
}

/// The part of what `load --json` prints that is used here.
#[derive(Deserialize)]
struct Report {
    idle: u64,
    answers_in_all: u64,
    answers_per_second: f64,
    failures: BTreeMap<String, u64>,
    unsent: u64,
    since_sent: BTreeMap<String, f64>,
    since_due: Option<BTreeMap<String, f64>>,
}

/// Puts `server` under `workload` once; `load` is the path of that program.
pub fn measure(load: &Path, server: &Server, workload: &Workload) -> Result<Figures> {
    let run = || {
        let running = Running::start(server, workload.one_core)?;
        // Once, for a moment, so that what a server allocates but once is not counted below.
        let protocol = workload.load.iter().filter(|word| *word == "--echo");
        let warm_up = ["--warm-up", "0", "--duration", "0.1"].map(String::from);
        let warm_up: Vec<String> = protocol.cloned().chain(warm_up).collect();
        running.run_load(load, &warm_up)?;

        let memory = running.memory()?;
        let time = running.cpu_time()?;
        let (report, most) = running.run_load(load, &workload.load)?;
        let time = running.cpu_time()? - time;
        let each = |total: f64, count: u64| (count > 0).then(|| total / count as f64);
        anyhow::Ok(Figures {
            per_second: report.answers_per_second,
            since_sent: report.since_sent,
            since_due: report.since_due,
            failures: report.failures,
            unsent: report.unsent,
            cpu_micros: each(time.as_micros() as f64, report.answers_in_all),
            idle_bytes: each(most as f64 - memory as f64, report.idle),
        })
    };
    run().with_context(|| format!("{} under load {}", server.name, workload.load.join(" ")))
}

/// Measures every server under its workload `rounds` times, in turns; the figures of each, round after round. `begin` is told what
/// comes next.
pub fn in_turns(
    load: &Path,
    rounds: usize,
    pairs: &[(Server, Workload)],
    mut begin: impl FnMut(usize, &Server),
) -> Result<Vec<Vec<Figures>>> {
    let mut figures = vec![Vec::new(); pairs.len()];
    for round in 0..rounds {
        // Each time in another order: what one leaves behind, in the kernel's tables, say, is not always for the same one.
        for turn in 0..pairs.len() {
            let number = (turn + round) % pairs.len();
            let (server, workload) = &pairs[number];
            begin(round, server);
            figures[number].push(measure(load, server, workload)?);
        }
    }
    Ok(figures)
}

/// The median of some values: of an even number of them, the mean of the two in the middle. None of none.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    match values.len() % 2 {
        0 => Some((values[values.len() / 2 - 1] + upper) / 2.0),
        _ => Some(upper),
    }
}

/// A server while it runs, with the processes that it has started itself.
struct Running {
    process: Child,
    address: String,
    one_core: bool,
    /// Kept open: a server that prints on a closed pipe may end.
    _output: Option<BufReader<ChildStdout>>,
}

impl Running {
    fn start(server: &Server, one_core: bool) -> Result<Running> {
        let mut process = command(&server.program, one_core)
            .args(&server.arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", server.program.display()))?;
        let output = process.stdout.take().context("it has no output")?;
        let mut running = Running {
            process,
            address: String::new(),
            one_core,
            _output: None,
        };
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut line = String::new();
            let length = output.read_line(&mut line);
            sender.send(length.map(|_| (line, output)))
        });
        let (line, output) = receiver
            .recv_timeout(PATIENCE)
            .context("it did not say in time where it listens")??;
        let address = line
            .trim()
            .strip_prefix("listening on ")
            .with_context(|| format!("it said {line:?} rather than where it listens"))?;
        running.address = address.into();
        running._output = Some(output);
        Ok(running)
    }

    /// Runs `load` to its end. What it has found, and the most memory that the server had meanwhile, in bytes.
    fn run_load(&self, load: &Path, arguments: &[String]) -> Result<(Report, u64)> {
        let mut process = command(load, self.one_core)
            .arg(&self.address)
            .arg("--json")
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", load.display()))?;
        let mut most = 0;
        // What it prints at its end fits into a pipe.
        while process.try_wait()?.is_none() {
            most = most.max(self.memory()?);
            thread::sleep(TICK);
        }
        let output = process.wait_with_output()?;
        ensure!(
            output.status.success(),
            "load: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok((serde_json::from_slice(&output.stdout)?, most))
    }

    /// Bytes of memory that the server has in use.
    fn memory(&self) -> Result<u64> {
        let mut bytes = 0;
        for id in self.processes()? {
            // It may have ended in between.
            let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
            let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
            bytes += number.map_or(Ok(0), str::parse::<u64>)? * 1024;
        }
        Ok(bytes)
    }

    /// CPU time that the server has used.
    fn cpu_time(&self) -> Result<Duration> {
        let mut ticks = 0;
        for id in self.processes()? {
            if let Some(stat) = stat(id) {
                ticks += stat[USER_TIME].parse::<u64>()? + stat[SYSTEM_TIME].parse::<u64>()?;
            }
        }
        let each = Duration::from_secs(1) / rustix::param::clock_ticks_per_second() as u32;
        Ok(each * u32::try_from(ticks)?)
    }

    /// The process that was started, its children, theirs, and so on.
    fn processes(&self) -> Result<Vec<u32>> {
        let mut parents = BTreeMap::new();
        for entry in fs::read_dir("/proc").context("figures need Linux's /proc")? {
            let id = entry?.file_name().to_string_lossy().parse::<u32>();
            if let Some((id, stat)) = id.ok().and_then(|id| Some((id, stat(id)?))) {
                parents.insert(id, stat[PARENT].parse::<u32>()?);
            }
        }
        let mut family = vec![self.process.id()];
        let mut next = 0;
        while let Some(parent) = family.get(next).copied() {
            family.extend(
                parents
                    .iter()
                    .filter(|(_, p)| **p == parent)
                    .map(|(id, _)| *id),
            );
            next += 1;
        }
        Ok(family)
    }
}

impl Drop for Running {
    /// Asks it to end, so that it can end its own processes, and ends it if it does not.
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.process), Signal::TERM);
        let start = Instant::now();
        while start.elapsed() < PATIENCE && matches!(self.process.try_wait(), Ok(None)) {
            thread::sleep(TICK);
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Which fields of `/proc/PID/stat` are which, counted from the one behind the name (proc_pid_stat(5)).
const PARENT: usize = 1;
const USER_TIME: usize = 11;
const SYSTEM_TIME: usize = 12;

/// The fields of `/proc/PID/stat` behind the name; none if there is no such process.
fn stat(id: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name is in parentheses, and may have some in it.
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(String::from).collect())
}

/// A command that starts `program`, on one core if that is wanted.
fn command(program: &Path, one_core: bool) -> Command {
    if !one_core {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", CORE]).arg(program);
    command
}
