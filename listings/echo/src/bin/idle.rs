//! A client that connects, says nothing for a second and leaves.

use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};

const READ_TIMEOUT: Duration = Duration::from_secs(1);

fn main() -> Result<()> {
    let address = echo::address();

    let mut stream = TcpStream::connect(&address)
        .with_context(|| format!("cannot connect to {address}"))?;
    println!("connected to {}", stream.peer_addr()?);
    stream.set_read_timeout(Some(READ_TIMEOUT))?;

    // ANCHOR: read
    println!("read: {:?}", stream.read(&mut [0]));
    // ANCHOR_END: read
    Ok(())
}
