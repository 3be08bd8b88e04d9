//! The way all servers listen, and options of sockets.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::AsFd;

use anyhow::{Context, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
#[cfg(target_os = "linux")]
use nix::{libc, setsockopt_impl, sockopt_impl, sys::socket::setsockopt};
use socket2::{Domain, SockRef, Socket, Type};

/// How many finished handshakes may wait for `accept`; Linux takes `net.core.somaxconn` if
/// that is less.
pub const BACKLOG: i32 = 1024;
/// For how many seconds a silent client is not there.
#[cfg(target_os = "linux")]
const DEFERRED: u32 = 1;
#[cfg(target_os = "linux")]
sockopt_impl!(
    DeferAccept,
    SetOnly,
    libc::IPPROTO_TCP,
    libc::TCP_DEFER_ACCEPT,
    u32
);

// ANCHOR: listen
/// A listening socket at the first address that `address` stands for and that can be had.
///
/// `std`'s `bind` does nearly the same, but for the backlog of 128 and for `TCP_NODELAY`.
/// What is set on a listening socket holds for every connection that it accepts.
pub fn listen(address: &str) -> Result<TcpListener> {
    let listener = (|| {
        let mut last_error = io::Error::other("the name has no address");
        for address in address.to_socket_addrs()? {
            match listen_at(address) {
                Ok(listener) => return Ok(listener),
                Err(error) => last_error = error,
            }
        }
        Err(last_error)
    })()
    .with_context(|| format!("cannot listen on {address}"))?;
    raise_descriptor_limit();
    Ok(listener)
}

fn listen_at(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
// ANCHOR_END: listen

// ANCHOR: defer
/// Sets `TCP_DEFER_ACCEPT`, which only Linux has: a client is not there before it has said
/// something, or for a second. So `accept` and the first read need one event, not two.
pub fn defer_accept(listener: &std::net::TcpListener) -> Result<()> {
    #[cfg(target_os = "linux")]
    setsockopt(listener, DeferAccept, &DEFERRED)?;
    Ok(())
}
// ANCHOR_END: defer

// ANCHOR: cork
/// Holds back what is written from here on until the stream is shut down, so that the last
/// answer and the end of the stream travel in one packet. Only Linux can (tcp(7)).
pub fn hold_until_close(stream: &impl AsFd) {
    #[cfg(target_os = "linux")]
    // If it cannot, they travel in two.
    let _ = SockRef::from(stream).set_tcp_cork(true);
}
// ANCHOR_END: cork

/// Allows this process as many descriptors as it may allow itself. Many systems start
/// programs with 1,024, for the sake of those that still use select(2).
pub fn raise_descriptor_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // If that is refused, fewer will have to do.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
