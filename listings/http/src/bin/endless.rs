//! A web server whose answers have no end: one header after another.

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use http::connection::{Connection, SERVER};

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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
        eprintln!("{peer}: gets headers");
        // It ends when the client has had enough. In which way that shows is no news.
        let _ = serve(stream);
    }
}

// ANCHOR: serve
/// Sends headers until the client has had enough.
fn serve(stream: TcpStream) -> io::Result<()> {
    let mut connection = Connection::accepted(stream, SERVER)?;
    connection.write_all(b"HTTP/1.1 200 OK\r\n")?;
    loop {
        connection.write_all(b"X-Another: header\r\n")?;
    }
}
// ANCHOR_END: serve
