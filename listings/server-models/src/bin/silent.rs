//! Clients that connect, say nothing for two seconds and leave.

use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

const SILENCE: Duration = Duration::from_secs(2);

fn main() -> Result<()> {
    let (address, count) = server_models::address_and_count();
    server_models::socket::raise_descriptor_limit();

    let mut streams = Vec::new();
    for _ in 0..count {
        let stream = TcpStream::connect(&address)
            .with_context(|| format!("cannot connect to {address}"))?;
        streams.push(stream);
    }
    println!("connections to {address}: {count}");
    thread::sleep(SILENCE);
    Ok(())
}
