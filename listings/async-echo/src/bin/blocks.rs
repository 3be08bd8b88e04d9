//! The echo server with one mistake: its tasks read and write with calls that block.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::TcpListener;
use tokio::time::sleep;

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const READ_TIMEOUT: Duration = Duration::from_secs(5);
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
const BUFFER_SIZE: usize = 4096;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let address = async_echo::address();

    let listener = TcpListener::bind(&address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    println!("listening on {}", listener.local_addr()?);

    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(connection) => connection,
            Err(error) => {
                eprintln!("cannot accept a connection: {error}");
                // Too many open files, say: the next attempt would fail at once.
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        tokio::spawn(async move {
            let stream = match stream.into_std() {
                Ok(stream) => stream,
                Err(error) => return eprintln!("{peer}: {error}"),
            };
            match echo(&stream).await {
                Ok(length) => eprintln!("{peer}: echoed {length} bytes"),
                Err(error) => eprintln!("{peer}: {error}"),
            }
        });
    }
}

// ANCHOR: echo
/// Sends back what comes in until the peer has finished sending, and counts the bytes.
async fn echo(mut stream: &TcpStream) -> io::Result<u64> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    let mut buffer = [0; BUFFER_SIZE];
    let mut echoed = 0;
    loop {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            return Ok(echoed);
        }
        stream.write_all(&buffer[..length])?;
        echoed += length as u64;
    }
}
// ANCHOR_END: echo
