//! A quote-of-the-day server that has nothing to say: every datagram arrives, and no answer
//! leaves.

use std::net::UdpSocket;

use anyhow::{Context, Result};

const REQUEST_LIMIT: usize = 512;

fn main() -> Result<()> {
    let address = qotd::address();

    let socket =
        UdpSocket::bind(&address).with_context(|| format!("cannot listen on {address}"))?;
    println!("listening on {}", socket.local_addr()?);

    let mut datagram = [0; REQUEST_LIMIT];
    loop {
        match socket.recv_from(&mut datagram) {
            Ok((_length, peer)) => eprintln!("{peer}: not answered"),
            Err(error) => eprintln!("cannot receive a datagram: {error}"),
        }
    }
}
