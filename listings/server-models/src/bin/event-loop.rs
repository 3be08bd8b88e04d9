//! One thread for all connections: it asks the kernel which of them can go on.

use std::io::ErrorKind::{Interrupted, WouldBlock};
use std::time::Instant;

use anyhow::{Context, Result};
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use server_models::conversation::Protocol;
use server_models::nonblocking::{Connection, listen};
use server_models::{ACCEPT_PAUSE, BUFFER_SIZE, CONNECTION_LIMIT, GRACE, TIMEOUT};
use slab::Slab;

const LISTENER: Token = Token(usize::MAX - 1);
const CTRL_C: Token = Token(usize::MAX - 2);
/// How many events one call may report.
const EVENTS: usize = 1024;
/// How many clients are accepted before those that are there have their turn.
const BATCH: usize = 64;

struct Server {
    registry: Registry,
    /// None after Ctrl-C.
    listener: Option<TcpListener>,
    protocol: Protocol,
    connections: Slab<Connection>,
    buffer: Vec<u8>,
    /// The time at which the kernel reported what is being worked on.
    now: Instant,
}

// ANCHOR: main
fn main() -> Result<()> {
    let (address, protocol) = server_models::arguments();
    let mut listener = listen(&address)?;
    let mut poll = Poll::new()?;
    let registry = poll.registry().try_clone()?;
    registry.register(&mut listener, LISTENER, Interest::READABLE)?;
    let waker = Waker::new(&registry, CTRL_C)?;
    ctrlc::set_handler(move || waker.wake().unwrap_or_default())?;

    let mut server = Server {
        registry,
        listener: Some(listener),
        protocol,
        connections: Slab::new(),
        buffer: vec![0; BUFFER_SIZE],
        now: Instant::now(),
    };
    let mut events = Events::with_capacity(EVENTS);
    let mut tick = Instant::now();
    let mut deadline = None;
    while deadline.is_none_or(|time| tick < time && !server.connections.is_empty()) {
        match poll.poll(&mut events, Some(ACCEPT_PAUSE)) {
            Err(error) if error.kind() == Interrupted => {}
            result => result.context("cannot wait for events")?,
        }
        server.now = Instant::now();
        for event in &events {
            match event.token() {
                LISTENER => server.accept(),
                CTRL_C if deadline.is_none() => {
                    server.listener = None;
                    deadline = Some(Instant::now() + GRACE);
                    eprintln!("no new connections");
                }
                // A second Ctrl-C cuts it short.
                CTRL_C => deadline = Some(tick),
                Token(key) => server.proceed(key, event.is_read_closed()),
            }
        }
        if tick.elapsed() >= ACCEPT_PAUSE {
            tick = Instant::now();
            server.accept();
            server.drop_late();
        }
    }
    match server.connections.len() {
        0 => eprintln!("all connections have ended"),
        _ => eprintln!("some connections are still open"),
    }
    Ok(())
}
// ANCHOR_END: main

impl Server {
    // ANCHOR: accept
    /// Accepts whoever waits, and serves each at once: most have sent something already.
    fn accept(&mut self) {
        for _ in 0..BATCH {
            if self.connections.len() >= CONNECTION_LIMIT {
                return;
            }
            let Some(listener) = &self.listener else {
                return;
            };
            match listener.accept() {
                Ok((stream, peer)) => {
                    let connection = Connection::new(stream, peer, self.protocol);
                    let key = self.connections.insert(connection);
                    self.proceed(key, false);
                }
                Err(error) if error.kind() == WouldBlock => return,
                Err(error) => {
                    eprintln!("cannot accept a connection: {error}");
                    // Too many open files, say: the next tick is soon enough.
                    return;
                }
            }
        }
    }
    // ANCHOR_END: accept

    // ANCHOR: proceed
    /// Lets one connection go on, and sees what became of it.
    fn proceed(&mut self, key: usize, has_end: bool) {
        // It may have ended since the kernel reported it.
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        let is_stopping = self.listener.is_none();
        let result = connection
            .proceed(self.now, &mut self.buffer, has_end, is_stopping)
            .and_then(|state| connection.watch(state, &self.registry, Token(key)));
        match result {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => eprintln!("{}: {error}", connection.peer),
        }
        self.connections.remove(key);
    }
    // ANCHOR_END: proceed

    /// Drops those who have been silent, or slow, for too long.
    fn drop_late(&mut self) {
        self.connections.retain(|_, connection| {
            let is_late = connection.since.elapsed() > TIMEOUT;
            if is_late {
                eprintln!("{}: timed out", connection.peer);
            }
            !is_late
        });
    }
}
