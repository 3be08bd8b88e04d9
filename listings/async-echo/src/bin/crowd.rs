//! Shows what a thousand clients that say nothing cost the server. Needs Linux's /proc.

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result};
use async_echo::child::Server;
use async_echo::talk;

const CLIENTS: usize = 1000;

fn main() -> Result<()> {
    async_echo::no_arguments();

    // ANCHOR: story
    let server = Server::start()?;
    let before = status(&server, "VmRSS")?;
    println!("{} thread, {before} KiB", status(&server, "Threads")?);

    let mut crowd = Vec::new();
    for _ in 0..CLIENTS {
        let mut stream = talk::connect(server.address)?;
        talk::say(&mut stream, "hello")?;
        crowd.push(stream);
    }
    println!("{CLIENTS} clients have said hello, and now say nothing");
    let after = status(&server, "VmRSS")?;
    println!("{} thread, {after} KiB", status(&server, "Threads")?);
    println!(
        "{} bytes for each",
        after.saturating_sub(before) * 1024 / CLIENTS
    );

    let start = Instant::now();
    let mut stream = talk::connect(server.address)?;
    talk::say(&mut stream, "hello")?;
    println!(
        "one more is answered after {} µs",
        start.elapsed().as_micros()
    );
    // ANCHOR_END: story
    Ok(())
}

/// What Linux says about the server under `key`, its memory in KiB for one.
fn status(server: &Server, key: &str) -> Result<usize> {
    let path = format!("/proc/{}/status", server.id());
    let status = fs::read_to_string(&path)
        .with_context(|| format!("cannot read {path}, which only Linux has"))?;
    status
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
        .and_then(|value| value.split_whitespace().next()?.parse().ok())
        .with_context(|| format!("no {key} in {path}"))
}
