//! Sends datagrams to a socket that nobody reads, and counts afterwards how many are left.

use std::env;
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::process;
use std::time::Duration;

use anyhow::{Context, Result};

const ADDRESS: &str = "127.0.0.1:0";
const QUIET: Duration = Duration::from_millis(200);
const DATAGRAMS: usize = 1_000;
const DATAGRAM_SIZE: usize = 1200;

fn main() -> Result<()> {
    if let Some(argument) = env::args_os().nth(1) {
        eprintln!("expected no arguments, got: {argument:?}");
        process::exit(2);
    }

    let receiver =
        UdpSocket::bind(ADDRESS).with_context(|| format!("cannot listen on {ADDRESS}"))?;
    receiver.set_read_timeout(Some(QUIET))?;
    let address = receiver.local_addr()?;
    let sender = UdpSocket::bind(ADDRESS)?;

    // ANCHOR: send
    let mut buffer = [0; DATAGRAM_SIZE];
    for _ in 0..DATAGRAMS {
        sender
            .send_to(&buffer, address)
            .with_context(|| format!("cannot send to {address}"))?;
    }
    println!("sent {DATAGRAMS} datagrams, and no call failed");
    // ANCHOR_END: send

    // ANCHOR: count
    let mut received = 0;
    while received < DATAGRAMS {
        match receiver.recv_from(&mut buffer) {
            Ok(_) => received += 1,
            // Linux says WouldBlock when the time is up, Windows says TimedOut.
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
            {
                break;
            }
            Err(error) => return Err(error).context("cannot receive"),
        }
    }
    println!("received {received}");
    // ANCHOR_END: count
    Ok(())
}
