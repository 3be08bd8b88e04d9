//! A server that reads one byte of what its client says and hangs up.

use std::io::{self, Read};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};

const READ_TIMEOUT: Duration = Duration::from_secs(5);

fn main() -> Result<()> {
    let address = echo::address();

    let listener = TcpListener::bind(&address)
        .with_context(|| format!("cannot listen on {address}"))?;
    println!("listening on {}", listener.local_addr()?);

    loop {
        let (mut stream, peer) = match listener.accept() {
            Ok(connection) => connection,
            Err(error) => {
                eprintln!("cannot accept a connection: {error}");
                continue;
            }
        };
        match serve(&mut stream) {
            Ok(()) => eprintln!("{peer}: hung up after one byte"),
            Err(error) => eprintln!("{peer}: {error}"),
        }
    }
}

// ANCHOR: serve
/// Once one byte is here, so are those that came with it. They stay unread.
fn serve(stream: &mut TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    stream.read_exact(&mut [0])
}
// ANCHOR_END: serve
