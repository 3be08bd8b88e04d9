//! A daytime server (RFC 867): tells everyone who connects what time it is, and closes.

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

fn main() -> Result<()> {
    let address = daytime::address();

    // ANCHOR: bind
    let listener = TcpListener::bind(&address)
        .with_context(|| format!("cannot listen on {address}"))?;
    println!("listening on {}", listener.local_addr()?);
    // ANCHOR_END: bind

    // ANCHOR: accept
    loop {
        let (mut stream, peer) = match listener.accept() {
            Ok(connection) => connection,
            Err(error) => {
                eprintln!("cannot accept a connection: {error}");
                // Too many open files, say: the next attempt would fail at once.
                thread::sleep(ACCEPT_PAUSE);
                continue;
            }
        };
        match serve(&mut stream) {
            Ok(()) => eprintln!("{peer}: told the time"),
            Err(error) => eprintln!("{peer}: {error}"),
        }
        // `stream` is dropped here, and that closes the connection: the client learns that
        // this was all.
    }
    // ANCHOR_END: accept
}

// ANCHOR: serve
/// Sends the date and time in the form that RFC 867 gives as its first example. The server
/// speaks first: it asks nothing.
fn serve(stream: &mut TcpStream) -> io::Result<()> {
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    let now = Timestamp::now().strftime("%A, %B %-d, %Y %H:%M:%S-UTC");
    stream.write_all(format!("{now}\r\n").as_bytes())
}
// ANCHOR_END: serve
