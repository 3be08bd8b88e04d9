//! How a client of the server connects and speaks, for the programs that watch the server.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};

const READ_TIMEOUT: Duration = Duration::from_secs(10);
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to the server at `address`.
pub fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)
        .with_context(|| format!("cannot connect to {address}"))?;
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    Ok(stream)
}

/// Sends a message and returns the echo.
pub fn say(stream: &mut TcpStream, message: &str) -> Result<String> {
    let mut echo = vec![0; message.len()];
    stream
        .write_all(message.as_bytes())
        .context("cannot send")?;
    stream.read_exact(&mut echo).context("no echo came")?;
    Ok(String::from_utf8_lossy(&echo).into_owned())
}
