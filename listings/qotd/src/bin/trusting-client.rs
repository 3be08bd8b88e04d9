//! The quote client with three mistakes: its socket is IPv4 only and not connected, and it
//! believes whoever answers.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result};

const READ_TIMEOUT: Duration = Duration::from_secs(1);
const QUOTE_LIMIT: usize = 511;

fn main() -> Result<()> {
    let address = qotd::address();

    // ANCHOR: ask
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(READ_TIMEOUT))?;
    socket
        .send_to(&[], &address)
        .with_context(|| format!("cannot send to {address}"))?;
    let mut datagram = [0; QUOTE_LIMIT + 1];
    let (length, _peer) = socket.recv_from(&mut datagram).context("no answer came")?;
    // ANCHOR_END: ask

    let quote = String::from_utf8_lossy(&datagram[..length]);
    println!("{}", quote.trim_end());
    Ok(())
}
