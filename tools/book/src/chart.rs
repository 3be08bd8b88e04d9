//! `book chart`: what has been measured, as a picture, a table with the same figures, and a line that says where they come from.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use measure::Figures;

use crate::listing::{Listing, suggestion};
use crate::markdown::{self, line};
use crate::measurement::{Drawing, Draws, Figure, MeasuredRun, Measurements, Time};
use crate::plot::{self, Bar, Curve, number};
use crate::project::Project;
use crate::recording::{self, Content, Recording};

/// The arguments of `book chart`.
#[derive(clap::Args, Clone, Debug)]
pub struct Chart {
    /// A folder in listings/
    listing: String,
    /// A chart in its measurements.toml
    name: String,
}

/// The last percentile that is drawn: the one after it is the single longest time.
const LAST_DRAWN: f64 = 99.9;

/// All runs of one server.
struct Measured<'a> {
    server: &'a str,
    runs: Vec<&'a Figures>,
}

impl Chart {
    /// The chart as Markdown.
    pub fn page(&self, project: &Project) -> Result<String> {
        let listing = Listing::load(project, &self.listing)?;
        let mut measurements = Measurements::load(&listing)?;
        let Some(drawing) = measurements.chart.remove(&self.name) else {
            let names: Vec<String> = measurements.chart.into_keys().collect();
            bail!(
                "the listing {:?} has no chart {:?}{}",
                self.listing,
                self.name,
                suggestion(&self.name, &names)
            );
        };
        let recording = Recording::load(&listing, &drawing.recording)?;
        let again = recording::command(&listing.name, &drawing.recording);
        match &recording.content {
            Content::Measurement { definition, runs }
                if Some(definition) == measurements.recording.get(&drawing.recording) =>
            {
                let changed = recording.provenance.changed([&listing].into_iter());
                let provenance = markdown::provenance(&recording.provenance, &again, &changed);
                let measured = by_server(&definition.servers, runs);
                let id = format!("chart-{}-{}", listing.name, self.name);
                Ok(figure(&id, &drawing, &measured, &provenance))
            }
            _ => bail!(
                "something else has been recorded as {:?}; `{again}` records what measurements.toml says",
                drawing.recording
            ),
        }
    }
}

fn by_server<'a>(servers: &'a [String], runs: &'a [MeasuredRun]) -> Vec<Measured<'a>> {
    let measured = |server: &'a String| Measured {
        server,
        runs: runs
            .iter()
            .filter(|run| run.server == *server)
            .map(|run| &run.figures)
            .collect(),
    };
    servers.iter().map(measured).collect()
}

/// The figure, without a blank line: that would end the block.
fn figure(id: &str, drawing: &Drawing, measured: &[Measured], provenance: &str) -> String {
    let (svg, table) = match &drawing.draws {
        Draws::One(figure) => bars(id, drawing, figure, measured),
        Draws::Percentiles(time) => curves(id, drawing, *time, measured),
    };
    format!(
        "<figure class=\"chart\">\n<figcaption>{}</figcaption>\n{svg}<div class=\"table-wrapper\">\n{table}</div>\n{provenance}\n</figure>\n\n",
        line(&drawing.title)
    )
}

fn unit(figure: &Figure) -> &'static str {
    match figure {
        Figure::PerSecond => "/s",
        Figure::CpuMicros => "µs",
        Figure::IdleBytes => "bytes",
        Figure::Percentile(..) => "ms",
    }
}

fn what(figure: &Figure) -> String {
    match figure {
        Figure::PerSecond => "answers each second".into(),
        Figure::CpuMicros => "microseconds of CPU time for each answer".into(),
        Figure::IdleBytes => "bytes of memory for each idle connection".into(),
        Figure::Percentile(time, percentile) => format!(
            "milliseconds {} to the answer, for {percentile} % of the requests at most",
            since(*time)
        ),
    }
}

fn since(time: Time) -> &'static str {
    match time {
        Time::SinceSent => "from sending a request",
        Time::SinceDue => "from when a request was due",
    }
}

