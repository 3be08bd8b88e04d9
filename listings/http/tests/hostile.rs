//! What a peer can do that means no good costs a client a clear error and the server one line of
//! its log.

mod conversation;
mod programs;

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use conversation::{
    Reply, answering, assert_fails, connect, reset, serving, stderr, stdout,
};
use programs::{Server, run};

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nA: b\r\n\r\n";

/// How many peers mean no good at the same time.
const CROWD: usize = 200;

/// How slowly a slow peer sends.
const DRIBBLE: Duration = Duration::from_secs(1);

/// Runs `head` against a server that sends this over and over.
fn head_of_endless(bytes: &'static [u8]) -> std::process::Output {
    let bytes = bytes.repeat(1000);
    let address = serving(move |mut stream| while stream.write_all(&bytes).is_ok() {});
    run("head", &[&address])
}

#[test]
fn whatever_has_no_end_costs_a_client_an_error() {
    let no_end = "the head has no end within 16384 bytes";
    let no_line = "the first line has no end within 16384 bytes";
    for (endless, error) in [
        (&b"x"[..], no_line),
        (b"\0", no_line),
        (b"\xff", no_line),
        (b"\r", no_line),
        (b"\r\n", no_line),
        (b"\n", no_line),
        (b"HTTP/1.1 200 OK\r\n", no_end),
        (b"X: y\r\n", no_end),
        (
            b"HTTP/1.1 100 Continue\r\n\r\n",
            "more than 8 interim responses",
        ),
    ] {
        assert_fails(&head_of_endless(endless), error);
    }
}

/// It does not read it.
#[test]
fn a_body_without_an_end_costs_the_program_head_nothing() {
    let address = serving(|mut stream| {
        stream.write_all(ANSWER.as_bytes()).unwrap();
        while stream.write_all(&[b'x'; 65536]).is_ok() {}
    });
    let output = run("head", &[&address]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output), "HTTP/1.1 200 OK\nA: b\n");
}

#[test]
fn garbage_costs_a_client_an_error() {
    for garbage in [
        &b"\x16\x03\x03\0\x7a\x02\0\0\x76\r\n\r\n"[..],
        b"220 mail.example.com ESMTP\r\n\r\n",
        b"<!doctype html>\n<p>Hello\n\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 99999 OK\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: \r\n\r\n",
        b"HTTP/1.1 200 OK\rX: y\r\r\n\r\n",
        b"HTTP/1.1 200 O\0K\r\n\r\n",
    ] {
        let output = run("head", &[&answering(garbage)]);
        assert_fails(&output, "no HTTP response head: ");
    }
}

#[test]
fn a_server_that_leaves_at_any_point_costs_a_client_an_error() {
    for length in 0..ANSWER.len() {
        let output = run("head", &[&answering(&ANSWER[..length])]);
        let error = match length {
            0 => "the stream ended before an answer came",
            _ => "the stream ended within the head",
        };
        assert_fails(&output, error);
    }
}

#[test]
fn a_server_that_resets_the_connection_at_any_point_costs_a_client_an_error() {
    for length in 0..ANSWER.len() {
        let address = serving(move |mut stream| {
            stream.write_all(&ANSWER.as_bytes()[..length]).unwrap();
            reset(stream);
        });
        assert_fails(&run("head", &[&address]), "Connection reset");
    }
}

#[test]
fn a_client_that_leaves_at_any_point_costs_the_server_one_line() {
    let server = Server::start("server");
    for length in 0..REQUEST.len() {
        let mut stream = connect(&server);
        let own_address = stream.local_addr().unwrap();
        stream.write_all(&REQUEST.as_bytes()[..length]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = vec![];
        stream.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, b"");
        let cause = match length {
            0 => "left without a request".into(),
            _ => format!(
                "the stream ended within the head, which began \"{}\"",
                REQUEST[..length.min(24)].escape_default()
            ),
        };
        assert_eq!(server.next_log_line(), format!("{own_address}: {cause}"));
    }
    assert_serves(&server);
}

#[test]
fn a_client_that_resets_the_connection_at_any_point_costs_the_server_one_line() {
    let server = Server::start("server");
    for length in 0..=REQUEST.len() {
        let mut stream = connect(&server);
        let own_address = stream.local_addr().unwrap();
        stream.write_all(&REQUEST.as_bytes()[..length]).unwrap();
        reset(stream);
        let log = server.next_log_line();
        assert!(log.starts_with(&format!("{own_address}: ")), "{log}");
        if length < REQUEST.len() {
            assert!(log.contains("Connection reset"), "{log}");
        }
    }
    assert_serves(&server);
}

#[test]
fn a_client_that_resets_the_connection_while_it_is_answered_costs_the_server_one_line() {
    let server = Server::start("server");
    for _ in 0..10 {
        let mut stream = connect(&server);
        stream
            .write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
        stream.read_exact(&mut [0]).unwrap();
        reset(stream);
        assert!(server.next_log_line().ends_with(": GET /slow: 200 OK"));
    }
    assert_serves(&server);
}

#[test]
fn content_without_an_end_costs_the_server_one_line() {
    let server = Server::start("server");
    for header in [
        "Content-Length: 1000000000000",
        "Transfer-Encoding: chunked",
    ] {
        let mut stream = connect(&server);
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        while stream.write_all(&[b'x'; 65536]).is_ok() {}
        let log = server.next_log_line();
        assert!(log.ends_with(": POST /: 405 Method Not Allowed"), "{log}");
    }
    assert_serves(&server);
}

