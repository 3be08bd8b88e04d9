//! A connection that never waits, for the event loop.

use std::io::ErrorKind::WouldBlock;
use std::io::{self, Read, Write};
use std::mem;
use std::net::{Shutdown, SocketAddr};
use std::time::Instant;

use anyhow::Result;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};

use crate::conversation::{Conversation, Next, Protocol};

/// For how many seconds a silent client is not there.
#[cfg(target_os = "linux")]
const DEFERRED: u32 = 1;
/// How often one connection may be read from before it is another one's turn.
const TURN: usize = 8;

// ANCHOR: listen
/// A listening socket whose `accept` does not wait.
pub fn listen(address: &str) -> Result<TcpListener> {
    let listener = crate::listen(address)?;
    listener.set_nonblocking(true)?;
    #[cfg(target_os = "linux")]
    nix::sys::socket::setsockopt(&listener, defer::DeferAccept, &DEFERRED)?;
    Ok(TcpListener::from_std(listener))
}

/// `TCP_DEFER_ACCEPT`, which only Linux has: a client is not there before it has said
/// something, or for a second. So `accept` and the first read need one event, not two.
#[cfg(target_os = "linux")]
mod defer {
    use nix::{libc, setsockopt_impl, sockopt_impl};

    sockopt_impl!(
        DeferAccept,
        SetOnly,
        libc::IPPROTO_TCP,
        libc::TCP_DEFER_ACCEPT,
        u32
    );
}
// ANCHOR_END: listen

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
    pub stream: TcpStream,
    pub peer: SocketAddr,
    /// Since when the client owes us a request, or to fetch an answer.
    pub since: Instant,
    conversation: Conversation,
    unsent: Vec<u8>,
    next: Next,
    is_watched: bool,
}

impl Connection {
    pub fn new(stream: TcpStream, peer: SocketAddr, protocol: Protocol) -> Connection {
        Connection {
            stream,
            peer,
            since: Instant::now(),
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
                Next::Close => return Ok(State::Ended),
            }
            if is_empty {
                return Ok(State::Waiting);
            }
            let length = match attempt(self.stream.read(buffer))? {
                None => return Ok(State::Waiting),
                Some(0) => return Ok(State::Ended),
                Some(length) => length,
            };
            // A read that does not fill the buffer has emptied the socket (epoll(7)).
            is_empty = length < buffer.len() && !has_end;
            let bytes = &buffer[..length];
            self.next = self.conversation.take(bytes, is_stopping, &mut self.unsent);
        }
        Ok(State::Ready)
    }
    // ANCHOR_END: proceed

    // ANCHOR: watch
    /// Has the kernel report, under `token`, when a connection in this `state` can go on.
    /// False if there is nothing to wait for.
    pub fn watch(
        &mut self,
        state: State,
        registry: &Registry,
        token: Token,
    ) -> io::Result<bool> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match state {
            State::Ended => return Ok(false),
            // It is reported when something changes, and nothing need change for this one.
            // To register again is to ask how things stand.
            State::Ready if self.is_watched => {
                registry.reregister(&mut self.stream, token, interest)?;
            }
            State::Waiting if self.is_watched => {}
            State::Ready | State::Waiting => {
                registry.register(&mut self.stream, token, interest)?;
                self.is_watched = true;
            }
        }
        Ok(true)
    }
    // ANCHOR_END: watch
}

/// What a call came to; none if it would have had to wait.
fn attempt(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(length) => Ok(Some(length)),
        Err(error) if error.kind() == WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
