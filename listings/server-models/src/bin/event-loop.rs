//! One thread for all connections: it asks the kernel which of them can go on.

use std::io::ErrorKind::Interrupted;
use std::time::Instant;

use anyhow::{Context, Result};
use mio::{Events, Poll, Registry, Token};
use server_models::conversation::Protocol;
use server_models::nonblocking::{Connection, Listener, wake_at_ctrl_c};
use server_models::{ACCEPT_PAUSE, BUFFER_SIZE, CONNECTION_LIMIT, GRACE, say_goodbye};
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
    listener: Option<Listener>,
    protocol: Protocol,
    connections: Slab<Connection>,
    buffer: Vec<u8>,
    /// When the kernel reported what is being worked on.
    now: Instant,
}

// ANCHOR: main
fn main() -> Result<()> {
    let (address, protocol) = server_models::arguments();
    let mut poll = Poll::new()?;
    wake_at_ctrl_c(poll.registry(), CTRL_C)?;
    let mut server = Server {
        registry: poll.registry().try_clone()?,
        listener: Some(Listener::bind(&address, poll.registry(), LISTENER)?),
        protocol,
        // Room for all, or the list would be copied whenever it grows. Memory costs nothing
        // before somebody writes to it.
        connections: Slab::with_capacity(CONNECTION_LIMIT),
        buffer: vec![0; BUFFER_SIZE],
        now: Instant::now(),
    };
    let mut events = Events::with_capacity(EVENTS);
    let mut tick = Instant::now();
    let mut deadline = None;
    while deadline.is_none_or(|time| server.now < time && !server.connections.is_empty()) {
        match poll.poll(&mut events, Some(ACCEPT_PAUSE)) {
            Err(error) if error.kind() == Interrupted => {}
            result => result.context("cannot wait for events")?,
        }
        server.now = Instant::now();
        for event in &events {
            match event.token() {
                LISTENER => server.accept_some(),
                CTRL_C => deadline = Some(server.stop()),
                Token(key) => server.proceed(key, event.is_read_closed()),
            }
        }
        if server.now >= tick + ACCEPT_PAUSE {
            tick = server.now;
            // An `accept` that failed is reported by nobody, nor is a silent client.
            server.accept_some();
            server.connections.retain(|_, each| !each.is_late(tick));
        }
    }
    say_goodbye(server.connections.is_empty());
    Ok(())
}
// ANCHOR_END: main

impl Server {
    // ANCHOR: accept
    /// Accepts those who wait, and serves each at once: most have said something already.
    fn accept_some(&mut self) {
        for _ in 0..BATCH {
            let is_full = self.connections.len() >= CONNECTION_LIMIT;
            let Some(listener) = self.listener.as_ref().filter(|_| !is_full) else {
                return;
            };
            let Some((stream, peer)) = listener.accept() else {
                return;
            };
            let connection = Connection::new(stream, peer, self.protocol, self.now);
            let key = self.connections.insert(connection);
            self.proceed(key, false);
        }
        if let Some(listener) = &mut self.listener {
            listener.ask_again();
        }
    }
    // ANCHOR_END: accept

    // ANCHOR: proceed
    /// Lets one connection go on as far as it can.
    fn proceed(&mut self, key: usize, has_end: bool) {
        let is_stopping = self.listener.is_none();
        // It may have ended since the kernel reported it.
        if let Some(connection) = self.connections.get_mut(key) {
            let state =
                connection.proceed(self.now, &mut self.buffer, has_end, is_stopping);
            if !connection.is_to_stay(state, &self.registry, Token(key)) {
                self.connections.remove(key);
            }
        }
    }
    // ANCHOR_END: proceed

    /// Refuses new clients, and says until when those that are there may go on.
    fn stop(&mut self) -> Instant {
        match self.listener.take() {
            Some(listener) => {
                drop(listener);
                eprintln!("no new connections");
                self.now + GRACE
            }
            // A second Ctrl-C cuts it short.
            None => self.now,
        }
    }
}
