//! Sends the largest datagram that UDP can carry over IPv4, and then one that is a byte
//! larger.

use std::env;
use std::net::UdpSocket;
use std::process;

use anyhow::{Context, Result};

const ADDRESS: &str = "127.0.0.1:0";
// ANCHOR: largest
/// The length of an IPv4 packet is a 16-bit number, and it counts both headers.
const LARGEST: usize = u16::MAX as usize - IP_HEADER - UDP_HEADER;
const IP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
// ANCHOR_END: largest

fn main() -> Result<()> {
    if let Some(argument) = env::args_os().nth(1) {
        eprintln!("expected no arguments, got: {argument:?}");
        process::exit(2);
    }

    let receiver =
        UdpSocket::bind(ADDRESS).with_context(|| format!("cannot listen on {ADDRESS}"))?;
    let address = receiver.local_addr()?;
    let sender = UdpSocket::bind(ADDRESS)?;

    for size in [LARGEST, LARGEST + 1] {
        sender
            .send_to(&vec![0; size], address)
            .with_context(|| format!("cannot send {size} bytes"))?;
        println!("sent {size} bytes");
    }
    Ok(())
}
