//! `book serve`, running, and a client that can say what no browser would.

// Every file of tests is a program of its own, and none needs all of this.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use rustix::process::{Pid, Signal};

use crate::fixture::{DEADLINE, Project};

/// The frame by which the server tells a page to reload: text, six bytes (RFC 6455, section 5.2).
const RELOAD: &[u8] = b"\x81\x06reload";

/// A client's ping, with a mask of zeros, and the answer to it.
const PING: &[u8] = b"\x89\x80\0\0\0\0";
const PONG: &[u8; 2] = b"\x8a\0";

/// The tool, serving a project in a process group of its own. Dropping it kills the group.
pub struct Served {
    child: Child,
    pub pid: Pid,
    /// Where it keeps the pages.
    pages: PathBuf,
    /// None until the first build is over.
    port: Option<u16>,
    /// What the address ends with that it prints.
    token: String,
    /// What it says on stderr, line by line.
    log: Receiver<String>,
}

impl Served {
    /// Starts it and waits until the book can be read.
    #[track_caller]
    pub fn start(project: &Project) -> Served {
        let mut served = Served::begin(project);
        served.wait_until_ready();
        served
    }

    /// The same with other arguments besides.
    #[track_caller]
    pub fn start_with(project: &Project, arguments: &[&str]) -> Served {
        let mut served = Served::begin_with(project, arguments);
        served.wait_until_ready();
        served
    }

    /// Starts it. The first build is then under way.
    pub fn begin(project: &Project) -> Served {
        Served::begin_with(project, &[])
    }

    fn begin_with(project: &Project, arguments: &[&str]) -> Served {
        let mut command = Command::new(env!("CARGO_BIN_EXE_book"));
        project.prepare(&mut command);
        let mut child = command
            .args(["serve", "--no-open", "--port", "0"])
            .args(arguments)
            .current_dir(&project.root)
            .env("TMPDIR", project.temporary())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("the tool starts");
        let stderr = BufReader::new(child.stderr.take().expect("stderr is a pipe"));
        let (sender, log) = mpsc::channel();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Served {
            pid: Pid::from_child(&child),
            pages: project.path("target/book/served"),
            child,
            port: None,
            token: String::new(),
            log,
        }
    }

    /// Waits until it says where the book is.
    #[track_caller]
    pub fn wait_until_ready(&mut self) {
        let before = "the book is at http://127.0.0.1:";
        let said = self.wait_for_line(before);
        let line = said.last().and_then(|line| line.strip_prefix(before));
        let words = line.and_then(|rest| rest.split(' ').next()?.split_once("/?token="));
        let (port, token) = words.unwrap_or_else(|| panic!("no token in {said:?}"));
        self.port = Some(port.parse().expect("a port"));
        self.token = token.into();
    }

    /// Waits until it says something with `text` in it. Returns all that it has said until then.
    #[track_caller]
    pub fn wait_for_line(&self, text: &str) -> Vec<String> {
        let mut said = Vec::new();
        loop {
            match self.log.recv_timeout(DEADLINE) {
                Ok(line) => {
                    said.push(line);
                    if said.last().is_some_and(|line| line.contains(text)) {
                        return said;
                    }
                }
                Err(error) => panic!("{error} for {text:?}; it said:\n{}", said.join("\n")),
            }
        }
    }

    /// The folder of the pages that it serves.
    pub fn pages(&self) -> &Path {
        &self.pages
    }

    /// Waits until a build has failed with all of these words.
    #[track_caller]
    pub fn wait_for_failure(&self, words: &[&str]) {
        let mut said = String::new();
        while !words.iter().all(|word| said.contains(word)) {
            said += &self.wait_for_line("the pages are as they were").join("\n");
        }
    }

