//! Sends requests and waits for answers, on all connections in one event loop.

use std::collections::VecDeque;
use std::io::ErrorKind::{Interrupted, WouldBlock};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use mio::{Events, Poll, Token};

use crate::BUFFER_SIZE;
use crate::load::connection::{Connection, Failure};
use crate::load::exchange::{self, Answer, Progress};
use crate::load::options::Options;
use crate::load::report::Report;
use crate::socket::raise_descriptor_limit;

/// How many events one call may report.
const EVENTS: usize = 1024;
/// How often timeouts are looked for, and how long a connection rests after a failure.
const TICK: Duration = Duration::from_millis(10);

/// A run, from its first request to its last answer.
struct Run<'a> {
    options: &'a Options,
    server: SocketAddr,
    poll: Poll,
    /// The bytes of every request.
    request: Vec<u8>,
    connections: Vec<Connection>,
    /// Those without a request, in the order in which they became free.
    free: VecDeque<usize>,
    /// Those that have failed since the last tick.
    resting: Vec<usize>,
    /// When the next request is to be sent, if there is a rate.
    next_due: Instant,
    /// What counts is what is due from here …
    start: Instant,
    /// … to here.
    end: Instant,
    report: Report,
}

/// Does what `options` say.
pub fn run(options: &Options) -> Result<Report> {
    raise_descriptor_limit();
    let server = find(options)?;
    let request = exchange::request(options);
    let mut others = Vec::new();
    let kinds = [
        ("idle", options.idle, Some(&request)),
        ("silent", options.silent, None),
    ];
    for (kind, count, request) in kinds {
        for number in 1..=count {
            let stream = beside(options, server, request)
                .with_context(|| format!("cannot open {kind} connection {number}"))?;
            others.push(stream);
        }
    }

    let now = Instant::now();
    let start = now + options.warm_up;
    let mut run = Run {
        options,
        server,
        poll: Poll::new()?,
        request,
        connections: Vec::new(),
        free: (0..options.connections).collect(),
        resting: Vec::new(),
        next_due: now,
        start,
        end: start + options.duration,
        report: Report::new(options.clone())?,
    };
    run.connections
        .resize_with(options.connections, Connection::default);
    run.go()?;
    run.report.closed = others.iter().filter(|other| is_closed(other)).count();
    Ok(run.report)
}

