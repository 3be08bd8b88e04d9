//! What a peer can do to TLS that means no good costs a client a clear error and the server one
//! line of its log.

mod programs;
mod sessions;

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Output;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use programs::run;
use sessions::{
    Certified, GREETINGS, Host, REQUEST, assert_distrusts, assert_fails, assert_success,
    client_hello, complaint, connect, flight, listen, patient_end, reset, rest, serving,
    stderr, stdout,
};

/// How many peers mean no good at the same time.
const CROWD: usize = 200;

/// How slowly a slow peer sends.
const DRIBBLE: Duration = Duration::from_secs(1);

const NO_CLOSE_NOTIFY: &str = "peer closed connection without sending TLS close_notify: \
     https://docs.rs/rustls/latest/rustls/manual/_03_howto/index.html#unexpected-eof";

/// A record of TLS (RFC 8446, section 5.1).
fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("a short record");
    let mut record = vec![kind, 3, 3];
    record.extend(length.to_be_bytes());
    record.extend(content);
    record
}

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

/// What is no handshake, by its name.
fn garbage() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("text", b"220 mail.example.com ESMTP\r\n".repeat(10)),
        ("zeros", vec![0; 1000]),
        ("ones", vec![0xff; 1000]),
        ("SSL 2.0", b"\x80\x2e\x01\0\x02".repeat(20)),
        ("application data", record(APPLICATION_DATA, &[0; 100])),
        ("a record that is too long", {
            let mut long = vec![HANDSHAKE, 3, 3, 0xff, 0xff];
            long.resize(70_000, 0);
            long
        }),
        (
            "a message that is too long",
            record(HANDSHAKE, &[1, 0xff, 0xff, 0xff, 3, 3]),
        ),
        ("an empty message", record(HANDSHAKE, &[])),
        ("a message of no kind", record(HANDSHAKE, &[99, 0, 0, 0])),
        (
            "a broken hello of both kinds",
            [
                record(HANDSHAKE, &[2, 0, 0, 2, 3, 3]),
                record(HANDSHAKE, &[1, 0, 0, 2, 3, 3]),
            ]
            .concat(),
        ),
    ]
}

/// What goes on and on, by its name: each piece of it could be proper.
fn endless() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("ciphers that change", record(CHANGE_CIPHER_SPEC, &[1])),
        ("warnings", record(ALERT, &[1, 100])),
        ("requests to begin", record(HANDSHAKE, &[0, 0, 0, 0])),
        ("empty messages", record(HANDSHAKE, &[])),
        ("empty data", record(APPLICATION_DATA, &[])),
        // The beginning of the longest message, and then ever more of it.
        ("one message", record(HANDSHAKE, &[11; 10_000])),
    ]
}

#[track_caller]
fn assert_no_panic(output: &Output) {
    let said = complaint(output);
    assert!(!said.contains("panicked"), "{said}");
    assert_eq!(said.lines().count(), 4, "{said}");
    assert_eq!(stdout(output), "");
}

#[test]
fn garbage_in_the_handshake_costs_a_client_an_error() {
    let host = Host::new();
    for (name, bytes) in garbage() {
        for client in ["head", "get"] {
            let bytes = bytes.clone();
            let address = serving(move |mut stream| {
                let _ = stream.write_all(&bytes);
                sessions::wait(stream);
            });
            let output = host.ask(client, &address);
            assert_no_panic(&output);
            let what = format!("Error: no secure connection to {address}\n");
            assert!(complaint(&output).starts_with(&what), "{name}");
            assert!(!complaint(&output).contains("nothing came"), "{name}");
        }
    }
}

#[test]
fn garbage_in_the_handshake_costs_the_server_one_line_and_is_answered_with_an_alert() {
    let server = Certified::start();
    for (name, bytes) in garbage() {
        let mut stream = connect(&server);
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = vec![];
        // rustls has no words for one of them.
        if stream.read_to_end(&mut answer).is_ok() && name != "a message that is too long" {
            // A fatal one (RFC 8446, section 6).
            assert!(answer.starts_with(&[ALERT, 3]), "{name}: {answer:?}");
            assert_eq!((answer.len(), answer[5]), (7, 2), "{name}: {answer:?}");
        }
        assert_costs_one_line(&server, &stream, name);
    }
    server.assert_serves();
}