    /// Its own name for itself: `127.0.0.1:3000`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    pub fn port(&self) -> u16 {
        self.port.expect("it is ready")
    }

    /// Whoever has it may run programs.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Opens a connection.
    pub fn connect(&self) -> TcpStream {
        connect(self.port())
    }

    /// The answer to a request as a browser sends it.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.ask("GET", path, &[&format!("Host: {}", self.host())])
    }

    /// The answer to a request with these headers.
    #[track_caller]
    pub fn ask(&self, method: &str, target: &str, headers: &[&str]) -> Response {
        self.ask_raw(&request(&format!("{method} {target} HTTP/1.1"), headers))
    }

    /// The answer to whatever `request` is.
    #[track_caller]
    pub fn ask_raw(&self, request: &[u8]) -> Response {
        ask_raw(self.port(), request)
    }

    /// Asks for a WebSocket with these headers, besides those that every such request has. None if it is refused.
    #[track_caller]
    pub fn try_live_reload(&self, headers: &[&str]) -> Result<LiveReload, Response> {
        // The key, and the answer to it, are the example of RFC 6455, section 1.3.
        let mut all = vec![
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ];
        all.extend(headers);
        let mut stream = self.connect();
        stream
            .write_all(&request("GET /__livereload HTTP/1.1", &all))
            .expect("it takes the request");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("an answer in time");
            head.extend(byte);
        }
        let response = Response::parse(&head);
        if response.status != 101 {
            return Err(response);
        }
        let accept = response.header("sec-websocket-accept");
        assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        Ok(LiveReload { stream })
    }

    /// The WebSocket that a page of the book opens.
    #[track_caller]
    pub fn live_reload(&self) -> LiveReload {
        let host = format!("Host: {}", self.host());
        let origin = format!("Origin: http://{}", self.host());
        match self.try_live_reload(&[&host, &origin]) {
            Ok(socket) => socket,
            Err(response) => panic!("no WebSocket, but {response:?}"),
        }
    }

    /// Does what a browser does: reads the page, and again whenever it is told to, until `text` is on it.
    #[track_caller]
    pub fn wait_for_page(&self, path: &str, text: &str) {
        loop {
            let mut socket = self.live_reload();
            let page = self.get(path);
            if page.status == 200 && page.text().contains(text) {
                return;
            }
            socket.wait_for_reload();
        }
    }

    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.pid, signal).expect("it runs");
    }

    /// Presses Ctrl-C: the terminal sends a signal to all of its group.
    pub fn press_ctrl_c(&self) {
        rustix::process::kill_process_group(self.pid, Signal::INT).expect("it runs");
    }

    /// Waits for its end.
    #[track_caller]
    pub fn end(mut self) -> ExitStatus {
        // The pipe ends with the process, and with all that has inherited it.
        loop {
            match self.log.recv_timeout(DEADLINE) {
                Ok(_) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("it did not end"),
            }
        }
        self.child.wait().expect("the tool can be waited for")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = rustix::process::kill_process_group(self.pid, Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

/// Opens a connection to a server on this machine.
pub fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("a connection");
    stream.set_read_timeout(Some(DEADLINE)).expect("an option");
    stream.set_write_timeout(Some(DEADLINE)).expect("an option");
    stream
}

/// What it answers to whatever `request` is.
#[track_caller]
pub fn ask_raw(port: u16, request: &[u8]) -> Response {
    let mut stream = connect(port);
    stream.write_all(request).expect("it takes the request");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer in time");
    Response::parse(&answer)
}

/// A request without a body, after which the connection ends unless it says otherwise.
pub fn request(line: &str, headers: &[&str]) -> Vec<u8> {
    let mut lines = vec![line];
    lines.extend(headers);
    if !headers
        .iter()
        .any(|header| header.starts_with("Connection:"))
    {
        lines.push("Connection: close");
    }
    (lines.join("\r\n") + "\r\n\r\n").into_bytes()
}

/// An open page's WebSocket.
pub struct LiveReload {
    stream: TcpStream,
}

impl LiveReload {
    /// Waits until the page is told to reload.
    #[track_caller]
    pub fn wait_for_reload(&mut self) {
        let mut frame = [0; RELOAD.len()];
        self.stream.read_exact(&mut frame).expect("a frame in time");
        assert_eq!(frame, RELOAD);
    }

    /// Whether the page has been told nothing: the first answer to a ping is its pong then.
    pub fn is_silent(&mut self) -> bool {
        self.stream.write_all(PING).expect("it takes a ping");
        let mut frame = [0; PONG.len()];
        self.stream.read_exact(&mut frame).expect("a frame in time");
        match &frame {
            PONG => true,
            frame if RELOAD.starts_with(&frame[..]) => false,
            other => panic!("an unexpected frame: {other:?}"),
        }
    }
}

/// What the server answered.
pub struct Response {
    pub status: u16,
    headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl fmt::Debug for Response {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let text: String = self.text().chars().take(200).collect();
        write!(formatter, "{} {:?} {text:?}", self.status, self.headers)
    }
}

impl Response {
    #[track_caller]
    fn parse(bytes: &[u8]) -> Response {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let end =
            end.unwrap_or_else(|| panic!("no answer, but {:?}", bytes.escape_ascii().to_string()));
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let headers: BTreeMap<String, String> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect();
        assert!(!headers.contains_key("transfer-encoding"), "{head}");
        Response {
            status: status.unwrap_or_else(|| panic!("no status in {head}")),
            headers,
            body: bytes[end + 4..].to_vec(),
        }
    }

    /// The value of a header; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
