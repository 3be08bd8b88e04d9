//! What the programs of this listing share: their arguments, and HTTP/1.1 (RFC 9112).

use std::env;
use std::process;

pub mod connection;
pub mod message;
pub mod request;
pub mod response;
pub mod site;
pub mod target;

use target::Target;

/// Where the server listens and the client looks for it, unless they are told otherwise.
pub const ADDRESS: &str = "127.0.0.1:8080";

/// The port of `http`, where a client goes that is told a host alone.
pub const PORT: u16 = 80;

/// The address in the first argument, or [`ADDRESS`].
///
/// Anything else ends the program with one line on stderr and exit code 2.
pub fn address() -> String {
    let arguments = arguments();
    match arguments.as_slice() {
        [] => ADDRESS.into(),
        [address] if is_host_and_port(address) => address.clone(),
        _ => refuse("HOST:PORT or nothing", &arguments),
    }
}

/// What the first argument stands for, or what [`ADDRESS`] does.
///
/// Anything else ends the program with one line on stderr and exit code 2.
pub fn target() -> Target {
    let arguments = arguments();
    let text = match arguments.as_slice() {
        [] => "",
        [text] => text,
        _ => refuse("HOST[:PORT][/PATH] or nothing", &arguments),
    };
    Target::parse(text)
        .unwrap_or_else(|| refuse("HOST[:PORT][/PATH] or nothing", &arguments))
}

/// The address and the request that the arguments stand for: a request alone goes to
/// [`ADDRESS`]. `\r` and `\n` in it are the two characters that end a line.
///
/// Wrong ones end the program with one line on stderr and exit code 2.
pub fn address_and_request() -> (Target, String) {
    let expected = "[HOST:PORT] REQUEST, the request in quotes";
    let arguments = arguments();
    let (address, request) = match arguments.as_slice() {
        [request] if !is_host_and_port(request) => ("", request),
        [address, request] if is_host_and_port(address) => (address.as_str(), request),
        _ => refuse(expected, &arguments),
    };
    let target = Target::parse(address)
        .filter(|_| !address.contains('/'))
        .unwrap_or_else(|| refuse(expected, &arguments));
    (target, request.replace(r"\r", "\r").replace(r"\n", "\n"))
}

fn arguments() -> Vec<String> {
    env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect()
}

fn refuse(expected: &str, arguments: &[String]) -> ! {
    eprintln!(
        "expected {expected}, got: {}",
        arguments.join(" ").escape_debug()
    );
    process::exit(2);
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
