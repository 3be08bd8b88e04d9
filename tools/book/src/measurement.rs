//! Measurements: servers of a listing under the load of its program `load`, several times in turns. `measurements.toml` of the listing
//! says which there are, and which charts are drawn of them.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, bail, ensure};
use measure::{Figures, Server, Workload};
use serde::{Deserialize, Serialize};

use crate::guard::Job;
use crate::listing::{Listing, suggestion};
use crate::recording;

/// The program that puts servers under load.
pub const LOAD: &str = "load";
/// The program that keeps both on one core.
pub const TASKSET: &str = "taskset";
/// Any free port.
const ANYWHERE: &str = "127.0.0.1:0";

/// The file `measurements.toml` of a listing.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measurements {
    /// What is measured, by the name of the recording.
    #[serde(default)]
    pub recording: BTreeMap<String, Definition>,
    /// What is drawn of it, by the name of the chart.
    #[serde(default)]
    pub chart: BTreeMap<String, Drawing>,
}

/// What is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Programs of the listing, with their arguments but without an address.
    pub servers: Vec<String>,
    /// The arguments of `load`, without an address.
    pub load: String,
    /// How often each server is measured.
    #[serde(default = "rounds")]
    pub rounds: usize,
    /// Whether server and load share one core.
    #[serde(default)]
    pub one_core: bool,
}

fn rounds() -> usize {
    5
}

/// What is drawn.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drawing {
    /// The name of the recording.
    pub recording: String,
    pub title: String,
    pub draws: Draws,
}

/// Which of the figures are drawn.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Draws {
    /// One figure for each server.
    One(Figure),
    /// All percentiles of a time.
    Percentiles(Time),
}

/// A figure of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Figure {
    PerSecond,
    CpuMicros,
    IdleBytes,
    /// One percentile of a time.
    Percentile(Time, String),
}

/// A time, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    SinceSent,
    SinceDue,
}

impl TryFrom<String> for Draws {
    type Error = String;

    fn try_from(text: String) -> Result<Draws, String> {
        let time = |name| match name {
            "since_sent" => Some(Time::SinceSent),
            "since_due" => Some(Time::SinceDue),
            _ => None,
        };
        let one = match text.as_str() {
            "per_second" => Some(Figure::PerSecond),
            "cpu_micros" => Some(Figure::CpuMicros),
            "idle_bytes" => Some(Figure::IdleBytes),
            _ => None,
        };
        let found = match (one, text.split_once(' ')) {
            (Some(figure), _) => Some(Draws::One(figure)),
            (None, Some((name, percentile))) => {
                time(name).map(|time| Draws::One(Figure::Percentile(time, percentile.into())))
            }
            (None, None) => time(&text).map(Draws::Percentiles),
        };
        found.ok_or_else(|| {
            format!(
                "{text:?} is nothing that can be drawn; there are per_second, cpu_micros, idle_bytes, since_sent and since_due, \
                 and the last two with a percentile behind them: \"since_sent 99\""
            )
        })
    }
}

impl Time {
    /// Its percentiles in one run; none if there was no answer.
    pub fn of(self, figures: &Figures) -> Option<&BTreeMap<String, f64>> {
        match self {
            _ if figures.per_second == 0.0 => None,
            Time::SinceSent => Some(&figures.since_sent),
            Time::SinceDue => figures.since_due.as_ref(),
        }
    }
}

impl Figure {
    /// Its value in one run; none if there was no answer.
    pub fn of(&self, figures: &Figures) -> Option<f64> {
        match self {
            Figure::PerSecond => Some(figures.per_second).filter(|value| *value > 0.0),
            Figure::CpuMicros => figures.cpu_micros,
            Figure::IdleBytes => figures.idle_bytes,
            Figure::Percentile(time, percentile) => time.of(figures)?.get(percentile).copied(),
        }
    }
}

/// One run of a measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MeasuredRun {
    /// As the definition has it.
    pub server: String,
    pub figures: Figures,
}

