//! What a terminal has shown: a command, and what it printed.

use serde::{Deserialize, Serialize};

use crate::process::{Process, Stream};
use crate::text;

/// One terminal of a scene.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Transcript {
    /// What a reader types.
    pub command: String,
    /// What was printed, and where, in its order.
    pub output: Vec<(Stream, String)>,
    /// The exit code; none if the program was stopped at the scene's end.
    pub exit: Option<i32>,
}

impl Transcript {
    /// What `process` has printed up to now.
    pub fn of(command: &str, process: &Process) -> Transcript {
        Transcript {
            command: command.into(),
            output: paragraphs(&process.output),
            exit: process.status.and_then(|status| status.code()),
        }
    }
}

/// The terminals as plain text, for an error message.
pub fn plain<'a>(terminals: impl Iterator<Item = &'a Transcript>) -> String {
    let mut all = String::from("the scene did not do what it should; this is what was printed:");
    for terminal in terminals {
        all.push_str(&format!("\n  $ {}", terminal.command));
        for (_, lines) in &terminal.output {
            for line in lines.lines() {
                all.push_str(&format!("\n  {line}"));
            }
        }
    }
    all
}

/// Joins neighbouring pieces of the same stream, and makes them readable.
fn paragraphs(output: &[(Stream, Vec<u8>)]) -> Vec<(Stream, String)> {
    let mut joined: Vec<(Stream, Vec<u8>)> = Vec::new();
    for (stream, bytes) in output {
        match joined.last_mut() {
            Some((last, all)) if last == stream => all.extend(bytes),
            _ => joined.push((*stream, bytes.clone())),
        }
    }
    joined
        .into_iter()
        .map(|(stream, bytes)| (stream, text::readable(&bytes)))
        .collect()
}
