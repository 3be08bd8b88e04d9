//! Sends the same two messages as a byte stream (TCP) and as datagrams (UDP), and prints
//! how they arrive.

use std::env;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::process;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

const ADDRESS: &str = "127.0.0.1:0";
const READ_TIMEOUT: Duration = Duration::from_secs(5);
const MESSAGES: [&str; 2] = ["hello", "world"];
/// How many bytes there is room for: enough for everything, and too few for one message.
const ROOM: [usize; 2] = [64, 4];

fn main() -> Result<()> {
    if let Some(argument) = env::args_os().nth(1) {
        eprintln!("expected no arguments, got: {argument:?}");
        process::exit(2);
    }

    println!("sent: {MESSAGES:?}");
    for room in ROOM {
        println!("TCP, room for {room}: {:?}", byte_stream(room)?);
    }
    for room in ROOM {
        println!("UDP, room for {room}: {:?}", datagrams(room)?);
    }
    Ok(())
}

/// Sends the messages over TCP and returns what each read brings.
fn byte_stream(room: usize) -> Result<Vec<String>> {
    // ANCHOR: connect
    let listener = TcpListener::bind(ADDRESS)
        .with_context(|| format!("cannot listen on {ADDRESS}"))?;
    let address = listener.local_addr()?;
    let mut sender = TcpStream::connect(address)
        .with_context(|| format!("cannot connect to {address}"))?;
    let (mut receiver, _) = listener.accept().context("cannot accept a connection")?;
    receiver.set_read_timeout(Some(READ_TIMEOUT))?;
    // ANCHOR_END: connect

    // ANCHOR: write
    for message in MESSAGES {
        sender.write_all(message.as_bytes())?;
    }
    sender.shutdown(Shutdown::Write)?;
    wait_for(MESSAGES.concat().len(), &receiver)?;
    // ANCHOR_END: write

    // ANCHOR: read
    let mut reads = Vec::new();
    let mut buffer = vec![0; room];
    loop {
        match receiver.read(&mut buffer).context("nothing came")? {
            0 => return Ok(reads),
            length => reads.push(String::from_utf8_lossy(&buffer[..length]).into_owned()),
        }
    }
    // ANCHOR_END: read
}

// ANCHOR: wait
/// Waits until `count` bytes can be read. A write only hands its bytes to the kernel, and
/// they may still be on their way.
fn wait_for(count: usize, receiver: &TcpStream) -> Result<()> {
    let deadline = Instant::now() + READ_TIMEOUT;
    while receiver.peek(&mut vec![0; count])? < count {
        ensure!(Instant::now() < deadline, "not everything came");
    }
    Ok(())
}
// ANCHOR_END: wait

/// Sends the messages over UDP and returns what each receive brings.
fn datagrams(room: usize) -> Result<Vec<String>> {
    // ANCHOR: bind
    let receiver =
        UdpSocket::bind(ADDRESS).with_context(|| format!("cannot listen on {ADDRESS}"))?;
    receiver.set_read_timeout(Some(READ_TIMEOUT))?;
    let sender = UdpSocket::bind(ADDRESS)?;
    // ANCHOR_END: bind

    // ANCHOR: send
    for message in MESSAGES {
        sender.send_to(message.as_bytes(), receiver.local_addr()?)?;
    }
    // ANCHOR_END: send

    // ANCHOR: receive
    let mut receives = Vec::new();
    let mut datagram = vec![0; room];
    for _ in MESSAGES {
        let (length, _) = receiver.recv_from(&mut datagram).context("nothing came")?;
        receives.push(String::from_utf8_lossy(&datagram[..length]).into_owned());
    }
    Ok(receives)
    // ANCHOR_END: receive
}
