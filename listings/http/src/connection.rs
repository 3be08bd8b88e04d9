//! A TCP connection on which no wait is endless.

use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

// ANCHOR: limits
/// How long one address of the server may take to accept a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What a client puts up with.
pub const CLIENT: Limits = Limits {
    pause: Duration::from_secs(2),
    total: Duration::from_secs(10),
};

/// What a server puts up with: somebody may be typing.
pub const SERVER: Limits = Limits {
    pause: Duration::from_secs(10),
    total: Duration::from_secs(30),
};
// ANCHOR_END: limits

/// How much of what nobody will read, and for how long, is taken in before a close.
pub const LINGER_LIMIT: u64 = 1024 * 1024;
pub const LINGER_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the other side may keep us waiting.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Between two bytes, in either direction.
    pub pause: Duration,
    /// From the beginning to the end, connecting included.
    pub total: Duration,
}

/// A TCP connection whose reads and writes keep to [`Limits`].
///
/// Past one, they fail with [`TimedOut`], and the error says which limit it was.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    limits: Limits,
    deadline: Instant,
}

impl Connection {
    // ANCHOR: open
    /// Connects to the first address of `host` that answers. The lookup of a name has no
    /// limit but the system's.
    pub fn open(host: &str, port: u16, limits: Limits) -> io::Result<Connection> {
        let deadline = Instant::now() + limits.total;
        let mut last_error = io::Error::other("the name has no address");
        for address in (host, port).to_socket_addrs()? {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(overdue(limits));
            }
            match TcpStream::connect_timeout(&address, left.min(CONNECT_TIMEOUT)) {
                Ok(stream) => return Connection::new(stream, limits, deadline),
                Err(error) => last_error = error,
            }
        }
        Err(last_error)
    }
    // ANCHOR_END: open

    /// Takes over a connection that has been accepted.
    pub fn accepted(stream: TcpStream, limits: Limits) -> io::Result<Connection> {
        Connection::new(stream, limits, Instant::now() + limits.total)
    }

    fn new(stream: TcpStream, limits: Limits, deadline: Instant) -> io::Result<Connection> {
        // A small write goes out at once, rather than waiting for the acknowledgement of
        // the one before it.
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream,
            limits,
            deadline,
        })
    }

    // ANCHOR: close
    /// Says that nothing more will come, and takes in, within limits, what the peer is
    /// still sending. To close with data unread would reset the connection, and the peer
    /// could lose the answer (RFC 9112, section 9.6).
    pub fn close(mut self) {
        self.deadline = self.deadline.min(Instant::now() + LINGER_TIMEOUT);
        if self.stream.shutdown(Shutdown::Write).is_ok() {
            // It is over, in whichever way it ends.
            let _ = io::copy(&mut self.take(LINGER_LIMIT), &mut io::sink());
        }
    }
    // ANCHOR_END: close

    // ANCHOR: patience
    /// How long the next call may wait.
    fn patience(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(overdue(self.limits));
        }
        Ok(left.min(self.limits.pause))
    }

    /// What the error of a call means: whether to try again, or what went wrong.
    fn explain(&self, error: io::Error, what: &str) -> io::Result<()> {
        match error.kind() {
            Interrupted => Ok(()),
            WouldBlock | TimedOut if Instant::now() < self.deadline => {
                let pause = self.limits.pause;
                Err(io::Error::new(TimedOut, format!("{what} for {pause:?}")))
            }
            // The next look at the clock says so.
            WouldBlock | TimedOut => Ok(()),
            _ => Err(error),
        }
    }
    // ANCHOR_END: patience
}

fn overdue(limits: Limits) -> io::Error {
    let total = limits.total;
    io::Error::new(TimedOut, format!("not done after {total:?}"))
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.stream.set_read_timeout(Some(self.patience()?))?;
            match self.stream.read(buffer) {
                Ok(length) => return Ok(length),
                Err(error) => self.explain(error, "nothing came")?,
            }
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            self.stream.set_write_timeout(Some(self.patience()?))?;
            match self.stream.write(bytes) {
                Ok(length) => return Ok(length),
                Err(error) => self.explain(error, "nothing could be sent")?,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
