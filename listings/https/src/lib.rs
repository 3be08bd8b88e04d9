//! What the programs of this listing share: their arguments, TLS, and HTTP/1.1 (RFC 9112).

use std::env;
use std::path::PathBuf;
use std::process;

pub mod certificates;
pub mod connection;
pub mod message;
pub mod request;
pub mod response;
pub mod session;
pub mod site;
pub mod target;
pub mod tls;

use target::Target;

/// Where the server listens and the client looks for it, unless they are told otherwise.
pub const ADDRESS: &str = "localhost:8443";

/// The port of `https`, where a client goes that is told a host alone.
pub const PORT: u16 = 443;

/// The address in the arguments, or [`ADDRESS`], and the file behind `--ca`.
///
/// Anything else ends the program with one line on stderr and exit code 2.
pub fn address_and_ca() -> (String, Option<PathBuf>) {
    let expected = "[HOST:PORT] [--ca FILE]";
    let (words, ca) = arguments(expected);
    match words.as_slice() {
        [] => (ADDRESS.into(), ca),
        [address] if is_host_and_port(address) => (address.clone(), ca),
        _ => refuse(expected),
    }
}

/// The same for a program that is also told which of `names` to be.
pub fn address_name_and_ca(names: &[&str]) -> (String, String, Option<PathBuf>) {
    let expected = format!("[HOST:PORT] [--ca FILE] and one of {}", names.join(", "));
    let (words, ca) = arguments(&expected);
    let (address, name) = match words.as_slice() {
        [name] => (ADDRESS, name),
        [address, name] if is_host_and_port(address) => (address.as_str(), name),
        _ => refuse(&expected),
    };
    if !names.contains(&name.as_str()) {
        refuse(&expected);
    }
    (address.into(), name.clone(), ca)
}

/// What the argument stands for, or what [`ADDRESS`] does, and the file behind `--ca`.
///
/// Anything else ends the program with one line on stderr and exit code 2.
pub fn target_and_ca() -> (Target, Option<PathBuf>) {
    let expected = "[HOST[:PORT]][/PATH] [--ca FILE]";
    let (words, ca) = arguments(expected);
    let text = match words.as_slice() {
        [] => "",
        [text] => text,
        _ => refuse(expected),
    };
    (Target::parse(text).unwrap_or_else(|| refuse(expected)), ca)
}

/// The file behind `--ca`, and the other arguments.
fn arguments(expected: &str) -> (Vec<String>, Option<PathBuf>) {
    let mut words = Vec::new();
    let mut ca = None;
    let mut arguments = env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy().into_owned();
        let file = match text.strip_prefix("--ca") {
            Some("") => arguments.next().unwrap_or_default(),
            Some(rest) if rest.starts_with('=') && argument.to_str().is_some() => {
                rest[1..].into()
            }
            _ if text.starts_with('-') => refuse(expected),
            _ => {
                words.push(text);
                continue;
            }
        };
        let is_file = !file.is_empty() && !file.to_string_lossy().starts_with('-');
        if !is_file || ca.replace(PathBuf::from(file)).is_some() {
            refuse(expected);
        }
    }
    (words, ca)
}

fn refuse(expected: &str) -> ! {
    let arguments: Vec<String> = env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
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
