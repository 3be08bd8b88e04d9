//! A connection that never waits, for the event loop.

use std::io::ErrorKind::WouldBlock;
use std::io::{self, Read, Write};
use std::mem;
use std::net::{Shutdown, SocketAddr};
use std::time::Instant;

use anyhow::{Context, Result};
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token, Waker};

use crate::TIMEOUT;
use crate::conversation::{Conversation, Next, Protocol};
use crate::socket::{defer_accept, hold_until_close, listen};

/// What the kernel reports of a connection.
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);
/// How often one connection may be read from before it is another one's turn.
const TURN: usize = 8;

/// A listening socket whose `accept` does not wait.
pub struct Listener {
    listener: TcpListener,
    registry: Registry,
    token: Token,
}

impl Listener {
    // ANCHOR: listen
    /// Listens at `address`. Clients are reported under `token`.
    pub fn bind(address: &str, registry: &Registry, token: Token) -> Result<Listener> {
        let listener = listen(address)?;
        listener.set_nonblocking(true)?;
        defer_accept(&listener)?;
        println!("listening on {}", listener.local_addr()?);
        let mut listener = TcpListener::from_std(listener);
        registry.register(&mut listener, token, Interest::READABLE)?;
        Ok(Listener {
            listener,
            registry: registry.try_clone()?,
            token,
        })
    }
    // ANCHOR_END: listen

    /// The next connection; none if nobody waits, or if that failed.
    pub fn accept(&self) -> Option<(TcpStream, SocketAddr)> {
        match self.listener.accept() {
            Ok(connection) => Some(connection),
            Err(error) if error.kind() == WouldBlock => None,
            Err(error) => {
                eprintln!("cannot accept a connection: {error}");
                None
            }
        }
    }

    /// Has the kernel report once more that somebody waits.
    pub fn ask_again(&mut self) {
        let interest = Interest::READABLE;
        let result = self
            .registry
            .reregister(&mut self.listener, self.token, interest);
        // If it fails, the next tick will do.
        let _ = result;
    }
}

/// Has the kernel report Ctrl-C under `token`.
pub fn wake_at_ctrl_c(registry: &Registry, token: Token) -> Result<()> {
    let waker = Waker::new(registry, token)?;
    // If waking fails, there is nobody left to be woken.
    ctrlc::set_handler(move || waker.wake().unwrap_or_default())
        .context("cannot wait for Ctrl-C")
}

/// What became of a connection.
#[derive(Debug, PartialEq)]
pub enum State {
    /// It can do nothing more until the kernel says so.
    Waiting,
    /// It could go on, but has had its turn.
    Ready,
    /// The client has finished sending, or the server has said all.
    Ended,
}

/// One client's connection. While nothing happens it owns no buffer.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    /// Since when the client owes us a request, or to fetch an answer.
    since: Instant,
    conversation: Conversation,
    unsent: Vec<u8>,
    next: Next,
    is_watched: bool,
}

impl Connection {
    pub fn new(
        stream: TcpStream,
        peer: SocketAddr,
        protocol: Protocol,
        now: Instant,
    ) -> Connection {
        Connection {
            stream,
            peer,
            since: now,
            conversation: Conversation::new(protocol),
            unsent: Vec::new(),
            next: Next::Read,
            is_watched: false,
        }
    }

    // ANCHOR: proceed
    /// Reads, answers and writes for as long as nothing would block.
    ///
    /// The loop lends its `buffer`. `has_end` says that the kernel has seen the end of the
    /// stream: then it must be read up to there.
    pub fn proceed(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
        has_end: bool,
        is_stopping: bool,
    ) -> io::Result<State> {
        let mut is_empty = false;
        for _ in 0..TURN {
            // While the client does not fetch what is ready for it, nothing more is read.
            if !self.unsent.is_empty() {
                let Some(sent) = attempt(self.stream.write(&self.unsent))? else {
                    return Ok(State::Waiting);
                };
                self.unsent.drain(..sent);
                if !self.unsent.is_empty() {
                    continue;
                }
                self.unsent = Vec::new();
                self.since = now;
            }
            match mem::replace(&mut self.next, Next::Read) {
                Next::Read => {}
                Next::Finish => self.stream.shutdown(Shutdown::Write)?,
                // Closing alone could lose what is held back.
                Next::Close => {
                    return self.stream.shutdown(Shutdown::Write).map(|()| State::Ended);
                }
            }
            if is_empty {
                return Ok(State::Waiting);
            }
            let length = match attempt(self.stream.read(buffer))? {
                None => return Ok(State::Waiting),
                Some(0) => return Ok(State::Ended),
                Some(length) => length,
            };
            // A read that does not fill the buffer has emptied the socket (epoll(7)), but for
            // urgent data, whose sender waits for itself.
            is_empty = length < buffer.len() && !has_end;
            let bytes = &buffer[..length];
            self.next = self.conversation.take(bytes, is_stopping, &mut self.unsent);
            if self.next == Next::Close {
                hold_until_close(&self.stream);
            }
        }
        Ok(State::Ready)
    }
    // ANCHOR_END: proceed

    // ANCHOR: watch
    /// Whether a connection that has come to this `state` is to stay. If so, the kernel
    /// reports under `token` when it can go on.
    pub fn is_to_stay(
        &mut self,
        state: io::Result<State>,
        registry: &Registry,
        token: Token,
    ) -> bool {
        let result = state.and_then(|state| {
            match state {
                State::Ended => return Ok(false),
                State::Waiting if self.is_watched => {}
                // The kernel reports what changes, and here nothing need change. To register
                // again is to ask how things stand.
                State::Ready if self.is_watched => {
                    registry.reregister(&mut self.stream, token, INTEREST)?;
                }
                State::Waiting | State::Ready => {
                    registry.register(&mut self.stream, token, INTEREST)?;
                    self.is_watched = true;
                }
            }
            Ok(true)
        });
        result.unwrap_or_else(|error| {
            eprintln!("{}: {error}", self.peer);
            false
        })
    }
    // ANCHOR_END: watch

    /// Whether the client has been silent, or slow, for too long.
    pub fn is_late(&self, now: Instant) -> bool {
        let is_late = now > self.since + TIMEOUT;
        if is_late {
            eprintln!("{}: timed out", self.peer);
        }
        is_late
    }
}

/// What a call came to; none if it would have had to wait.
fn attempt(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(length) => Ok(Some(length)),
        Err(error) if error.kind() == WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
