//! What the programs of this listing share: their arguments, an address and a message, and
//! a way to send with a time limit.

use std::env;
use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
use std::io::{self, Write};
use std::net::TcpStream;
use std::process;
use std::time::{Duration, Instant};

/// Where the server listens and the client looks for it, unless they are told otherwise.
/// RFC 862 says port 7, which needs privileges on many systems.
pub const ADDRESS: &str = "127.0.0.1:8001";

/// What the client says, unless it is told otherwise.
pub const MESSAGE: &str = "hello there";

/// The longest message in bytes. The client sends all of it before it reads, so it must fit
/// into the buffers on the way.
pub const MESSAGE_LIMIT: usize = 64 * 1024;

/// The address in the first argument, or [`ADDRESS`].
///
/// Anything else ends the program with one line on stderr and exit code 2.
pub fn address() -> String {
    let arguments = arguments();
    match arguments.as_slice() {
        [] => ADDRESS.into(),
        [address] if is_host_and_port(address) => address.clone(),
        _ => {
            eprintln!(
                "expected HOST:PORT or nothing, got: {}",
                arguments.join(" ").escape_debug()
            );
            process::exit(2);
        }
    }
}

/// The address and the message that the client's arguments stand for.
///
/// Wrong ones end the program with one line on stderr and exit code 2.
pub fn address_and_message() -> (String, String) {
    let arguments = arguments();
    let Some((address, message)) = parse(&arguments) else {
        eprintln!(
            "expected [HOST:PORT] [MESSAGE], a message of several words in quotes, got: {}",
            arguments.join(" ").escape_debug()
        );
        process::exit(2);
    };
    if message.len() > MESSAGE_LIMIT {
        eprintln!(
            "expected a message of at most {MESSAGE_LIMIT} bytes, got {}",
            message.len()
        );
        process::exit(2);
    }
    (address, message)
}

/// The same, from `arguments`. One alone is the address if it looks like one, and the
/// message if not.
pub fn parse(arguments: &[String]) -> Option<(String, String)> {
    match arguments {
        [] => Some((ADDRESS.into(), MESSAGE.into())),
        [address] if is_host_and_port(address) => Some((address.clone(), MESSAGE.into())),
        [message] if !ends_in_a_port(message) => Some((ADDRESS.into(), message.clone())),
        [address, message] if is_host_and_port(address) => {
            Some((address.clone(), message.clone()))
        }
        _ => None,
    }
}

fn arguments() -> Vec<String> {
    env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect()
}

/// Whether `text` is a host, a colon and a port. An IPv6 address stands in brackets, since
/// it has colons of its own.
fn is_host_and_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        let bracketed = host.starts_with('[') && host.ends_with(']');
        !host.is_empty()
            && (bracketed || !host.contains(':'))
            && port.parse::<u16>().is_ok()
    })
}

/// Whether `text` is meant as an address, with a mistake in it perhaps: a port that is too
/// large, or brackets left out.
fn ends_in_a_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(_, port)| {
        !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
    })
}

// ANCHOR: write
/// Sends all of `bytes`, as `write_all` does, but fails if that takes longer than `limit`.
///
/// `set_write_timeout` alone bounds one `write`. `write_all` makes as many as it needs,
/// and each starts with a new timeout.
pub fn write_all_within(
    stream: &mut TcpStream,
    mut bytes: &[u8],
    limit: Duration,
) -> io::Result<()> {
    let deadline = Instant::now() + limit;
    while !bytes.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(TimedOut.into());
        }
        stream.set_write_timeout(Some(left))?;
        match stream.write(bytes) {
            Ok(length) => bytes = &bytes[length..],
            // The next turn finds out whether there is time left.
            Err(error) if matches!(error.kind(), WouldBlock | Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
// ANCHOR_END: write
