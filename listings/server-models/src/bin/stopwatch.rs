//! A client that tells how long it took to be connected, and how long to be answered.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

const READ_TIMEOUT: Duration = Duration::from_secs(5);
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_LIMIT: u64 = 4096;
/// How long it rests between two requests.
const PAUSE: Duration = Duration::from_millis(300);

fn main() -> Result<()> {
    let (address, count) = server_models::address_and_count();

    for number in 1..=count {
        if number > 1 {
            thread::sleep(PAUSE);
        }
        // ANCHOR: measure
        let start = Instant::now();
        let mut stream = TcpStream::connect(&address)
            .with_context(|| format!("cannot connect to {address}"))?;
        let connected = start.elapsed().as_millis();

        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let request =
            format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;

        let mut answer = String::new();
        stream
            .take(ANSWER_LIMIT)
            .read_to_string(&mut answer)
            .context("the answer did not arrive whole")?;
        let answered = start.elapsed().as_millis();
        // ANCHOR_END: measure
        ensure!(
            answer.starts_with("HTTP/1.1 200 "),
            "not a page: {answer:?}"
        );
        println!("connected after {connected} ms, answered after {answered} ms");
    }
    Ok(())
}