impl Measurements {
    /// Reads what is to be measured of `listing`; nothing if it has no such file.
    pub fn load(listing: &Listing) -> Result<Measurements> {
        let shown = format!("listings/{}/measurements.toml", listing.name);
        let text = match fs::read_to_string(listing.folder.join("measurements.toml")) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Measurements::default());
            }
            other => other.with_context(|| format!("cannot read {shown}"))?,
        };
        let measurements: Measurements =
            toml::from_str(&text).with_context(|| format!("cannot understand {shown}"))?;
        measurements.check(listing).context(shown)?;
        Ok(measurements)
    }

    fn check(&self, listing: &Listing) -> Result<()> {
        for (name, definition) in &self.recording {
            let check = || {
                recording::name(name)?;
                ensure!(definition.rounds > 0, "rounds must not be 0");
                ensure!(!definition.servers.is_empty(), "there are no servers");
                words(&definition.load)?;
                listing.check_program(LOAD)?;
                for server in &definition.servers {
                    listing.check_program(&words(server)?[0])?;
                }
                anyhow::Ok(())
            };
            check().with_context(|| format!("[recording.{name}]"))?;
        }
        let names: Vec<String> = self.recording.keys().cloned().collect();
        for (name, drawing) in &self.chart {
            if !names.contains(&drawing.recording) {
                bail!(
                    "[chart.{name}]: there is no recording {:?}{}",
                    drawing.recording,
                    suggestion(&drawing.recording, &names)
                );
            }
        }
        Ok(())
    }
}

impl Definition {
    /// The programs of the listing that it needs.
    pub fn programs(&self) -> Result<Vec<String>> {
        let servers = self
            .servers
            .iter()
            .map(|server| Ok(words(server)?.remove(0)));
        servers.chain([Ok(LOAD.to_owned())]).collect()
    }
}

/// The words of a command line, of which there is at least one.
fn words(text: &str) -> Result<Vec<String>> {
    let words = shlex::split(text)
        .with_context(|| format!("a quotation mark in {text:?} is not closed"))?;
    ensure!(!words.is_empty(), "a program or its arguments are missing");
    Ok(words)
}

/// The arguments of `book measure`: one run of a measurement.
#[derive(clap::Args, Clone, Debug)]
pub struct Measurement {
    /// Whether server and load share one core
    #[arg(long)]
    pub one_core: bool,
    pub listing: String,
    /// The server and its arguments
    pub server: String,
    /// The arguments of `load`
    #[arg(allow_hyphen_values = true)]
    pub load: String,
}

impl Measurement {
    /// The command that does it.
    pub fn command(&self) -> Result<String> {
        let mut words = vec!["book", "measure"];
        if self.one_core {
            words.push("--one-core");
        }
        words.extend([self.listing.as_str(), &self.server, "--", &self.load]);
        Ok(shlex::try_join(words)?)
    }

    /// Does it; `job` says where the programs are.
    pub fn run(&self, job: &Job) -> Result<Figures> {
        let programs = job.programs.get(&self.listing);
        let programs =
            programs.with_context(|| format!("{} has not been compiled", self.listing))?;
        let mut arguments = words(&self.server)?;
        let program = programs.join(arguments.remove(0));
        arguments.insert(0, ANYWHERE.into());
        let server = Server {
            name: self.server.clone(),
            program,
            arguments,
        };
        let workload = Workload {
            load: words(&self.load)?,
            one_core: self.one_core,
        };
        measure::measure(&programs.join(LOAD), &server, &workload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_drawn_is_understood() {
        let draws = |text: &str| Draws::try_from(text.to_owned());
        assert_eq!(draws("per_second"), Ok(Draws::One(Figure::PerSecond)));
        assert_eq!(draws("since_due"), Ok(Draws::Percentiles(Time::SinceDue)));
        assert_eq!(
            draws("since_sent 99.9"),
            Ok(Draws::One(Figure::Percentile(
                Time::SinceSent,
                "99.9".into()
            )))
        );
        assert!(draws("speed").unwrap_err().contains("per_second"));
        assert!(draws("per_second 99").is_err());
    }
}
