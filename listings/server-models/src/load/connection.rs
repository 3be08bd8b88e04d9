//! One of the connections of `load`, and the request that is on its way there.

use std::fmt;
use std::io::ErrorKind::WouldBlock;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::conversation::Protocol;
use crate::load::exchange::{Answer, Fault, Progress};

/// Why a request has no answer.
#[derive(Debug)]
pub enum Failure {
    Io(io::Error),
    /// The server has ended the stream.
    Closed,
    Fault(Fault),
    TimedOut,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Failure::Io(error) => write!(f, "{error}"),
            Failure::Closed => write!(f, "closed without an answer"),
            Failure::Fault(fault) => write!(f, "{fault}"),
            Failure::TimedOut => write!(f, "timed out"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Io(error)
    }
}

/// A connection, open or not.
#[derive(Default)]
pub struct Connection {
    stream: Option<TcpStream>,
    /// The request that has no answer yet.
    pub request: Option<Request>,
}

/// A request that has no answer yet.
pub struct Request {
    /// When it should have been sent.
    pub due: Instant,
    /// When it was.
    pub sent: Instant,
    written: usize,
    answer: Answer,
}

impl Connection {
    /// Sends `bytes`, on a new connection to `server` if there is none. What the socket does
    /// not take yet follows in [`Connection::proceed`].
    pub fn send(
        &mut self,
        bytes: &[u8],
        due: Instant,
        protocol: Protocol,
        server: SocketAddr,
        (registry, token): (&Registry, Token),
    ) -> Result<(), Failure> {
        self.request = Some(Request {
            due,
            sent: Instant::now(),
            written: 0,
            answer: Answer::new(protocol),
        });
        if self.stream.is_none() {
            let mut stream = TcpStream::connect(server)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            registry.register(&mut stream, token, interest)?;
            self.stream = Some(stream);
        }
        self.write(bytes)
    }

    /// Goes on with the request as far as that is possible without waiting. None if it must
    /// wait, or if there is no request.
    pub fn proceed(
        &mut self,
        bytes: &[u8],
        buffer: &mut [u8],
    ) -> Result<Option<Progress>, Failure> {
        self.write(bytes)?;
        let (Some(stream), Some(request)) = (&mut self.stream, &mut self.request) else {
            self.close_unless_quiet();
            return Ok(None);
        };
        loop {
            match stream.read(buffer) {
                Ok(0) => return Err(Failure::Closed),
                Ok(length) => {
                    let progress = request
                        .answer
                        .take(&buffer[..length], bytes)
                        .map_err(Failure::Fault)?;
                    if let Progress::Whole { keep_alive } = progress {
                        return Ok(Some(Progress::Whole { keep_alive }));
                    }
                }
                Err(error) if error.kind() == WouldBlock => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// While no request is on its way, the server has nothing to say. It may close the
    /// connection.
    fn close_unless_quiet(&mut self) {
        let result = self.stream.as_mut().map(|stream| stream.read(&mut [0]));
        if !matches!(result, Some(Err(error)) if error.kind() == WouldBlock) {
            self.close();
        }
    }

    pub fn close(&mut self) {
        self.stream = None;
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let (Some(stream), Some(request)) = (&mut self.stream, &mut self.request) else {
            return Ok(());
        };
        while request.written < bytes.len() {
            match stream.write(&bytes[request.written..]) {
                Ok(length) => request.written += length,
                // Not connected yet, or the server does not read.
                Err(error) if error.kind() == WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
