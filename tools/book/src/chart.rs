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

/// A picture and its table, and what is in them.
struct Picture {
    svg: String,
    legend: String,
    table: String,
}

/// The figure, without a blank line: that would end the block.
fn figure(id: &str, drawing: &Drawing, measured: &[Measured], provenance: &str) -> String {
    let picture = match &drawing.draws {
        Draws::One(figure) => bars(id, drawing, figure, measured),
        Draws::Percentiles(time) => curves(id, drawing, *time, measured),
    };
    format!(
        "<figure class=\"chart\">\n<figcaption>{}</figcaption>\n{}<p class=\"legend\">{}</p>\n<div class=\"table-wrapper\">\n{}</div>\n{provenance}\n</figure>\n\n",
        line(&drawing.title),
        picture.svg,
        line(&picture.legend),
        picture.table
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
        Figure::PerSecond => "Answers each second".into(),
        Figure::CpuMicros => "Microseconds of the server's CPU time for each answer".into(),
        Figure::IdleBytes => "Bytes of the server's memory for each idle connection".into(),
        Figure::Percentile(time, percentile) => format!(
            "Milliseconds {} to its answer, within which {percentile} % had theirs",
            since(*time)
        ),
    }
}

fn since(time: Time) -> &'static str {
    match time {
        Time::SinceSent => "from when a request was sent",
        Time::SinceDue => "from when a request was due",
    }
}

/// One bar for each server, and a row for each in the table.
fn bars(id: &str, drawing: &Drawing, figure: &Figure, measured: &[Measured]) -> Picture {
    let bars: Vec<Bar> = measured
        .iter()
        .map(|server| Bar {
            name: server.server.into(),
            values: server
                .runs
                .iter()
                .filter_map(|run| figure.of(run))
                .collect(),
            failed: failures(server).values().sum(),
        })
        .collect();
    let runs = bars.iter().map(|bar| bar.values.len()).max();
    let shape = match plot::has_bars(&bars) {
        true => "a bar",
        false => "on a logarithmic scale, a thick line",
    };
    let legend = format!(
        "{}: {shape} is the median of {} runs, a dot is one of them.",
        what(figure),
        runs.unwrap_or_default()
    );
    let svg = plot::bars(id, &drawing.title, &legend, unit(figure), &bars);

    let failures = failures_of_all(measured);
    let have_failed = failures.iter().any(|failed| !failed.is_empty());
    let mut table = format!(
        "<table>\n<thead><tr><th>server</th><th>median</th><th>least</th><th>most</th>{}</tr></thead>\n<tbody>\n",
        if have_failed {
            "<th>failed, in all runs</th>"
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
    Picture { svg, legend, table }
}

/// One curve for each server, and a column for each in the table.
fn curves(id: &str, drawing: &Drawing, time: Time, measured: &[Measured]) -> Picture {
    let curves: Vec<Curve> = measured.iter().map(|server| curve(server, time)).collect();
    let runs = measured.iter().map(|server| server.runs.len()).max();
    let legend = format!(
        "Milliseconds {} to its answer, within which so many percent of the requests had theirs, on a logarithmic scale. A curve goes through the medians of {} runs, a thin line from the least to the most.",
        since(time),
        runs.unwrap_or_default()
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
    let svg = plot::curves(id, &drawing.title, &legend, &drawn);

    let mut table = String::from("<table>\n<thead><tr><th>percent</th>");
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
                    "<td>{}<br><small>{}–{}</small></td>",
                    number(median),
                    number(least),
                    number(most)
                ),
                None => "<td>no answer</td>".into(),
            });
        }
        table.push_str("</tr>\n");
    }
    let failures = failures_of_all(measured);
    if failures.iter().any(|failed| !failed.is_empty()) {
        table.push_str("<tr><th scope=\"row\">failed or not sent, in all runs</th>");
        for failed in failures {
            table.push_str(&format!("<td>{}</td>", line(&failed)));
        }
        table.push_str("</tr>\n");
    }
    table.push_str("</tbody>\n</table>\n");
    Picture { svg, legend, table }
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
fn failures<'a>(server: &Measured<'a>) -> BTreeMap<&'a str, u64> {
    let mut counts = BTreeMap::new();
    for run in &server.runs {
        let unsent = (run.unsent > 0).then_some(("not sent in time", run.unsent));
        let failed = run.failures.iter();
        let failed = failed.map(|(kind, count)| (kind.as_str(), *count));
        for (kind, count) in failed.chain(unsent) {
            *counts.entry(kind).or_default() += count;
        }
    }
    counts
}

/// The same in words.
fn failures_of_all(measured: &[Measured]) -> Vec<String> {
    let words = |server| {
        let counts = failures(server).into_iter();
        let counts = counts.map(|(kind, count)| format!("{} {kind}", plot::grouped(count)));
        counts.collect::<Vec<_>>().join(", ")
    };
    measured.iter().map(words).collect()
}
