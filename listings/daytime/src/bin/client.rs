//! Asks a daytime server (RFC 867) for the time and prints its answer.

use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

const READ_TIMEOUT: Duration = Duration::from_secs(2);
const ANSWER_LIMIT: usize = 4096;

fn main() -> Result<()> {
    let address = daytime::address();

    // ANCHOR: connect
    let stream = TcpStream::connect(&address)
        .with_context(|| format!("cannot connect to {address}"))?;
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    // ANCHOR_END: connect

    // ANCHOR: read
    // The server speaks first and then closes, so the answer is everything up to the end of
    // the stream.
    let mut answer = Vec::new();
    stream
        .take(ANSWER_LIMIT as u64)
        .read_to_end(&mut answer)
        .context("the answer did not arrive whole")?;
    ensure!(
        answer.len() < ANSWER_LIMIT,
        "the answer has no end within {ANSWER_LIMIT} bytes"
    );
    // ANCHOR_END: read

    println!("{}", String::from_utf8_lossy(&answer).trim_end());
    Ok(())
}
