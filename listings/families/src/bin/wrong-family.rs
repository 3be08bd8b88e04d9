//! Sends a datagram from an IPv4 socket to an IPv6 address.

use std::env;
use std::net::UdpSocket;
use std::process;

use anyhow::{Context, Result};

const IPV4_ADDRESS: &str = "127.0.0.1:0";
const IPV6_ADDRESS: &str = "[::1]:9";

fn main() -> Result<()> {
    if let Some(argument) = env::args_os().nth(1) {
        eprintln!("expected no arguments, got: {argument:?}");
        process::exit(2);
    }

    // ANCHOR: send
    let socket = UdpSocket::bind(IPV4_ADDRESS)
        .with_context(|| format!("cannot bind to {IPV4_ADDRESS}"))?;
    socket
        .send_to(b"hello", IPV6_ADDRESS)
        .with_context(|| format!("cannot send from {IPV4_ADDRESS} to {IPV6_ADDRESS}"))?;
    // ANCHOR_END: send
    Ok(())
}
