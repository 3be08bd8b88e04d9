//! A thousand clients of a server on this machine, and what they cost it. Needs Linux's
//! /proc.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

const CLIENTS: u32 = 1000;
const READ_TIMEOUT: Duration = Duration::from_secs(2);
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
const ANSWER_LIMIT: usize = 4096;
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn main() -> Result<()> {
    let (address, _) = server_models::arguments();
    server_models::socket::raise_descriptor_limit();

    // ANCHOR: crowd
    // The first client has the server load what it needs in any case.
    let first = ask(&address)?;
    let server = listener_at(first.peer_addr()?.port())?;
    let before = status(&server, "VmRSS")?;

    let start = Instant::now();
    let mut streams = Vec::new();
    for number in 1..=CLIENTS {
        streams.push(ask(&address).with_context(|| format!("client {number}"))?);
    }
    let time = start.elapsed() / CLIENTS;

    let bytes = status(&server, "VmRSS")?.saturating_sub(before) * 1024;
    println!("{CLIENTS} clients are connected, and each has its answer");
    println!("threads: {}", status(&server, "Threads")?);
    println!(
        "memory for each client: {} bytes",
        bytes / u64::from(CLIENTS)
    );
    println!("time for each client: {} µs", time.as_micros());
    // ANCHOR_END: crowd
    Ok(())
}

/// A connection that has got one answer.
fn ask(address: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)
        .with_context(|| format!("cannot connect to {address}"))?;
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    stream.write_all(REQUEST)?;
    let length = stream
        .read(&mut [0; ANSWER_LIMIT])
        .context("no answer came")?;
    ensure!(length > 0, "no answer came");
    Ok(stream)
}

/// The process that listens at `port`, found as `ss -ltnp` finds it (proc_net(5)): a table
/// has the number of every socket, and every process a folder of what it has open.
fn listener_at(port: u16) -> Result<PathBuf> {
    let end_of_address = format!(":{port:04X}");
    let table = ["/proc/net/tcp", "/proc/net/tcp6"]
        .map(|path| fs::read_to_string(path).unwrap_or_default())
        .concat();
    let number = table.lines().find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [_, address, _, "0A", _, _, _, _, _, number, ..] = fields[..] else {
            return None;
        };
        address.ends_with(&end_of_address).then_some(number)
    });
    let number = number.context("no process of this machine listens there")?;
    for process in fs::read_dir("/proc")?.flatten() {
        let open = fs::read_dir(process.path().join("fd"));
        for file in open.into_iter().flatten().flatten() {
            let target = fs::read_link(file.path()).unwrap_or_default();
            if target.as_os_str() == format!("socket:[{number}]").as_str() {
                return Ok(process.path());
            }
        }
    }
    bail!("the server belongs to another user");
}

/// What Linux says about a process under `key`, its memory in KiB for one.
fn status(process: &Path, key: &str) -> Result<u64> {
    let status = fs::read_to_string(process.join("status"))?;
    status
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
        .and_then(|value| value.split_whitespace().next()?.parse().ok())
        .with_context(|| format!("no {key} in its status"))
}
