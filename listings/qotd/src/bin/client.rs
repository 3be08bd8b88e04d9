//! Asks a quote-of-the-day server (RFC 865) for a quote and prints it.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

const READ_TIMEOUT: Duration = Duration::from_secs(1);
const ATTEMPTS: u32 = 2;
/// RFC 865: "less than 512 characters".
const QUOTE_LIMIT: usize = 511;

fn main() -> Result<()> {
    let address = qotd::address();

    // ANCHOR: resolve
    // A name can have several addresses, and only an answer proves that somebody is there:
    // ask one after the other.
    let servers = address
        .to_socket_addrs()
        .with_context(|| format!("cannot resolve {address}"))?;
    for server in servers {
        match ask(server) {
            Ok(quote) => {
                println!("{}", quote.trim_end());
                return Ok(());
            }
            Err(error) => eprintln!("{server}: {error:#}"),
        }
    }
    bail!("no quote from {address}")
    // ANCHOR_END: resolve
}

/// Sends an empty datagram to `server` and returns what comes back. Either of the two may
/// get lost, so it asks again.
fn ask(server: SocketAddr) -> Result<String> {
    // ANCHOR: connect
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    // Nothing is sent yet. From here on, the kernel takes datagrams from this server alone.
    socket.connect(server)?;
    socket.set_read_timeout(Some(READ_TIMEOUT))?;
    // ANCHOR_END: connect

    // ANCHOR: ask
    // One byte more than a quote may have: if that is filled too, the quote was too long
    // and its end is lost.
    let mut datagram = [0; QUOTE_LIMIT + 1];
    for _ in 0..ATTEMPTS {
        socket.send(&[])?;
        match socket.recv(&mut datagram) {
            Ok(length) => {
                ensure!(
                    length <= QUOTE_LIMIT,
                    "the quote is longer than {QUOTE_LIMIT} bytes"
                );
                return Ok(String::from_utf8_lossy(&datagram[..length]).into_owned());
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
            {
                eprintln!("{server}: no answer within {READ_TIMEOUT:?}: {error}");
            }
            Err(error) => return Err(error.into()),
        }
    }
    bail!("asked {ATTEMPTS} times in vain")
    // ANCHOR_END: ask
}