/// Asserts that the next line in the log is about this client, which has not come to shake
/// hands.
#[track_caller]
fn assert_costs_one_line(server: &Certified, stream: &TcpStream, name: &str) {
    let own_address = stream.local_addr().unwrap();
    let log = server.next_log_line();
    let expected = format!("{own_address}: no secure connection: ");
    assert!(log.starts_with(&expected), "{name}: {log}");
    assert!(!log.contains("nothing came"), "{name}: {log}");
}

#[test]
fn a_handshake_without_an_end_costs_a_client_an_error() {
    let host = Host::new();
    for (name, bytes) in endless() {
        for client in ["head", "get"] {
            let bytes = bytes.repeat(100);
            let address =
                serving(move |mut stream| while stream.write_all(&bytes).is_ok() {});
            let output = host.ask(client, &address);
            assert_no_panic(&output);
            let what = format!("Error: no secure connection to {address}\n");
            assert!(complaint(&output).starts_with(&what), "{name}");
            assert!(!complaint(&output).contains("not done after"), "{name}");
        }
    }
}

#[test]
fn a_handshake_without_an_end_costs_the_server_one_line() {
    let server = Certified::start();
    let hello = client_hello();
    for (name, bytes) in endless() {
        for before in [&b""[..], &hello] {
            let mut stream = connect(&server);
            stream.write_all(before).unwrap();
            let bytes = bytes.repeat(100);
            while stream.write_all(&bytes).is_ok() {}
            assert_costs_one_line(&server, &stream, name);
        }
    }
    server.assert_serves();
}

/// Places at which a server's part of the handshake can break off.
fn places() -> impl Iterator<Item = usize> {
    [0, 1, 4, 5, 6].into_iter().chain((50..800).step_by(100))
}

#[test]
fn a_server_that_leaves_in_the_handshake_costs_a_client_an_error() {
    let host = Host::new();
    for length in places() {
        let config = Arc::clone(&host.config);
        let address = serving(move |mut stream| {
            let flight = flight(config, &mut stream);
            stream
                .write_all(&flight[..length.min(flight.len() - 1)])
                .unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            sessions::wait(stream);
        });
        let output = host.ask("get", &address);
        assert_distrusts(&output, &address, "unexpected end of file");
    }
}

#[test]
fn a_server_that_resets_the_connection_in_the_handshake_costs_a_client_an_error() {
    let host = Host::new();
    for length in places() {
        let config = Arc::clone(&host.config);
        let address = serving(move |mut stream| {
            let flight = flight(config, &mut stream);
            stream
                .write_all(&flight[..length.min(flight.len() - 1)])
                .unwrap();
            reset(stream);
        });
        let output = host.ask("get", &address);
        let cause = "Connection reset by peer (os error 104)";
        assert_distrusts(&output, &address, cause);
    }
    // Before anything has been said, too. The client may be about to write, or to read.
    let address = serving(reset);
    let said = complaint(&host.ask("get", &address));
    assert!(said.contains("(os error "), "{said}");
}

/// A client that closes at once, with something left to read, resets the connection, and the
/// server may never learn why.
#[test]
fn a_server_that_is_not_trusted_is_told_so_even_if_it_goes_on_talking() {
    let host = Host::new();
    let (listener, address) = listen();
    let config = Arc::clone(&host.config);
    let served = thread::spawn(move || {
        let mut stream = patient_end(&listener);
        let mut bytes = flight(config, &mut stream);
        bytes.extend([0; 20_000]);
        stream.write_all(&bytes).unwrap();
        let mut last_words = vec![];
        stream.read_to_end(&mut last_words).expect("a proper end");
        last_words
    });
    let output = run("get", &[&address]);
    let cause = "invalid peer certificate: UnknownIssuer";
    assert_distrusts(&output, &address, cause);
    assert_ne!(served.join().unwrap(), b"");
}

