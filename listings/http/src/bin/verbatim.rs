//! A web server that shows what it was sent, one line of a request at a time, as Rust
//! would write it in quotes. It has no pages, and serves one client after the other.

use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use http::connection::{Connection, SERVER};
use http::message::read_head;

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

fn main() -> Result<()> {
    let address = http::address();

    let listener = TcpListener::bind(&address)
        .with_context(|| format!("cannot listen on {address}"))?;
    println!("listening on {}", listener.local_addr()?);

    loop {
        let (stream, peer) = match listener.accept() {
            Ok(connection) => connection,
            Err(error) => {
                eprintln!("cannot accept a connection: {error}");
                // Too many open files, say: the next attempt would fail at once.
                thread::sleep(ACCEPT_PAUSE);
                continue;
            }
        };
        if let Err(error) = serve(stream) {
            eprintln!("{peer}: {error:#}");
        }
    }
}

/// Shows a request, and answers it.
fn serve(stream: TcpStream) -> Result<()> {
    let mut reader = BufReader::new(Connection::accepted(stream, SERVER)?);
    let head = read_head(&mut reader)?;
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        eprintln!("\"{}\"", line.escape_ascii());
    }
    let mut connection = reader.into_inner();
    connection.write_all(ANSWER)?;
    connection.close();
    Ok(())
}
