//! A client that takes no notice of a server that hung up: writes, reads and writes again.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};

const READ_TIMEOUT: Duration = Duration::from_secs(5);
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

fn main() -> Result<()> {
    let address = echo::address();

    let mut stream = TcpStream::connect(&address)
        .with_context(|| format!("cannot connect to {address}"))?;
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;

    // ANCHOR: talk
    let message = echo::MESSAGE.as_bytes();
    println!("write: {:?}", stream.write(message));
    println!("read:  {:?}", stream.read(&mut [0; echo::MESSAGE.len()]));
    println!("write: {:?}", stream.write(message));
    // ANCHOR_END: talk
    Ok(())
}
