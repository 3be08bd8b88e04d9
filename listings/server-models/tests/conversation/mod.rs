//! Talks to the programs of this listing over real sockets, and takes apart what they say.

#![allow(dead_code)]

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Output;
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use crate::programs::{DEADLINE, Server};

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Asserts that a program has failed at run time: with a cause that has this in it, without a
/// panic, and with nothing on stdout.
#[track_caller]
pub fn assert_fails(output: &Output, cause: &str) {
    let complaint = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert!(complaint.starts_with("Error: "), "{complaint}");
    assert!(complaint.contains(cause), "{complaint}");
    assert_eq!(stdout(output), "");
}

/// A connection to the server, on which the test itself does not wait for ever.
pub fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// One read. A signal may come first, since a machine that is stopped for a moment sends one to
/// all who wait; nothing is lost by that.
pub fn read_once(stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

/// A listener on a free port, and its address.
pub fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// A server that reads a request and then does as it likes with one client; returns its
/// address.
pub fn serving(behave: impl FnOnce(TcpStream) + Send + 'static) -> String {
    let (listener, address) = listen();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        read_head(&mut stream);
        behave(stream);
    });
    address
}

/// A server that sends `answer` to one client and closes; returns its address.
pub fn answering(answer: impl AsRef<[u8]> + Send + 'static) -> String {
    serving(move |mut stream| {
        let _ = stream.write_all(answer.as_ref());
    })
}

/// Everything up to an empty line, read so that nothing beyond it is.
pub fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("the rest of a head");
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("a head is text")
}

/// Ends a connection with a reset.
pub fn reset(stream: TcpStream) {
    SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
}

/// An answer of the server.
#[derive(Debug)]
pub struct Reply {
    /// Its lines, without their ends and without the empty one.
    pub head: Vec<String>,
    pub body: Vec<u8>,
}

impl Reply {
    /// The one answer to `request`, up to the end of the stream.
    #[track_caller]
    pub fn to(server: &Server, request: impl AsRef<[u8]>) -> Reply {
        let mut stream = connect(server);
        stream.write_all(request.as_ref()).unwrap();
        Reply::last(&mut stream)
    }

    /// What comes up to the end of the stream.
    #[track_caller]
    pub fn last(stream: &mut TcpStream) -> Reply {
        let head = lines(&read_head(stream));
        let mut body = Vec::new();
        stream.read_to_end(&mut body).unwrap();
        Reply { head, body }
    }

    /// The next answer, which says how long it is.
    #[track_caller]
    pub fn next(stream: &mut TcpStream) -> Reply {
        let head = lines(&read_head(stream));
        let mut reply = Reply { head, body: vec![] };
        let length = reply.header("Content-Length").expect("a length");
        reply.body = vec![0; length.parse().expect("a number")];
        stream.read_exact(&mut reply.body).unwrap();
        reply
    }

    /// What stands behind `HTTP/1.1` in the first line.
    pub fn status(&self) -> &str {
        self.head[0].strip_prefix("HTTP/1.1 ").expect("a version")
    }

    /// The value of a header, which must not stand there twice.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.head.iter().filter_map(|line| {
            let (known, value) = line.split_once(": ")?;
            known.eq_ignore_ascii_case(name).then_some(value)
        });
        let value = values.next();
        assert_eq!(values.next(), None, "{name} again");
        value
    }

    /// The head without the time of day.
    pub fn head_but_date(&self) -> Vec<String> {
        but_date(&self.head)
    }
}

pub fn but_date(lines: &[String]) -> Vec<String> {
    let is_other = |line: &&String| !line.starts_with("Date: ");
    lines.iter().filter(is_other).cloned().collect()
}

fn lines(head: &str) -> Vec<String> {
    let head = head.strip_suffix("\r\n\r\n").expect("an empty line");
    head.split("\r\n").map(String::from).collect()
}
