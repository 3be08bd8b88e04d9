//! An echo server on an event loop, with one mistake: when the kernel reports a connection,
//! it reads there once.

use std::io::{self, ErrorKind::Interrupted, Read, Write};
use std::time::Duration;

use anyhow::{Context, Result};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use server_models::nonblocking::Listener;
use slab::Slab;

const LISTENER: Token = Token(usize::MAX - 1);
const EVENTS: usize = 1024;
const BUFFER_SIZE: usize = 1024;
/// How long it waits for an event before it looks who wants to connect.
const PATIENCE: Duration = Duration::from_millis(100);

fn main() -> Result<()> {
    let (address, _) = server_models::arguments();
    let mut poll = Poll::new()?;
    let listener = Listener::bind(&address, poll.registry(), LISTENER)?;

    let mut connections = Slab::new();
    let mut events = Events::with_capacity(EVENTS);
    loop {
        match poll.poll(&mut events, Some(PATIENCE)) {
            Err(error) if error.kind() == Interrupted => {}
            result => result.context("cannot wait for events")?,
        }
        for Token(key) in events.iter().map(|event| event.token()) {
            // ANCHOR: read-once
            let Some(stream) = connections.get_mut(key) else {
                continue;
            };
            match echo(stream) {
                Ok(0) | Err(_) => drop(connections.remove(key)),
                Ok(_) => {}
            }
            // ANCHOR_END: read-once
        }
        while let Some((mut stream, _)) = listener.accept() {
            let place = connections.vacant_entry();
            let token = Token(place.key());
            poll.registry()
                .register(&mut stream, token, Interest::READABLE)?;
            place.insert(stream);
        }
    }
}

// ANCHOR: echo
/// Sends back what one read brings.
fn echo(stream: &mut TcpStream) -> io::Result<usize> {
    let mut buffer = [0; BUFFER_SIZE];
    let length = stream.read(&mut buffer)?;
    stream.write_all(&buffer[..length])?;
    Ok(length)
}
// ANCHOR_END: echo
