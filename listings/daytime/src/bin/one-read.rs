//! The daytime client with one mistake: it reads once and takes what came for the whole
//! answer.

use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};

const READ_TIMEOUT: Duration = Duration::from_secs(2);
const ANSWER_LIMIT: usize = 4096;

fn main() -> Result<()> {
    let address = daytime::address();

    let mut stream = TcpStream::connect(&address)
        .with_context(|| format!("cannot connect to {address}"))?;
    stream.set_read_timeout(Some(READ_TIMEOUT))?;

    // ANCHOR: read
    let mut buffer = [0; ANSWER_LIMIT];
    let length = stream.read(&mut buffer).context("no answer came")?;
    let answer = String::from_utf8_lossy(&buffer[..length]);
    // ANCHOR_END: read

    println!("{answer:?}");
    Ok(())
}
