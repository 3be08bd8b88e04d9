//! A quote-of-the-day server with a rude neighbour: a stranger, on a port of its own,
//! answers first.

use std::net::UdpSocket;

use anyhow::{Context, Result};

const REQUEST_LIMIT: usize = 512;

fn main() -> Result<()> {
    let address = qotd::address();

    let socket =
        UdpSocket::bind(&address).with_context(|| format!("cannot listen on {address}"))?;
    let stranger = UdpSocket::bind((socket.local_addr()?.ip(), 0))?;
    println!("listening on {}", socket.local_addr()?);

    let mut datagram = [0; REQUEST_LIMIT];
    loop {
        let peer = match socket.recv_from(&mut datagram) {
            Ok((_length, peer)) => peer,
            Err(error) => {
                eprintln!("cannot receive a datagram: {error}");
                continue;
            }
        };
        eprintln!("{peer}: a stranger answers first");
        // ANCHOR: answer
        let sent = stranger
            .send_to(b"Believe everything you read.\r\n", peer)
            .and_then(|_| socket.send_to(b"Look who is talking.\r\n", peer));
        // ANCHOR_END: answer
        if let Err(error) = sent {
            eprintln!("{peer}: {error}");
        }
    }
}
