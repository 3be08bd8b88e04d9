//! What happens in a scene while somebody looks on.

use std::cell::RefCell;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::process::{Process, Stream};
use crate::text;
use crate::workbench::diagnostic::Diagnostic;

/// Something that has happened. Terminals have numbers, in the order of the scene; the first one is 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "event")]
pub enum Event {
    /// A program starts, with this command. The first one may start twice, if its address is taken: then the terminal is as new.
    Begin { terminal: usize, command: String },
    /// It has printed something.
    Print {
        terminal: usize,
        stream: Stream,
        text: String,
    },
    /// It listens there, and has been left running, in this folder.
    Listening {
        terminal: usize,
        address: SocketAddr,
        /// Where it should have been, if that was taken.
        moved_from: Option<SocketAddr>,
        /// A command that talks to it.
        talk: Option<String>,
        folder: PathBuf,
    },
    /// It has ended by itself; without a code if a signal ended it.
    Exit { terminal: usize, code: Option<i32> },
    /// Too many run at the moment.
    Waiting,
    /// A listing is being compiled.
    Compile { listing: String },
    /// What the compiler says of a reader's changes to a listing.
    Diagnostics {
        listing: String,
        diagnostics: Vec<Diagnostic>,
    },
    /// It is over.
    Over,
    /// It came to nothing, or was cut short: one message.
    Failed { message: String },
}

/// How much of each terminal has been told.
#[derive(Default)]
pub struct Live {
    told: RefCell<Vec<Told>>,
}

#[derive(Clone, Default)]
struct Told {
    pieces: usize,
    has_ended: bool,
}

impl Live {
    /// Prints an event, in one line.
    pub fn say(&self, event: &Event) -> Result<()> {
        if let Event::Begin { terminal, .. } = event {
            let mut told = self.told.borrow_mut();
            let length = told.len().max(terminal + 1);
            told.resize(length, Told::default());
            told[*terminal] = Told::default();
        }
        let mut stdout = io::stdout().lock();
        serde_json::to_writer(&mut stdout, event)?;
        stdout.write_all(b"\n")?;
        Ok(stdout.flush()?)
    }

    /// Tells what is new of a terminal.
    pub fn look(&self, terminal: usize, process: &Process) -> Result<()> {
        let told = self
            .told
            .borrow()
            .get(terminal)
            .cloned()
            .unwrap_or_default();
        for (stream, bytes) in &process.output[told.pieces..] {
            self.say(&Event::Print {
                terminal,
                stream: *stream,
                text: text::readable(bytes),
            })?;
        }
        if let (false, Some(status)) = (told.has_ended, process.status) {
            let code = status.code();
            self.say(&Event::Exit { terminal, code })?;
        }
        if let Some(told) = self.told.borrow_mut().get_mut(terminal) {
            told.pieces = process.output.len();
            told.has_ended = process.has_ended();
        }
        Ok(())
    }
}
