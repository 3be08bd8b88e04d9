//! Parses texts that look like socket addresses and are none.

use std::env;
use std::net::{IpAddr, SocketAddr};
use std::process;

fn main() {
    if let Some(argument) = env::args_os().nth(1) {
        eprintln!("expected no arguments, got: {argument:?}");
        process::exit(2);
    }

    for text in ["127.0.0.1", "256.0.0.1:80", "localhost:80", "::1:80"] {
        match text.parse::<SocketAddr>() {
            Ok(address) => println!("{text}: {address}"),
            Err(error) => println!("{text}: {error}"),
        }
        if let Ok(ip) = text.parse::<IpAddr>() {
            println!("    but it is an IP address: {ip}");
        }
    }
}
