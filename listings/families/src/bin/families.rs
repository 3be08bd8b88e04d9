//! Asks the kernel for a socket of each address family, and then for an address on this
//! machine.

use std::env;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process;

use anyhow::{Context, Result};
#[cfg(unix)]
use nix::errno::Errno;
use socket2::{Domain, SockAddr, Socket, Type};

/// Port 0 asks the kernel for a free one.
const ANY_PORT: u16 = 0;

fn main() -> Result<()> {
    if let Some(argument) = env::args_os().nth(1) {
        eprintln!("expected no arguments, got: {argument:?}");
        process::exit(2);
    }

    // ANCHOR: families
    let [ipx, bluetooth, packet] = RARE_FAMILIES;
    for (name, number, purpose) in [
        ("AF_UNIX", Some(Domain::UNIX.into()), "this machine"),
        ("AF_INET", Some(Domain::IPV4.into()), "IPv4"),
        ("AF_INET6", Some(Domain::IPV6.into()), "IPv6"),
        ("AF_IPX", ipx, "Novell networks"),
        ("AF_BLUETOOTH", bluetooth, "Bluetooth"),
        ("AF_PACKET", packet, "raw packets"),
    ] {
        match number {
            Some(number) => {
                let socket = Socket::new(Domain::from(number), Type::DGRAM, None);
                println!("{name:<12} {number:>2}  {purpose:<15}  {}", answer(socket));
            }
            None => println!("{name:<12}  -  {purpose:<15}  unknown here"),
        }
    }
    // ANCHOR_END: families

    // ANCHOR: addresses
    let folder = env::temp_dir().join(format!("families-{}", process::id()));
    fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = SockAddr::unix(folder.join("socket"));
    let ipv4 = SocketAddr::from((Ipv4Addr::LOCALHOST, ANY_PORT)).into();
    let ipv6 = SocketAddr::from((Ipv6Addr::LOCALHOST, ANY_PORT)).into();
    println!();
    println!("bind AF_UNIX  a path     {}", answer(path.and_then(bind)));
    println!("bind AF_INET  127.0.0.1  {}", answer(bind(ipv4)));
    println!("bind AF_INET6 ::1        {}", answer(bind(ipv6)));
    fs::remove_dir_all(&folder)
        .with_context(|| format!("cannot remove {}", folder.display()))
    // ANCHOR_END: addresses
}

// ANCHOR: bind
/// Makes a socket of the family of `address` and gives it that address.
fn bind(address: SockAddr) -> io::Result<Socket> {
    let socket = Socket::new(address.domain(), Type::DGRAM, None)?;
    socket.bind(&address)?;
    Ok(socket)
}
// ANCHOR_END: bind

// ANCHOR: answer
/// What the kernel answered: `ok`, or the error by its name in the man pages and in words.
fn answer(result: io::Result<Socket>) -> String {
    match result {
        Ok(_) => "ok".into(),
        #[cfg(unix)]
        Err(error) => match Errno::try_from(error) {
            Ok(errno) => errno.to_string(),
            Err(error) => error.to_string(),
        },
        #[cfg(not(unix))]
        Err(error) => error.to_string(),
    }
}
// ANCHOR_END: answer

// ANCHOR: rare
/// The numbers of AF_IPX, AF_BLUETOOTH and AF_PACKET in the C headers of each system; not
/// every system has all of them.
const RARE_FAMILIES: [Option<i32>; 3] =
    if cfg!(any(target_os = "linux", target_os = "android")) {
        [Some(4), Some(31), Some(17)]
    } else if cfg!(target_vendor = "apple") {
        [Some(23), None, None]
    } else if cfg!(windows) {
        [Some(6), Some(32), None]
    } else {
        [None; 3]
    };
// ANCHOR_END: rare
