//! Prints every IP address of each host, in the order in which a client should try them.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut exit_code = ExitCode::SUCCESS;

    // ANCHOR: print
    for host in resolve::hosts() {
        match addresses(&host) {
            Ok(addresses) => {
                for address in addresses {
                    println!("{host} {address}");
                }
            }
            // The other hosts may still have an address: go on with them, and fail at the
            // end.
            Err(error) => {
                eprintln!("cannot resolve {host}: {error}");
                exit_code = ExitCode::FAILURE;
            }
        }
    }
    // ANCHOR_END: print

    exit_code
}

// ANCHOR: addresses
/// All addresses of `host`, IPv4 and IPv6, as `getaddrinfo` gives them.
fn addresses(host: &str) -> io::Result<Vec<IpAddr>> {
    // A look-up is for somebody who wants to connect, so it takes a port as well. Nobody
    // connects here: 0 will do.
    let addresses = (host, 0).to_socket_addrs()?;
    Ok(addresses.map(|address| address.ip()).collect())
}
// ANCHOR_END: addresses
