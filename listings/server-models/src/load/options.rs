//! What `load` is told to do.

use std::ffi::OsString;
use std::time::Duration;

use lexopt::Arg::{Long, Value};
use lexopt::{Parser, ValueExt};

use crate::conversation::Protocol;
use crate::{ADDRESS, host_and_port, refuse};

const HELP: &str = "\
Sends requests to a server and tells how long the answers took.

load [HOST:PORT] [OPTIONS]

  --echo             send bytes that are to come back, rather than HTTP requests
  --size BYTES       how many of them a message has; 64 unless said otherwise
  --connections N    how many requests may be on their way at the same time; 1
  --new-connections  a new connection for every request, rather than one for all
  --rate N           N requests each second, whether or not answers come; without it,
                     every connection sends its next request when it has its answer
  --idle N           beside these, N connections that have asked once and then say nothing
  --silent N         beside these, N connections that never say anything
  --warm-up SECONDS  how long to go on before what happens counts; 0.2
  --duration SECONDS how long it counts; 2
  --timeout SECONDS  how long to wait for an answer; 2
  --json             print JSON rather than a table
";

/// The largest message, the most connections of a kind, the highest rate, and the longest
/// time in seconds.
const SIZE_LIMIT: f64 = 1024.0 * 1024.0;
const CONNECTION_LIMIT: f64 = 100_000.0;
const RATE_LIMIT: f64 = 1_000_000.0;
const TIME_LIMIT: f64 = 3600.0;

/// What `load` is told to do.
#[derive(Clone, Debug)]
pub struct Options {
    pub address: String,
    pub protocol: Protocol,
    /// Bytes of an echo message.
    pub size: usize,
    /// How many requests may be on their way at the same time.
    pub connections: usize,
    /// Whether every request has a connection of its own.
    pub new_connections: bool,
    /// Requests each second; none if the next one waits for the answer to the last.
    pub rate: Option<f64>,
    /// Connections that have asked once and then say nothing.
    pub idle: usize,
    /// Connections that never say anything.
    pub silent: usize,
    pub warm_up: Duration,
    pub duration: Duration,
    pub timeout: Duration,
    pub json: bool,
}

impl Options {
    /// What the program's arguments say.
    ///
    /// Wrong ones end the program with one line on stderr and exit code 2; `--help` ends it
    /// with a page of help.
    pub fn from_arguments() -> Options {
        Options::parse(Parser::from_env()).unwrap_or_else(|error| refuse(&error))
    }

    fn parse(mut arguments: Parser) -> Result<Options, lexopt::Error> {
        let mut options = Options {
            address: ADDRESS.into(),
            protocol: Protocol::Http,
            size: 64,
            connections: 1,
            new_connections: false,
            rate: None,
            idle: 0,
            silent: 0,
            warm_up: Duration::from_millis(200),
            duration: Duration::from_secs(2),
            timeout: Duration::from_secs(2),
            json: false,
        };
        let mut has_address = false;
        while let Some(argument) = arguments.next()? {
            let name = match &argument {
                Long(name) => (*name).to_owned(),
                Value(text) if !has_address => {
                    options.address = host_and_port(text)?;
                    has_address = true;
                    continue;
                }
                _ => return Err(argument.unexpected()),
            };
            let mut number = |least, most| number(&name, arguments.value()?, least, most);
            match name.as_str() {
                "echo" => options.protocol = Protocol::Echo,
                "new-connections" => options.new_connections = true,
                "json" => options.json = true,
                "size" => options.size = number(1.0, SIZE_LIMIT)? as usize,
                "connections" => {
                    options.connections = number(1.0, CONNECTION_LIMIT)? as usize;
                }
                "rate" => options.rate = Some(number(1.0, RATE_LIMIT)?),
                "idle" => options.idle = number(0.0, CONNECTION_LIMIT)? as usize,
                "silent" => options.silent = number(0.0, CONNECTION_LIMIT)? as usize,
                "warm-up" => options.warm_up = seconds(number(0.0, TIME_LIMIT)?),
                "duration" => options.duration = seconds(number(0.01, TIME_LIMIT)?),
                "timeout" => options.timeout = seconds(number(0.01, TIME_LIMIT)?),
                "help" => {
                    print!("{HELP}");
                    std::process::exit(0);
                }
                _ => return Err(Long(&name).unexpected()),
            }
        }
        Ok(options)
    }
}

/// The number in `text`, which must be in these bounds.
fn number(name: &str, text: OsString, least: f64, most: f64) -> Result<f64, lexopt::Error> {
    let number: Option<f64> = text.parse().ok();
    number
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| {
            format!("expected a number from {least} to {most} after --{name}").into()
        })
}

fn seconds(number: f64) -> Duration {
    Duration::from_secs_f64(number)
}
