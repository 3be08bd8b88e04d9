//! A client that sends and sends, and never reads an echo.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};

const WRITE_TIMEOUT: Duration = Duration::from_millis(200);
const CHUNK_SIZE: usize = 64 * 1024;

fn main() -> Result<()> {
    let address = echo::address();

    let mut stream = TcpStream::connect(&address)
        .with_context(|| format!("cannot connect to {address}"))?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;

    // ANCHOR: send
    let chunk = [b'x'; CHUNK_SIZE];
    let mut sent = 0;
    let error = loop {
        match stream.write(&chunk) {
            Ok(length) => sent += length,
            Err(error) => break error,
        }
    };
    println!("sent {sent} bytes, read none: {error}");
    // ANCHOR_END: send
    Ok(())
}