#[test]
fn a_server_that_leaves_after_the_handshake_costs_a_client_an_error() {
    let host = Host::new();
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n";
    let whole = format!("{head}body");
    for length in [0, 1, 17, head.len() - 1, head.len(), whole.len() - 1] {
        for is_reset in [false, true] {
            let part = whole[..length].to_string();
            let address = host.serving(move |mut session| {
                session.write_all(part.as_bytes()).unwrap();
                if is_reset {
                    reset(session.sock);
                }
            });
            let output = host.ask("get", &address);
            let what = match length < head.len() {
                true => "no proper answer came",
                false => "the body did not arrive whole",
            };
            let cause = match is_reset {
                true => "Connection reset by peer (os error 104)",
                false => NO_CLOSE_NOTIFY,
            };
            assert_fails(&output, what, cause);
        }
    }
}

/// An end with `close_notify` is proper TLS, and not yet proper HTTP.
#[test]
fn a_server_that_ends_too_soon_as_one_should_costs_a_client_another_error() {
    let host = Host::new();
    for (answer, what, cause) in [
        (
            "",
            "no proper answer came",
            "the stream ended before an answer came",
        ),
        (
            "HTTP/1.1 200 OK\r\n",
            "no proper answer came",
            "the stream ended within the head, which began \"HTTP/1.1 200 OK\\r\\n\"",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody",
            "the body did not arrive whole",
            "the body was cut short: 5 bytes are missing",
        ),
    ] {
        let output = host.ask("get", &host.answering(answer));
        assert_fails(&output, what, cause);
    }
}

#[test]
fn garbage_after_the_handshake_costs_a_client_an_error() {
    let host = Host::new();
    for (name, bytes) in garbage().into_iter().chain(endless()) {
        let address = host.serving(move |mut session| {
            // Into the middle of what is encrypted.
            while session.sock.write_all(&bytes).is_ok() {}
        });
        let output = host.ask("get", &address);
        assert_no_panic(&output);
        let said = complaint(&output);
        assert!(said.starts_with("Error: no proper answer came\n"), "{name}");
        assert!(!said.contains("not done after"), "{name}: {said}");
    }
    // What one has heard cannot be said again.
    let address = host.serving(|mut session| {
        let mut record = Record(vec![]);
        session.conn.writer().write_all(b"HTTP/1.1 ").unwrap();
        session.conn.write_tls(&mut record).unwrap();
        session.sock.write_all(&record.0.repeat(2)).unwrap();
        sessions::wait(session.sock);
    });
    let output = host.ask("get", &address);
    let cause = "cannot decrypt peer's message";
    assert_fails(&output, "no proper answer came", cause);
}

/// What would have gone to the other side.
struct Record(Vec<u8>);

