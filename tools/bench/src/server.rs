//! A server of the book, as a reader starts it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Longer than anything here may take.
const DEADLINE: Duration = Duration::from_secs(1200);
/// How often a page is asked for while a change is awaited. Stock mdBook empties its folder while it builds, so errors are expected.
const TICK: Duration = Duration::from_millis(5);

/// A server of the book, and what it says.
pub struct Server {
    process: Child,
    port: u16,
    /// The lines of its stderr, and when they came.
    pub log: Receiver<(Instant, String)>,
}

impl Server {
    pub fn start(command: &mut Command, port: u16) -> Result<Server> {
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = BufReader::new(process.stderr.take().context("no stderr")?);
        let (sender, log) = mpsc::channel();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                eprintln!("{line}");
                let _ = sender.send((Instant::now(), line));
            }
        });
        Ok(Server { process, port, log })
    }

    /// How long after `start` the page has `text`.
    pub fn wait_for(&self, page: &str, text: &str, start: Instant) -> Result<Duration> {
        while start.elapsed() < DEADLINE {
            if self.get(page).is_ok_and(|body| body.contains(text)) {
                return Ok(start.elapsed());
            }
            thread::sleep(TICK);
        }
        bail!("{page} did not show {text:?}")
    }

    /// The answer to `GET`, with its head.
    pub fn get(&self, page: &str) -> Result<String> {
        let mut answer = Vec::new();
        self.ask(&format!("GET {page}"), &[], "")?
            .read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Sends a request; the answer is to be read.
    pub fn ask(&self, what: &str, headers: &[&str], body: &str) -> Result<BufReader<TcpStream>> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(DEADLINE))?;
        let host = format!("Host: 127.0.0.1:{}", self.port);
        let length = format!("Content-Length: {}", body.len());
        let mut head = vec![&*host, "Connection: close", &*length];
        head.extend(headers);
        let head = head.join("\r\n");
        stream.write_all(format!("{what} HTTP/1.1\r\n{head}\r\n\r\n{body}").as_bytes())?;
        Ok(BufReader::new(stream))
    }

    /// Waits until it says something that starts with `text`; returns the rest of that line.
    pub fn wait_to_hear(&self, text: &str) -> Result<String> {
        loop {
            let (_, line) = self.log.recv_timeout(DEADLINE)?;
            if let Some(rest) = line.strip_prefix(text) {
                return Ok(rest.into());
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
