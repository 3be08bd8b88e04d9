//! Sends a message to an echo server, checks what comes back and prints it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

const READ_TIMEOUT: Duration = Duration::from_secs(5);
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

fn main() -> Result<()> {
    let (address, message) = echo::address_and_message();

    // ANCHOR: connect
    let mut stream = TcpStream::connect(&address)
        .with_context(|| format!("cannot connect to {address}"))?;
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    // ANCHOR_END: connect

    // ANCHOR: send
    stream
        .write_all(message.as_bytes())
        .context("cannot send the message")?;
    // ANCHOR_END: send

    // ANCHOR: half-close
    // The server reads until it sees this end. The other direction stays open for the echo.
    stream
        .shutdown(Shutdown::Write)
        .context("cannot finish sending")?;
    // ANCHOR_END: half-close

    // ANCHOR: read
    // One byte more than was sent is already no echo, so there is no reason to read on.
    let mut echo = Vec::new();
    stream
        .take(message.len() as u64 + 1)
        .read_to_end(&mut echo)
        .context("the echo did not arrive whole")?;
    ensure!(
        echo == message.as_bytes(),
        "the answer is not the message: sent {message:?}, got {:?}",
        String::from_utf8_lossy(&echo)
    );
    // ANCHOR_END: read

    println!("{message}");
    Ok(())
}
