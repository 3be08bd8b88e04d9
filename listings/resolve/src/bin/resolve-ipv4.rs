//! Prints one IPv4 address of each host, as `gethostbyname` does.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut exit_code = ExitCode::SUCCESS;

    for host in resolve::hosts() {
        match ipv4_address(&host) {
            Ok(address) => println!("{host} {address}"),
            Err(error) => {
                eprintln!("cannot resolve {host}: {error}");
                exit_code = ExitCode::FAILURE;
            }
        }
    }

    exit_code
}

// ANCHOR: ipv4
/// The first IPv4 address of `host`.
fn ipv4_address(host: &str) -> io::Result<IpAddr> {
    (host, 0)
        .to_socket_addrs()?
        .map(|address| address.ip())
        .find(IpAddr::is_ipv4)
        .ok_or_else(|| io::Error::other("it has no IPv4 address"))
}
// ANCHOR_END: ipv4
