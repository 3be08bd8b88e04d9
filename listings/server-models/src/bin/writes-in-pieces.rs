//! An echo server, a thread for every connection, with one mistake: what comes in one piece
//! it sends back in many. `--no-delay` is the mend.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const READ_TIMEOUT: Duration = Duration::from_secs(5);
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
const BUFFER_SIZE: usize = 1024;

fn main() -> Result<()> {
    let (address, _, no_delay) = server_models::arguments_and(Some("no-delay"));

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
        let work = move || {
            if let Err(error) = serve(&mut stream, no_delay) {
                eprintln!("{peer}: {error}");
            }
        };
        if let Err(error) = thread::Builder::new().spawn(work) {
            eprintln!("{peer}: no thread: {error}");
        }
    }
}

// ANCHOR: serve
/// Sends back what comes in until the peer has finished sending.
fn serve(stream: &mut TcpStream, no_delay: bool) -> io::Result<()> {
    stream.set_nodelay(no_delay)?;
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    let mut buffer = [0; BUFFER_SIZE];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => stream.write_all(&buffer[..length])?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
// ANCHOR_END: serve