/// Asserts that the next client is served, and that there was nothing else in the log.
#[track_caller]
fn assert_serves(server: &Server) {
    let reply = Reply::to(server, REQUEST);
    assert_eq!(reply.status(), "200 OK");
    let log = server.next_log_line();
    assert!(log.ends_with(": GET /: 200 OK"), "{log}");
}

/// Sends one byte a second to each of them until the sender is dropped.
fn dribble(mut streams: Vec<TcpStream>) -> Sender<()> {
    let (stop, clock) = mpsc::channel();
    thread::spawn(move || {
        for byte in REQUEST.bytes().cycle() {
            for stream in &mut streams {
                let _ = stream.write_all(&[byte]);
            }
            if clock.recv_timeout(DRIBBLE) == Err(RecvTimeoutError::Disconnected) {
                break;
            }
        }
    });
    stop
}

/// Does what it does, to its end.
fn misbehave(mut stream: TcpStream, kind: usize) {
    match kind {
        0 => {
            let _ = stream.write_all(b"GET / HTTP/1.1\r\n");
            while stream.write_all(&b"X: y\r\n".repeat(1000)).is_ok() {}
        }
        1 => while stream.write_all(&[0xff; 10_000]).is_ok() {},
        2 => {
            let _ = stream.write_all(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\n\n");
            let _ = stream.read_to_end(&mut vec![]);
        }
        3 => {
            let _ = stream.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9");
            let _ = stream.write_all(b"99999999999\r\n\r\n");
            while stream.write_all(&[b'x'; 10_000]).is_ok() {}
        }
        4 => {
            let _ = stream.write_all(b"GET / HTTP/1.1\r\nHo");
            reset(stream);
        }
        _ => {
            let _ = stream.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
            let _ = stream.read(&mut [0]);
            reset(stream);
        }
    }
}

#[test]
fn two_hundred_hostile_peers_do_not_keep_an_honest_client_from_its_answer() {
    let server = Server::start("server");
    #[cfg(target_os = "linux")]
    let process = Process::started_last();
    #[cfg(target_os = "linux")]
    let before = process.threads_and_files();

    let mut lines: HashMap<SocketAddr, usize> = HashMap::new();
    let (mut silent, mut slow, mut busy) = (vec![], vec![], vec![]);
    for number in 0..CROWD {
        let stream = connect(&server);
        lines.insert(stream.local_addr().unwrap(), 0);
        match number % 4 {
            0 => silent.push(stream),
            1 => slow.push(stream),
            _ => busy.push(thread::spawn(move || misbehave(stream, number / 4 % 6))),
        }
    }
    let slow = dribble(slow);

    let output = run("head", &[&server.address.to_string()]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).starts_with("HTTP/1.1 200 OK\n"));

    // They have been there all the time, then.
    for stream in &mut silent {
        stream.set_nonblocking(true).unwrap();
        let error = stream.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
    drop((silent, slow));
    for peer in busy {
        peer.join().unwrap();
    }

    let mut honest = 0;
    for _ in 0..=CROWD {
        let log = server.next_log_line();
        let (peer, _) = log.split_once(": ").expect("a peer and what it did");
        match lines.get_mut(&peer.parse().expect("an address")) {
            Some(count) => *count += 1,
            None => {
                assert!(log.ends_with(": HEAD /: 200 OK"), "{log}");
                honest += 1;
            }
        }
    }
    assert_eq!(honest, 1);
    assert!(lines.values().all(|count| *count == 1), "{lines:?}");
    assert_serves(&server);

    #[cfg(target_os = "linux")]
    {
        let began = std::time::Instant::now();
        while process.threads_and_files() != before {
            let found = process.threads_and_files();
            assert!(
                began.elapsed() < programs::DEADLINE,
                "{found:?} rather than {before:?}"
            );
            thread::yield_now();
        }
        assert_eq!(before.0, 1, "one thread that accepts");
    }
}

/// A program, as the system sees it.
#[cfg(target_os = "linux")]
struct Process(std::path::PathBuf);

#[cfg(target_os = "linux")]
impl Process {
    /// The only child of this thread.
    fn started_last() -> Process {
        let children = std::fs::read_to_string("/proc/thread-self/children");
        let number: u32 = children
            .expect("a system that tells the children of a thread")
            .trim()
            .parse()
            .expect("one child");
        Process(std::path::Path::new("/proc").join(number.to_string()))
    }

    /// How many threads it has, and how many open files.
    fn threads_and_files(&self) -> (usize, usize) {
        let count = |folder| std::fs::read_dir(self.0.join(folder)).unwrap().count();
        (count("task"), count("fd"))
    }
}

#[test]
fn many_honest_clients_at_once_are_all_served() {
    let server = Server::start("server");
    let streams: Vec<TcpStream> = (0..CROWD).map(|_| connect(&server)).collect();
    for mut stream in &streams {
        stream.write_all(REQUEST.as_bytes()).unwrap();
    }
    for mut stream in streams {
        assert_eq!(Reply::last(&mut stream).status(), "200 OK");
    }
}
