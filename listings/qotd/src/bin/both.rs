//! A quote-of-the-day server (RFC 865) and its client in one process: the server is a
//! thread. It needs nothing but the standard library.

use std::env;
use std::error::Error;
use std::io;
use std::net::UdpSocket;
use std::process;
use std::thread;
use std::time::Duration;

/// Port 0 stands for a free one.
const ADDRESS: &str = "127.0.0.1:0";
const READ_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_LIMIT: usize = 512;
/// RFC 865: "less than 512 characters".
const QUOTE_LIMIT: usize = 511;
const QUOTE: &str = "The rest is silence.\r\n\
     -- Hamlet, act 5\r\n";

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(argument) = env::args_os().nth(1) {
        eprintln!("expected no arguments, got: {argument:?}");
        process::exit(2);
    }

    let socket = UdpSocket::bind(ADDRESS)?;
    let address = socket.local_addr()?;
    println!("listening on {address}");
    let server = thread::spawn(move || answer_one(&socket));

    let socket = UdpSocket::bind(ADDRESS)?;
    // Nothing is sent yet. From here on, the kernel takes datagrams from this server alone.
    socket.connect(address)?;
    socket.set_read_timeout(Some(READ_TIMEOUT))?;
    socket.send(&[])?;

    // One byte more than a quote may have: if that is filled too, the quote was too long
    // and its end is lost.
    let mut datagram = [0; QUOTE_LIMIT + 1];
    let length = socket.recv(&mut datagram)?;
    if length > QUOTE_LIMIT {
        return Err(format!("the quote is longer than {QUOTE_LIMIT} bytes").into());
    }
    let quote = String::from_utf8_lossy(&datagram[..length]);
    println!("{}", quote.trim_end());

    server.join().map_err(|_| "the server panicked")??;
    Ok(())
}

/// Answers one datagram with a quote, whatever it says.
fn answer_one(socket: &UdpSocket) -> io::Result<()> {
    socket.set_read_timeout(Some(READ_TIMEOUT))?;
    let (_length, peer) = socket.recv_from(&mut [0; REQUEST_LIMIT])?;
    eprintln!("{peer}: asked for a quote");
    socket.send_to(QUOTE.as_bytes(), peer)?;
    Ok(())
}
