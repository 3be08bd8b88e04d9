//! An echo server: sends everyone back what they say, one client after another.

use std::io::{self, ErrorKind, Read};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const READ_TIMEOUT: Duration = Duration::from_secs(5);
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
const BUFFER_SIZE: usize = 4096;

fn main() -> Result<()> {
    let address = echo::address();

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
            Ok(length) => eprintln!("{peer}: echoed {length} bytes"),
            Err(error) => eprintln!("{peer}: {error}"),
        }
        // `stream` is dropped here, and that closes the connection: the client learns that
        // this was all.
    }
    // ANCHOR_END: accept
}

// ANCHOR: serve
/// Sends back what comes in until the peer has finished sending, and counts the bytes.
fn serve(stream: &mut TcpStream) -> io::Result<u64> {
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    let mut buffer = [0; BUFFER_SIZE];
    let mut echoed = 0;
    loop {
        let length = match stream.read(&mut buffer) {
            Ok(0) => return Ok(echoed),
            Ok(length) => length,
            // A signal came first. Nothing is lost: read again.
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        echo::write_all_within(stream, &buffer[..length], WRITE_TIMEOUT)?;
        echoed += length as u64;
    }
}
// ANCHOR_END: serve
