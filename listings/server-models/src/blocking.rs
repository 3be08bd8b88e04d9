//! A server whose calls wait, for the three designs that differ in who waits.

use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use socket2::SockRef;

use crate::conversation::{Conversation, Next, Protocol};
use crate::socket::{defer_accept, hold_until_close, listen};
use crate::{ACCEPT_PAUSE, BUFFER_SIZE, GRACE, TIMEOUT, say_goodbye};

/// A listening socket, and what is spoken there.
pub struct Server {
    listener: TcpListener,
    protocol: Protocol,
    is_stopping: AtomicBool,
}

/// What `main` waits for.
enum Event {
    CtrlC,
    Ended,
}

impl Server {
    pub fn bind(address: &str, protocol: Protocol) -> Result<Server> {
        Ok(Server {
            listener: listen(address)?,
            protocol,
            is_stopping: AtomicBool::new(false),
        })
    }

    /// The same, but a client that says nothing is not there for a second.
    pub fn bind_deferred(address: &str, protocol: Protocol) -> Result<Server> {
        let server = Server::bind(address, protocol)?;
        defer_accept(&server.listener)?;
        Ok(server)
    }

    // ANCHOR: run
    /// Has the `design` serve until Ctrl-C, and gives it a while to come to its end then.
    pub fn run(self, design: impl FnOnce(&Server) + Send + 'static) -> Result<()> {
        let server = Arc::new(self);
        let (sender, events) = mpsc::channel();
        let signals = sender.clone();
        ctrlc::set_handler(move || {
            // If nobody receives it, the program is about to end.
            let _ = signals.send(Event::CtrlC);
        })
        .context("cannot wait for Ctrl-C")?;
        println!("listening on {}", server.listener.local_addr()?);
        let served = Arc::clone(&server);
        thread::spawn(move || {
            // A panic, too, must be known to `main`: somebody has to serve.
            let _ = catch_unwind(AssertUnwindSafe(|| design(&served)));
            let _ = sender.send(Event::Ended);
        });

        if let Event::Ended = events.recv()? {
            bail!("nobody serves any more");
        }
        server.is_stopping.store(true, Relaxed);
        // On Linux, whoever waits in `accept` is woken up by this, and new clients are
        // refused. Elsewhere the next client wakes it up.
        let _ = SockRef::from(&server.listener).shutdown(Shutdown::Both);
        eprintln!("no new connections");
        // A second Ctrl-C cuts it short.
        let last = events.recv_timeout(GRACE);
        say_goodbye(matches!(last, Ok(Event::Ended)));
        Ok(())
    }
    // ANCHOR_END: run

    // ANCHOR: accept
    /// The next connection; none after Ctrl-C.
    pub fn accept(&self) -> Option<(TcpStream, SocketAddr)> {
        loop {
            let result = self.listener.accept();
            if self.is_stopping.load(Relaxed) {
                return None;
            }
            match result {
                Ok(connection) => return Some(connection),
                Err(error) => {
                    eprintln!("cannot accept a connection: {error}");
                    // Too many open files, say: the next attempt would fail at once.
                    thread::sleep(ACCEPT_PAUSE);
                }
            }
        }
    }
    // ANCHOR_END: accept

    // ANCHOR: serve
    /// Serves one client to its end.
    pub fn serve(&self, stream: TcpStream, peer: SocketAddr) {
        if let Err(error) = self.converse(stream) {
            eprintln!("{peer}: {error}");
        }
    }

    fn converse(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_write_timeout(Some(TIMEOUT))?;
        let mut conversation = Conversation::new(self.protocol);
        let mut buffer = vec![0; BUFFER_SIZE];
        let mut answer = Vec::new();
        let mut deadline = Instant::now() + TIMEOUT;
        let mut patience = Duration::ZERO;
        let mut left = TIMEOUT;
        while !left.is_zero() {
            // Nearly always the one that is set already.
            if left != patience {
                stream.set_read_timeout(Some(left))?;
                patience = left;
            }
            let length = match stream.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(length) => length,
                Err(error) if error.kind() == Interrupted => continue,
                Err(error) if error.kind() == WouldBlock => break,
                Err(error) => return Err(error),
            };
            let is_stopping = self.is_stopping.load(Relaxed);
            let next = conversation.take(&buffer[..length], is_stopping, &mut answer);
            if answer.is_empty() {
                // The rest of the request has the rest of the time.
                left = deadline.saturating_duration_since(Instant::now());
            } else {
                if next == Next::Close {
                    hold_until_close(&stream);
                }
                write_all(&mut stream, &answer, deadline)?;
                answer.clear();
                deadline = Instant::now() + TIMEOUT;
                left = TIMEOUT;
            }
            match next {
                Next::Read => {}
                Next::Finish => stream.shutdown(Shutdown::Write)?,
                // Closing alone could lose what is held back.
                Next::Close => return stream.shutdown(Shutdown::Write),
            }
        }
        Err(io::Error::new(TimedOut, "timed out"))
    }
    // ANCHOR_END: serve
}

/// Sends all of `bytes`, unless that takes until the `deadline`. The timeout of the stream
/// bounds each call; a client that takes a byte now and then would need many.
fn write_all(
    stream: &mut TcpStream,
    mut bytes: &[u8],
    deadline: Instant,
) -> io::Result<()> {
    while !bytes.is_empty() {
        if Instant::now() >= deadline {
            return Err(TimedOut.into());
        }
        match stream.write(bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(error) if error.kind() == Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
