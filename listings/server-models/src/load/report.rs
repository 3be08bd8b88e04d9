//! What a run has shown: counts and percentiles, as a table and as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::conversation::Protocol;
use crate::load::connection::Failure;
use crate::load::options::Options;

/// The percentiles that are shown; the last one is the longest time.
const PERCENTILES: [f64; 6] = [50.0, 75.0, 90.0, 99.0, 99.9, 100.0];
/// The longest time that can be told from a longer one, in microseconds.
const LONGEST: u64 = 2 * 3600 * 1_000_000;
/// How many digits of a time are kept.
const DIGITS: u8 = 3;

/// What a run has shown.
pub struct Report {
    options: Options,
    /// How many answers have come while it counted.
    pub answers: u64,
    /// How many have come at all, for those who set the server's own figures beside them.
    pub answers_in_all: u64,
    /// How many of the connections beside the working ones the server has closed.
    pub closed: usize,
    /// Requests that were due and could not be sent, since no connection was free.
    unsent: u64,
    failures: BTreeMap<String, u64>,
    /// Microseconds since a request was sent.
    since_sent: Histogram<u64>,
    /// Microseconds since it should have been sent.
    since_due: Histogram<u64>,
}

impl Report {
    pub fn new(options: Options) -> Result<Report> {
        Ok(Report {
            options,
            answers: 0,
            answers_in_all: 0,
            closed: 0,
            unsent: 0,
            failures: BTreeMap::new(),
            since_sent: Histogram::new_with_bounds(1, LONGEST, DIGITS)?,
            since_due: Histogram::new_with_bounds(1, LONGEST, DIGITS)?,
        })
    }

    // ANCHOR: record
    /// An answer has come.
    pub fn answered(&mut self, since_sent: Duration, since_due: Duration) {
        self.since_sent.saturating_record(microseconds(since_sent));
        self.since_due.saturating_record(microseconds(since_due));
    }

    /// A request was due this long before the end, and no connection was free to send it.
    pub fn unsent(&mut self, since_due: Duration) {
        self.unsent += 1;
        self.since_due.saturating_record(microseconds(since_due));
    }
    // ANCHOR_END: record

    /// A request has failed. One that was given up has waited at least until then.
    pub fn failed(&mut self, failure: &Failure, since_due: Duration) {
        if matches!(failure, Failure::TimedOut) {
            self.since_due.saturating_record(microseconds(since_due));
        }
        *self.failures.entry(failure.to_string()).or_default() += 1;
    }

    fn answers_per_second(&self) -> f64 {
        self.answers as f64 / self.options.duration.as_secs_f64()
    }

    /// The run as a table.
    pub fn table(&self) -> String {
        let options = &self.options;
        let what = match options.protocol {
            Protocol::Http => format!("GET http://{}/", options.address),
            Protocol::Echo => format!("{} bytes to {}", options.size, options.address),
        };
        let connections = match (options.new_connections, options.connections) {
            (true, 1) => "a new connection each".into(),
            (true, count) => format!("a new connection each, {count} at a time"),
            (false, 1) => "1 connection".into(),
            (false, count) => format!("{count} connections"),
        };
        let rate = options
            .rate
            .map_or(String::new(), |rate| format!(", {rate} requests/s"));
        let mut table = format!("{what}: {connections}{rate}\n");
        for (count, kind) in [(options.idle, "idle"), (options.silent, "silent")] {
            if count > 0 {
                table += &format!("beside {count} {kind} connections\n");
            }
        }
        if self.closed > 0 {
            table += &format!("the server has closed {} of them\n", self.closed);
        }
        let per_second = self.answers_per_second();
        let answers = self.answers;
        table += &format!("{answers} answers, {per_second:.0}/s\n");
        for (kind, count) in &self.failures {
            table += &format!("{count} failed: {kind}\n");
        }
        if self.unsent > 0 {
            table += &format!("{} could not even be sent in time\n", self.unsent);
        }
        let has_times = match options.rate {
            Some(_) => !self.since_due.is_empty(),
            None => !self.since_sent.is_empty(),
        };
        if !has_times {
            return table;
        }
        table += "percent  ms since sent";
        table += if options.rate.is_some() {
            "  ms since due\n"
        } else {
            "\n"
        };
        for percentile in PERCENTILES {
            let time = |histogram| match milliseconds(histogram, percentile) {
                Some(time) => format!("{time:.2}"),
                None => "-".into(),
            };
            table += &format!("{percentile:>7}  {:>13}", time(&self.since_sent));
            if options.rate.is_some() {
                table += &format!("  {:>12}", time(&self.since_due));
            }
            table += "\n";
        }
        table
    }

    /// The run as JSON. Times are in milliseconds, none if there was no answer;
    /// `since_due` is null without a rate.
    pub fn json(&self) -> Value {
        let options = &self.options;
        let percentiles = |histogram: &Histogram<u64>| {
            let time = |p: &f64| Some((p.to_string(), json!(milliseconds(histogram, *p)?)));
            Value::Object(PERCENTILES.iter().filter_map(time).collect())
        };
        json!({
            "protocol": match options.protocol {
                Protocol::Http => "http",
                Protocol::Echo => "echo",
            },
            "size": (options.protocol == Protocol::Echo).then_some(options.size),
            "connections": options.connections,
            "new_connections": options.new_connections,
            "rate": options.rate,
            "idle": options.idle,
            "silent": options.silent,
            "closed": self.closed,
            "seconds": options.duration.as_secs_f64(),
            "answers": self.answers,
            "answers_in_all": self.answers_in_all,
            "answers_per_second": self.answers_per_second(),
            "failures": self.failures,
            "unsent": self.unsent,
            "since_sent": percentiles(&self.since_sent),
            "since_due": options.rate.map(|_| percentiles(&self.since_due)),
        })
    }
}

fn microseconds(time: Duration) -> u64 {
    time.as_micros() as u64
}

/// None if nothing has been recorded.
fn milliseconds(histogram: &Histogram<u64>, percentile: f64) -> Option<f64> {
    (!histogram.is_empty())
        .then(|| histogram.value_at_percentile(percentile) as f64 / 1000.0)
}
