//! A daytime server on a slow line: the same answer, one byte at a time.

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(10);

fn main() -> Result<()> {
    let address = daytime::address();

    let listener = TcpListener::bind(&address)
        .with_context(|| format!("cannot listen on {address}"))?;
    println!("listening on {}", listener.local_addr()?);

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
    }
}

// ANCHOR: serve
/// Sends the date and time, one byte at a time.
fn serve(stream: &mut TcpStream) -> io::Result<()> {
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    let now = Timestamp::now().strftime("%A, %B %-d, %Y %H:%M:%S-UTC");
    for byte in format!("{now}\r\n").as_bytes() {
        stream.write_all(&[*byte])?;
        thread::sleep(PAUSE);
    }
    Ok(())
}
// ANCHOR_END: serve
