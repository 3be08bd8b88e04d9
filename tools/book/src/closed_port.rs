//! A port at which nobody listens, for scenes that show a refusal.

use std::net::{SocketAddr, UdpSocket};

use anyhow::{Context, Result};
use socket2::{Domain, Socket, Type};

/// A port that is taken, so that nobody can listen on it, and closed, so that nobody can connect to it.
pub struct ClosedPort {
    pub address: SocketAddr,
    _tcp: Socket,
    _udp: UdpSocket,
}

impl ClosedPort {
    /// Takes `wanted`, or a free port of the same host if somebody else has it.
    pub fn reserve(wanted: SocketAddr) -> Result<ClosedPort> {
        let anywhere = SocketAddr::new(wanted.ip(), 0);
        // Connections of an earlier scene may still be remembered there (TIME-WAIT). They do not matter, but only a socket that could
        // share its port may have it then. A free TCP port, on the other hand, may be taken in UDP; the next one will not be.
        for (address, share) in [
            (wanted, false),
            (wanted, true),
            (anywhere, false),
            (anywhere, false),
        ] {
            if let Ok(port) = ClosedPort::take(address, share) {
                return Ok(port);
            }
        }
        ClosedPort::take(anywhere, false).context("cannot reserve a closed port")
    }

    fn take(address: SocketAddr, share: bool) -> Result<ClosedPort> {
        // A TCP socket that is bound and does not listen: the kernel answers a SYN with RST, and has no second one for this port.
        let tcp = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        tcp.set_reuse_address(share)?;
        tcp.bind(&address.into())?;
        let address = tcp
            .local_addr()?
            .as_socket()
            .context("a TCP socket without an address")?;
        // A UDP socket that is connected to somebody else: the kernel answers all others with "port unreachable".
        let udp = UdpSocket::bind(address)?;
        udp.connect(address)?;
        Ok(ClosedPort {
            address,
            _tcp: tcp,
            _udp: udp,
        })
    }
}
