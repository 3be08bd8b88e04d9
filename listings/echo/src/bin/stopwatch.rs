//! A client that tells how long it took to be connected, and how long to be answered.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

const READ_TIMEOUT: Duration = Duration::from_secs(5);
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

fn main() -> Result<()> {
    let address = echo::address();

    // ANCHOR: measure
    let start = Instant::now();
    let mut stream = TcpStream::connect(&address)
        .with_context(|| format!("cannot connect to {address}"))?;
    println!("connected after {} ms", start.elapsed().as_millis());

    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    stream.write_all(echo::MESSAGE.as_bytes())?;
    println!("sent after {} ms", start.elapsed().as_millis());

    stream.shutdown(Shutdown::Write)?;
    let mut echo = Vec::new();
    stream
        .take(echo::MESSAGE_LIMIT as u64)
        .read_to_end(&mut echo)
        .context("the echo did not arrive whole")?;
    println!("answered after {} ms", start.elapsed().as_millis());
    // ANCHOR_END: measure
    Ok(())
}