impl Write for Record {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_answer_without_an_end_costs_a_client_an_error() {
    let host = Host::new();
    let no_end = "the head has no end within 16384 bytes";
    let no_line = "the first line has no end within 16384 bytes";
    for (start, endless, what, cause) in [
        ("", "x", "no proper answer came", no_line),
        ("", "\r\n", "no proper answer came", no_line),
        (
            "HTTP/1.1 200 OK\r\n",
            "X: y\r\n",
            "no proper answer came",
            no_end,
        ),
        (
            "",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "no proper answer came",
            "more than 8 interim responses",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "1\r\nx\r\n",
            "the body did not arrive whole",
            "nothing",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "0",
            "the body did not arrive whole",
            "no proper chunk: a line does not end where it should",
        ),
    ] {
        let address = host.serving(move |mut session| {
            session.write_all(start.as_bytes()).unwrap();
            let pieces = endless.repeat(2000);
            while session.write_all(pieces.as_bytes()).is_ok() {}
        });
        if cause == "nothing" {
            // Its 10 MiB would take longer than it is worth. `head` does not read them.
            assert_success(&host.ask("head", &address));
            continue;
        }
        assert_fails(&host.ask("get", &address), what, cause);
    }
}

#[test]
fn a_client_that_leaves_in_the_handshake_at_any_point_costs_the_server_one_line() {
    let server = Certified::start();
    let hello = client_hello();
    for length in 0..=hello.len() {
        let mut stream = connect(&server);
        let own_address = stream.local_addr().unwrap();
        stream.write_all(&hello[..length]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        stream.read_to_end(&mut vec![]).unwrap();
        assert_eq!(
            server.next_log_line(),
            format!("{own_address}: no secure connection: unexpected end of file")
        );
    }
    server.assert_serves();
}

#[test]
fn a_client_that_resets_the_connection_in_the_handshake_costs_the_server_one_line() {
    let server = Certified::start();
    let hello = client_hello();
    for length in (0..=hello.len()).step_by(5).chain([hello.len()]) {
        let mut stream = connect(&server);
        let own_address = stream.local_addr().unwrap();
        stream.write_all(&hello[..length]).unwrap();
        reset(stream);
        let log = server.next_log_line();
        assert!(log.starts_with(&format!("{own_address}: ")), "{log}");
        assert!(log.contains("(os error "), "{log}");
    }
    server.assert_serves();
}

#[test]
fn a_client_that_leaves_after_the_handshake_costs_the_server_one_line() {
    let server = Certified::start();
    for length in [0, 1, 15, REQUEST.len() - 1] {
        for end in ["close_notify", "nothing", "reset"] {
            let mut session = server.session();
            let own_address = session.sock.local_addr().unwrap();
            session.write_all(&REQUEST.as_bytes()[..length]).unwrap();
            match end {
                "close_notify" => {
                    session.conn.send_close_notify();
                    session.flush().unwrap();
                    session.read_to_end(&mut vec![]).unwrap();
                }
                "nothing" => session.sock.shutdown(Shutdown::Write).unwrap(),
                _ => reset(session.sock),
            }
            let cause = match (end, length) {
                ("close_notify", 0) => "left without a request".into(),
                ("close_notify", _) => format!(
                    "the stream ended within the head, which began \"{}\"",
                    REQUEST[..length.min(24)].escape_default()
                ),
                ("nothing", _) => NO_CLOSE_NOTIFY.into(),
                _ => "Connection reset by peer (os error 104)".into(),
            };
            // The end of a client's part of the handshake may be lost by a reset.
            let log = server.next_log_line();
            let log = match end {
                "reset" => log.replace("no secure connection: ", ""),
                _ => log,
            };
            assert_eq!(log, format!("{own_address}: {cause}"));
        }
    }
    server.assert_serves();
}

#[test]
fn a_client_that_resets_the_connection_while_it_is_answered_costs_the_server_one_line() {
    let server = Certified::start();
    for _ in 0..10 {
        let mut session = server.session();
        session
            .write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
        session.read_exact(&mut [0]).unwrap();
        reset(session.sock);
        assert!(server.next_log_line().ends_with(": GET /slow: 200 OK"));
    }
    server.assert_serves();
}

#[test]
fn garbage_after_the_handshake_costs_the_server_one_line() {
    let server = Certified::start();
    for (name, bytes) in garbage().into_iter().chain(endless()) {
        let mut session = server.session();
        let own_address = session.sock.local_addr().unwrap();
        while session.sock.write_all(&bytes).is_ok() {}
        let log = server.next_log_line();
        assert!(log.starts_with(&format!("{own_address}: ")), "{log}");
        assert!(!log.contains("not done"), "{name}: {log}");
    }
    server.assert_serves();
}

#[test]
fn a_request_without_an_end_costs_the_server_one_line() {
    let server = Certified::start();
    for (endless, expected) in [
        ("x", "414 URI Too Long"),
        ("GET / HTTP/1.1\r\n", "431 Request Header Fields Too Large"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000000\r\n\r\n",
            "POST /: 405 Method Not Allowed",
        ),
    ] {
        let mut session = server.session();
        let pieces = endless.repeat(1000);
        while session.write_all(pieces.as_bytes()).is_ok() {}
        let log = server.next_log_line();
        assert!(log.contains(&format!(": {expected}")), "{log}");
    }
    server.assert_serves();
}

/// Sends one byte a second to each of them until the sender is dropped.
fn dribble(mut streams: Vec<Box<dyn Write + Send>>) -> Sender<()> {
    let (stop, clock) = mpsc::channel();
    thread::spawn(move || {
        for byte in client_hello().into_iter().chain([b'x'; 100]) {
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
    let hello = client_hello();
    match kind {
        0 => while stream.write_all(&[0xff; 10_000]).is_ok() {},
        1 => {
            let _ = stream.write_all(REQUEST.as_bytes());
            let _ = stream.read_to_end(&mut vec![]);
        }
        2 => {
            let endless = record(HANDSHAKE, &[1; 10_000]);
            while stream.write_all(&endless).is_ok() {}
        }
        3 => {
            let _ = stream.write_all(&hello[..hello.len() / 2]);
            reset(stream);
        }
        4 => {
            let _ = stream.write_all(&hello);
            let _ = stream.read(&mut [0]);
            reset(stream);
        }
        _ => {
            let _ = stream.write_all(&hello);
            while stream.write_all(&record(CHANGE_CIPHER_SPEC, &[1])).is_ok() {}
        }
    }
}

#[test]
fn two_hundred_hostile_peers_do_not_keep_an_honest_client_from_its_answer() {
    let server = Certified::start();
    #[cfg(target_os = "linux")]
    let process = Process::started_last();
    #[cfg(target_os = "linux")]
    let before = process.threads_and_files();

    let mut lines: HashMap<SocketAddr, usize> = HashMap::new();
    let (mut waiting, mut slow, mut busy) =
        (vec![], Vec::<Box<dyn Write + Send>>::new(), vec![]);
    let hello = client_hello();
    for number in 0..CROWD {
        // Every tenth has shaken hands before it begins.
        if number % 10 == 9 {
            let session = server.session();
            lines.insert(session.sock.local_addr().unwrap(), 0);
            if number % 20 == 9 {
                slow.push(Box::new(session));
            } else {
                waiting.push(session.sock);
            }
            continue;
        }
        let mut stream = connect(&server);
        lines.insert(stream.local_addr().unwrap(), 0);
        match number % 5 {
            0 => waiting.push(stream),
            1 => {
                stream.write_all(&hello[..hello.len() / 2]).unwrap();
                waiting.push(stream);
            }
            2 => slow.push(Box::new(stream)),
            _ => busy.push(thread::spawn(move || misbehave(stream, number / 5 % 6))),
        }
    }
    let slow = dribble(slow);

    let output = server.ask("get", "/greetings");
    assert_success(&output);
    assert_eq!(rest(&output), GREETINGS, "{}", stderr(&output));

    // They have been there all the time, then.
    for stream in &mut waiting {
        stream.set_nonblocking(true).unwrap();
        let mut buffer = [0; 1000];
        let error = loop {
            match stream.read(&mut buffer) {
                // TLS has something to say, even to those that say nothing.
                Ok(1..) => {}
                Ok(0) => panic!("the server has had enough of a peer"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
    drop((waiting, slow));
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
                assert!(log.ends_with(": GET /greetings: 200 OK"), "{log}");
                honest += 1;
            }
        }
    }
    assert_eq!(honest, 1);
    assert!(lines.values().all(|count| *count == 1), "{lines:?}");
    server.assert_serves();

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
    let server = Certified::start();
    let mut sessions: Vec<_> = (0..CROWD / 2).map(|_| server.session()).collect();
    for session in &mut sessions {
        session.write_all(REQUEST.as_bytes()).unwrap();
    }
    for mut session in sessions {
        let mut reply = String::new();
        session.read_to_string(&mut reply).expect("a proper end");
        assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
    }
}
