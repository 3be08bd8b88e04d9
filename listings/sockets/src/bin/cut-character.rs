//! Takes what one read brings for the whole message, and so cuts a character in two.

use std::env;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process;
use std::time::Duration;

use anyhow::{Context, Result};

const ADDRESS: &str = "127.0.0.1:0";
const READ_TIMEOUT: Duration = Duration::from_secs(5);
const MESSAGE: &str = "café";
const BUFFER_SIZE: usize = 4;

fn main() -> Result<()> {
    if let Some(argument) = env::args_os().nth(1) {
        eprintln!("expected no arguments, got: {argument:?}");
        process::exit(2);
    }

    let listener = TcpListener::bind(ADDRESS)
        .with_context(|| format!("cannot listen on {ADDRESS}"))?;
    let address = listener.local_addr()?;
    let mut sender = TcpStream::connect(address)
        .with_context(|| format!("cannot connect to {address}"))?;
    let (mut receiver, _) = listener.accept().context("cannot accept a connection")?;
    receiver.set_read_timeout(Some(READ_TIMEOUT))?;

    sender.write_all(MESSAGE.as_bytes())?;
    println!("sent: {MESSAGE}, {} bytes", MESSAGE.len());

    // ANCHOR: read
    let mut buffer = [0; BUFFER_SIZE];
    let length = receiver.read(&mut buffer).context("nothing came")?;
    println!("read: {:02x?}", &buffer[..length]);
    let message =
        String::from_utf8(buffer[..length].to_vec()).context("the message is not text")?;
    // ANCHOR_END: read

    println!("{message}");
    Ok(())
}
