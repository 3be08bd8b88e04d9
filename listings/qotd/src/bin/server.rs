//! A quote-of-the-day server (RFC 865): answers every datagram of a client with a quote,
//! whatever it says.

use std::net::UdpSocket;

use anyhow::{Context, Result};

const REQUEST_LIMIT: usize = 512;
/// Ports below this one are for servers. What comes from there, or from our own port, is an
/// answer and no question.
const FIRST_CLIENT_PORT: u16 = 1024;
/// In printing ASCII, fewer than 512 characters each, as RFC 865 recommends.
const QUOTES: [&str; 4] = [
    "Therefore, since brevity is the soul of wit,\r\n\
     And tediousness the limbs and outward flourishes,\r\n\
     I will be brief.\r\n\
     -- Hamlet, act 2\r\n",
    "Speak when you're spoken to!\r\n\
     -- The Red Queen, Through the Looking-Glass\r\n",
    "Begin at the beginning, and go on till you come to the end: then stop.\r\n\
     -- The King, Alice's Adventures in Wonderland\r\n",
    "The rest is silence.\r\n\
     -- Hamlet, act 5\r\n",
];

fn main() -> Result<()> {
    let address = qotd::address();

    // ANCHOR: bind
    let socket =
        UdpSocket::bind(&address).with_context(|| format!("cannot listen on {address}"))?;
    let own = socket.local_addr()?;
    println!("listening on {own}");
    // ANCHOR_END: bind

    // ANCHOR: receive
    let mut answered = 0;
    let mut datagram = [0; REQUEST_LIMIT];
    loop {
        // How much came does not matter, and what does not fit is dropped: any datagram
        // asks for a quote.
        let peer = match socket.recv_from(&mut datagram) {
            Ok((_length, peer)) => peer,
            Err(error) => {
                eprintln!("cannot receive a datagram: {error}");
                continue;
            }
        };
        // ANCHOR_END: receive

        // ANCHOR: refuse
        // Two servers that answer each other's answers would never stop.
        if peer.port() < FIRST_CLIENT_PORT || peer.port() == own.port() {
            eprintln!("{peer}: not answered, this is a server's port");
            continue;
        }
        // ANCHOR_END: refuse

        // ANCHOR: answer
        eprintln!("{peer}: asked for a quote");
        let quote = QUOTES[answered % QUOTES.len()];
        answered += 1;
        if let Err(error) = socket.send_to(quote.as_bytes(), peer) {
            eprintln!("{peer}: {error}");
        }
        // ANCHOR_END: answer
    }
}
