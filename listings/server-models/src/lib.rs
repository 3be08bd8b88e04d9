//! What the five servers of this listing have in common: their arguments, their limits and
//! the way they listen. What they say is in [`conversation`].

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::process;
use std::time::Duration;

use anyhow::{Context, Result};
use lexopt::Arg::{Long, Value};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

pub mod blocking;
pub mod conversation;
pub mod load;

pub mod nonblocking;

use conversation::Protocol;

/// Where a server listens and `load` looks for it, unless they are told otherwise.
pub const ADDRESS: &str = "127.0.0.1:8001";

// ANCHOR: limits
/// How many connections are served at the same time. Others wait in the backlog.
pub const CONNECTION_LIMIT: usize = 10_000;
/// How many finished handshakes may wait for `accept`; Linux takes `net.core.somaxconn` if
/// that is less.
pub const BACKLOG: i32 = 1024;
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
        false => Err(format!("expected HOST:PORT, got: {text}").into()),
    }
}

/// Ends the program, whose arguments are wrong, with one line on stderr and exit code 2.
pub fn refuse(error: &lexopt::Error) -> ! {
    eprintln!("{}", error.to_string().escape_debug());
    process::exit(2);
}

// ANCHOR: listen
/// A listening socket at the first address that `address` stands for and that can be had.
///
/// `std`'s `bind` does nearly the same, but for the backlog of 128 and for `TCP_NODELAY`.
/// What is set on a listening socket holds for every connection that it accepts.
pub fn listen(address: &str) -> Result<TcpListener> {
    let listener = (|| {
        let mut last_error = io::Error::other("the name has no address");
        for address in address.to_socket_addrs()? {
            match listen_at(address) {
                Ok(listener) => return Ok(listener),
                Err(error) => last_error = error,
            }
        }
        Err(last_error)
    })()
    .with_context(|| format!("cannot listen on {address}"))?;
    raise_descriptor_limit()?;
    println!("listening on {}", listener.local_addr()?);
    Ok(listener)
}

fn listen_at(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
// ANCHOR_END: listen

/// Allows this process as many descriptors as it may allow itself. Many systems start
/// programs with 1,024, for the sake of those that still use select(2).
pub fn raise_descriptor_limit() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("cannot raise the limit")
}
