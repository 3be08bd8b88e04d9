//! What the programs of this listing share: their one argument, an address, or none. What
//! starts the server for those that watch it is in [`child`].

use std::env;
use std::process;

pub mod child;
pub mod talk;

/// Where the server listens and clients look for it, unless they are told otherwise.
/// RFC 862 says port 7, which needs privileges on many systems.
pub const ADDRESS: &str = "127.0.0.1:8001";

/// The address in the first argument, or [`ADDRESS`].
///
/// Anything else ends the program with one line on stderr and exit code 2.
pub fn address() -> String {
    let arguments: Vec<String> = env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    match arguments.as_slice() {
        [] => ADDRESS.into(),
        [address] if is_host_and_port(address) => address.clone(),
        _ => {
            eprintln!(
                "expected HOST:PORT or nothing, got: {}",
                arguments.join(" ").escape_debug()
            );
            process::exit(2);
        }
    }
}

/// Ends the program with one line on stderr and exit code 2 if it has arguments.
pub fn no_arguments() {
    if let Some(argument) = env::args_os().nth(1) {
        eprintln!("expected no arguments, got: {argument:?}");
        process::exit(2);
    }
}

/// Whether `text` is a host, a colon and a port. An IPv6 address stands in brackets, since
/// it has colons of its own.
fn is_host_and_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        let bracketed = host.starts_with('[') && host.ends_with(']');
        !host.is_empty()
            && (bracketed || !host.contains(':'))
            && port.parse::<u16>().is_ok()
    })
}
