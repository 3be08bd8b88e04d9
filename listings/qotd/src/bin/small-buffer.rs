//! The quote client with one mistake: it reads a datagram in pieces, as if it were a
//! stream.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result};

const READ_TIMEOUT: Duration = Duration::from_secs(1);
const PIECE: usize = 24;

fn main() -> Result<()> {
    let address = qotd::address();

    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket
        .connect(&address)
        .with_context(|| format!("cannot connect to {address}"))?;
    socket.set_read_timeout(Some(READ_TIMEOUT))?;
    socket.send(&[])?;

    // ANCHOR: read
    let mut piece = [0; PIECE];
    for what in ["the first piece", "the rest"] {
        let length = socket
            .recv(&mut piece)
            .with_context(|| format!("{what} did not come"))?;
        println!("{what}: {}", String::from_utf8_lossy(&piece[..length]));
    }
    // ANCHOR_END: read
    Ok(())
}
