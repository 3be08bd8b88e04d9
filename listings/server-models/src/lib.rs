//! What the programs of this listing have in common: their arguments and their limits.

use std::process;
use std::time::Duration;

use lexopt::Arg::{Long, Value};

pub mod asynchronous;
pub mod blocking;
pub mod conversation;
pub mod load;
pub mod nonblocking;
pub mod socket;

use conversation::Protocol;

/// Where a server listens and `load` looks for it, unless they are told otherwise.
pub const ADDRESS: &str = "127.0.0.1:8001";

// ANCHOR: limits
/// How many connections are served at the same time. Others wait in the backlog; `threads`
/// sends them away.
pub const CONNECTION_LIMIT: usize = 10_000;
/// How long a client may take for one request and to fetch the answer.
pub const TIMEOUT: Duration = Duration::from_secs(60);
/// How long a server waits after `accept` has failed.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long open connections may go on after Ctrl-C.
pub const GRACE: Duration = Duration::from_secs(5);
/// How many bytes one read may bring.
pub const BUFFER_SIZE: usize = 32 * 1024;
// ANCHOR_END: limits

/// The address in the arguments, or [`ADDRESS`], and what to speak there: HTTP, or with
/// `--echo` back what comes.
///
/// Anything else ends the program with one line on stderr and exit code 2.
pub fn arguments() -> (String, Protocol) {
    let (address, protocol, _) = arguments_and(None);
    (address, protocol)
}

/// The same, and whether the option `--name` is there.
pub fn arguments_and(name: Option<&str>) -> (String, Protocol, bool) {
    let mut address = None;
    let mut protocol = Protocol::Http;
    let mut is_there = false;
    let mut arguments = lexopt::Parser::from_env();
    let result = (|| {
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("echo") => protocol = Protocol::Echo,
                Long(option) if Some(option) == name => is_there = true,
                Value(text) if address.is_none() => address = Some(host_and_port(&text)?),
                other => return Err(other.unexpected()),
            }
        }
        Ok(())
    })();
    if let Err(error) = result {
        refuse(&error);
    }
    (address.unwrap_or(ADDRESS.into()), protocol, is_there)
}

/// The address in the arguments, or [`ADDRESS`], and a number behind it, or 1.
///
/// Anything else ends the program with one line on stderr and exit code 2.
pub fn address_and_count() -> (String, usize) {
    let mut address = None;
    let mut count = None;
    let mut arguments = lexopt::Parser::from_env();
    let result = (|| {
        while let Some(argument) = arguments.next()? {
            match argument {
                Value(text) if count.is_none() => {
                    let number = text.to_str().and_then(|text| text.parse().ok());
                    match number.filter(|number| (1..=CONNECTION_LIMIT).contains(number)) {
                        Some(number) => count = Some(number),
                        None if address.is_none() => address = Some(host_and_port(&text)?),
                        None => return Err(Value(text).unexpected()),
                    }
                }
                other => return Err(other.unexpected()),
            }
        }
        Ok(())
    })();
    if let Err(error) = result {
        refuse(&error);
    }
    (address.unwrap_or(ADDRESS.into()), count.unwrap_or(1))
}

/// `text` if it is a host, a colon and a port. An IPv6 address stands in brackets, since it
/// has colons of its own.
pub fn host_and_port(text: &std::ffi::OsStr) -> Result<String, lexopt::Error> {
    let text = text.to_string_lossy();
    let is_right = text.rsplit_once(':').is_some_and(|(host, port)| {
        let bracketed = host.starts_with('[') && host.ends_with(']');
        !host.is_empty()
            && (bracketed || !host.contains(':'))
            && port.parse::<u16>().is_ok()
    });
    match is_right {
        true => Ok(text.into_owned()),
        false => Err(format!("expected HOST:PORT, got: {text:?}").into()),
    }
}

/// Ends the program, whose arguments are wrong, with one line on stderr and exit code 2.
pub fn refuse(error: &lexopt::Error) -> ! {
    // An argument may have line breaks in it.
    let line = error.to_string().replace(char::is_control, " ");
    eprintln!("{line}");
    process::exit(2);
}

/// Says how it went, when the time after Ctrl-C is over.
pub fn say_goodbye(all_have_ended: bool) {
    match all_have_ended {
        true => eprintln!("all connections have ended"),
        false => eprintln!("some connections are still open"),
    }
}
