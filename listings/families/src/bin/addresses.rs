//! Prints addresses of the families that the standard library has a type for.

use std::env;
use std::net::SocketAddr;
use std::process;

use anyhow::Result;

fn main() -> Result<()> {
    if let Some(argument) = env::args_os().nth(1) {
        eprintln!("expected no arguments, got: {argument:?}");
        process::exit(2);
    }

    // ANCHOR: parse
    for text in ["192.0.2.1:80", "[2001:db8::1]:80", "[fe80::1%2]:80"] {
        match text.parse()? {
            SocketAddr::V4(v4) => {
                println!("IPv4  {v4}: host {}, port {}", v4.ip(), v4.port())
            }
            SocketAddr::V6(v6) => println!(
                "IPv6  {v6}: host {}, port {}, scope id {}",
                v6.ip(),
                v6.port(),
                v6.scope_id()
            ),
        }
    }
    // ANCHOR_END: parse

    #[cfg(unix)]
    unix_addresses()?;
    Ok(())
}

// ANCHOR: unix
#[cfg(unix)]
fn unix_addresses() -> Result<()> {
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    println!(
        "Unix  {:?}",
        SocketAddr::from_pathname("/run/example.socket")?
    );
    #[cfg(target_os = "linux")]
    {
        use std::os::linux::net::SocketAddrExt;
        println!("Unix  {:?}", SocketAddr::from_abstract_name("example")?);
    }
    println!("Unix  {:?}", UnixDatagram::unbound()?.local_addr()?);
    Ok(())
}
// ANCHOR_END: unix