/// One bar for each server, and a row for each in the table.
fn bars(id: &str, drawing: &Drawing, figure: &Figure, measured: &[Measured]) -> (String, String) {
    let bars: Vec<Bar> = measured
        .iter()
        .map(|server| Bar {
            name: server.server.into(),
            values: server
                .runs
                .iter()
                .filter_map(|run| figure.of(run))
                .collect(),
        })
        .collect();
    let what = what(figure);
    let description = format!(
        "{what}. A bar is the median of all runs, a dot one run, the line over the bar goes from the least to the most. The table has the figures."
    );
    let svg = plot::bars(id, &drawing.title, &description, unit(figure), &bars);

    let failures: Vec<String> = measured.iter().map(failures).collect();
    let have_failed = failures.iter().any(|failed| !failed.is_empty());
    let mut table = format!(
        "<table>\n<thead><tr><th>{}</th><th>median</th><th>least</th><th>most</th>{}</tr></thead>\n<tbody>\n",
        line(&what),
        if have_failed {
            "<th>failed requests</th>"
        } else {
            ""
        }
    );
    for (bar, failed) in bars.iter().zip(failures) {
        table.push_str(&format!("<tr><th scope=\"row\">{}</th>", line(&bar.name)));
        match bar.spread() {
            Some((least, median, most)) => {
                for value in [median, least, most] {
                    table.push_str(&format!("<td>{}</td>", number(value)));
                }
            }
            None => table.push_str("<td colspan=\"3\">no answer</td>"),
        }
        if have_failed {
            table.push_str(&format!("<td>{}</td>", line(&failed)));
        }
        table.push_str("</tr>\n");
    }
    table.push_str("</tbody>\n</table>\n");
    (svg, table)
}

/// One curve for each server, and a column for each in the table.
fn curves(id: &str, drawing: &Drawing, time: Time, measured: &[Measured]) -> (String, String) {
    let curves: Vec<Curve> = measured.iter().map(|server| curve(server, time)).collect();
    let description = format!(
        "Milliseconds {} to the answer, on a logarithmic axis, by percentile. A curve goes through the medians of all runs, a bar from the least to the most. The table has the figures.",
        since(time)
    );
    let drawn: Vec<Curve> = curves
        .iter()
        .map(|curve| Curve {
            name: curve.name.clone(),
            points: curve
                .points
                .iter()
                .filter(|(percentile, _)| *percentile <= LAST_DRAWN)
                .cloned()
                .collect(),
        })
        .collect();
    let svg = plot::curves(id, &drawing.title, &description, &drawn);

    let mut table = String::from("<table>\n<thead><tr><th>percent of the requests, within ms</th>");
    for curve in &curves {
        table.push_str(&format!("<th>{}</th>", line(&curve.name)));
    }
    table.push_str("</tr></thead>\n<tbody>\n");
    let percentiles = curves.iter().map(|curve| &curve.points);
    let longest = percentiles.max_by_key(|points| points.len());
    for (row, (percentile, _)) in longest.into_iter().flatten().enumerate() {
        table.push_str(&format!("<tr><th scope=\"row\">{percentile}</th>"));
        for curve in &curves {
            let spread = curve
                .points
                .get(row)
                .and_then(|(_, values)| plot::spread(values));
            table.push_str(&match spread {
                Some((least, median, most)) => format!(
                    "<td>{} <small>({} to {})</small></td>",
                    number(median),
                    number(least),
                    number(most)
                ),
                None => "<td>no answer</td>".into(),
            });
        }
        table.push_str("</tr>\n");
    }
    let failures: Vec<String> = measured.iter().map(failures).collect();
    if failures.iter().any(|failed| !failed.is_empty()) {
        table.push_str("<tr><th scope=\"row\">failed requests</th>");
        for failed in failures {
            table.push_str(&format!("<td>{}</td>", line(&failed)));
        }
        table.push_str("</tr>\n");
    }
    table.push_str("</tbody>\n</table>\n");
    (svg, table)
}

/// What a server's runs have shown, percentile by percentile.
fn curve(server: &Measured, time: Time) -> Curve {
    let mut points = Vec::<(f64, Vec<f64>)>::new();
    for run in &server.runs {
        for (name, value) in time.of(run).into_iter().flatten() {
            let Ok(percentile) = name.parse::<f64>() else {
                continue;
            };
            match points.iter_mut().find(|(known, _)| *known == percentile) {
                Some((_, values)) => values.push(*value),
                None => points.push((percentile, vec![*value])),
            }
        }
    }
    points.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    Curve {
        name: server.server.into(),
        points,
    }
}

/// The failed requests of all runs, by their cause.
fn failures(server: &Measured) -> String {
    let mut counts = BTreeMap::<&str, u64>::new();
    for run in &server.runs {
        let unsent = (run.unsent > 0).then_some(("not sent in time", run.unsent));
        let failed = run
            .failures
            .iter()
            .map(|(kind, count)| (kind.as_str(), *count));
        for (kind, count) in failed.chain(unsent) {
            *counts.entry(kind).or_default() += count;
        }
    }
    let counts = counts
        .iter()
        .map(|(kind, count)| format!("{} {kind}", plot::grouped(*count)));
    counts.collect::<Vec<_>>().join(", ")
}