impl Run<'_> {
    // ANCHOR: go
    fn go(&mut self) -> Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        let mut buffer = vec![0; BUFFER_SIZE];
        let mut tick = Instant::now();
        // Whoever is owed an answer at the end still waits for it, until the timeout.
        while Instant::now() < self.end || self.are_on_the_way() {
            self.send_due();
            match self.poll.poll(&mut events, Some(self.patience())) {
                Err(error) if error.kind() == Interrupted => {}
                result => result.context("cannot wait for events")?,
            }
            for event in &events {
                self.proceed(event.token().0, event.is_read_closed(), &mut buffer);
            }
            if tick.elapsed() >= TICK {
                tick = Instant::now();
                self.free.extend(self.resting.drain(..));
                self.end_late();
            }
        }
        if let Some(rate) = self.options.rate {
            // What was due, and could not even be sent, has waited as well.
            while self.next_due < self.end {
                if self.next_due >= self.start {
                    self.report.unsent(self.end - self.next_due);
                }
                self.next_due += Duration::from_secs_f64(1.0 / rate);
            }
        }
        Ok(())
    }
    // ANCHOR_END: go

    // ANCHOR: send
    /// Sends what is due, on as many connections as are free.
    fn send_due(&mut self) {
        while !self.free.is_empty() && Instant::now() < self.end {
            let now = Instant::now();
            let due = match self.options.rate {
                None => now,
                Some(_) if self.next_due > now => return,
                Some(rate) => {
                    let due = self.next_due;
                    self.next_due += Duration::from_secs_f64(1.0 / rate);
                    due
                }
            };
            let Some(key) = self.free.pop_front() else {
                return;
            };
            let place = (self.poll.registry(), Token(key));
            let protocol = self.options.protocol;
            let connection = &mut self.connections[key];
            if let Err(failure) =
                connection.send(&self.request, due, protocol, self.server, place)
            {
                self.fail(key, failure);
            }
        }
    }
    // ANCHOR_END: send

    /// Goes on with the request of one connection.
    fn proceed(&mut self, key: usize, has_end: bool, buffer: &mut [u8]) {
        let connection = &mut self.connections[key];
        match connection.proceed(&self.request, buffer) {
            Ok(Some(Progress::Whole { keep_alive })) => {
                if !keep_alive || has_end || self.options.new_connections {
                    connection.close();
                }
                if let Some(request) = connection.request.take() {
                    let now = Instant::now();
                    self.report.answers_in_all += 1;
                    if now >= self.start && now < self.end {
                        self.report.answers += 1;
                    }
                    if request.due >= self.start {
                        self.report.answered(now - request.sent, now - request.due);
                    }
                }
                self.free.push_back(key);
                self.send_due();
            }
            Ok(_) => {}
            Err(failure) => self.fail(key, failure),
        }
    }

    fn fail(&mut self, key: usize, failure: Failure) {
        let connection = &mut self.connections[key];
        connection.close();
        if let Some(request) = connection.request.take() {
            let now = Instant::now();
            if now >= self.start {
                self.report.failed(&failure, now - request.due);
            }
            self.resting.push(key);
        }
    }

    /// Gives up requests that have waited for too long.
    fn end_late(&mut self) {
        for key in 0..self.connections.len() {
            let request = self.connections[key].request.as_ref();
            if request.is_some_and(|request| request.sent.elapsed() > self.options.timeout)
            {
                self.fail(key, Failure::TimedOut);
            }
        }
    }

    fn are_on_the_way(&self) -> bool {
        self.free.len() + self.resting.len() < self.connections.len()
    }

    /// How long to wait for events. The kernel counts in milliseconds here; shorter waits
    /// are spent asking.
    fn patience(&self) -> Duration {
        let until_due = match self.options.rate {
            Some(_) if !self.free.is_empty() => {
                self.next_due.saturating_duration_since(Instant::now())
            }
            _ => TICK,
        };
        Duration::from_millis(until_due.min(TICK).as_millis() as u64)
    }
}

/// The address of the server: the first that accepts a connection.
fn find(options: &Options) -> Result<SocketAddr> {
    let cannot = || format!("cannot connect to {}", options.address);
    let mut last_error = anyhow!("the name has no address");
    for address in options.address.to_socket_addrs().with_context(cannot)? {
        match TcpStream::connect_timeout(&address, options.timeout) {
            Ok(_) => return Ok(address),
            Err(error) => last_error = error.into(),
        }
    }
    Err(last_error.context(cannot()))
}

/// A connection beside those that work, which may have sent one `request` and got its
/// answer.
fn beside(
    options: &Options,
    server: SocketAddr,
    request: Option<&Vec<u8>>,
) -> Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&server, options.timeout)?;
    stream.set_read_timeout(Some(options.timeout))?;
    stream.set_write_timeout(Some(options.timeout))?;
    if let Some(request) = request {
        stream.write_all(request)?;
        let mut answer = Answer::new(options.protocol);
        let mut buffer = [0; 1024];
        let start = Instant::now();
        loop {
            ensure!(start.elapsed() < options.timeout, "no answer in time");
            let length = stream.read(&mut buffer)?;
            match answer.take(&buffer[..length], request) {
                _ if length == 0 => bail!("the server has closed it"),
                Ok(Progress::Partial) => {}
                Ok(Progress::Whole { .. }) => break,
                Err(fault) => bail!(fault.to_string()),
            }
        }
    }
    Ok(stream)
}

/// Whether the server has ended a connection that says nothing.
fn is_closed(mut stream: &TcpStream) -> bool {
    let result = stream
        .set_nonblocking(true)
        .and_then(|()| stream.read(&mut [0]));
    !matches!(result, Err(error) if error.kind() == WouldBlock)
}
