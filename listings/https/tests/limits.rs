//! Every limit, through TLS: what is within it goes well, what is beyond it does not.

mod programs;
mod sessions;

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::Output;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use https::connection::{CLIENT, CONNECT_TIMEOUT, Connection, Limits, SERVER};
use https::message::{HEAD_LIMIT, HEADER_LIMIT};
use https::response::BODY_LIMIT;
use https::site::REQUEST_LIMIT;
use https::tls;
use sessions::{
    Certified, Host, Session, assert_distrusts, assert_fails, assert_success, client_hello,
    complaint, connect, finish, flight, listen, patient_end, read_head, read_once, rest,
    serving, stderr, stdout, wait,
};

/// As in `src/bin/server.rs`.
const CONNECTION_LIMIT: usize = 500;

/// A limit that is soon reached.
const SOON: Duration = Duration::from_millis(200);
/// A limit that is not reached in a test.
const NEVER: Duration = Duration::from_secs(600);

/// How slowly a slow peer sends: often enough not to be taken for a silent one, even if the
/// machine is busy.
const DRIBBLE: Duration = Duration::from_millis(500);
/// How often that is tried.
const ATTEMPTS: usize = 3;

/// `start`, then a header that makes the head just so long.
fn head_of(length: usize, start: &str) -> Vec<u8> {
    let mut head = format!("{start}X: ").into_bytes();
    head.resize(length - 4, b'x');
    head.extend_from_slice(b"\r\n\r\n");
    head
}

/// `start`, then so many headers.
fn headers_of(count: usize, start: &str) -> String {
    format!("{start}{}\r\n", "X: y\r\n".repeat(count))
}

/// The server's end of a new connection, with these limits, and the client's.
fn ends(limits: Limits) -> (Connection, TcpStream) {
    let (listener, address) = listen();
    let client = TcpStream::connect(address).unwrap();
    let (stream, _) = listener.accept().unwrap();
    (Connection::accepted(stream, limits).unwrap(), client)
}

/// Sends one byte after another, slowly, until the peer has had enough.
fn dribble(stream: &mut impl Write, bytes: impl Iterator<Item = u8>) {
    // Nobody ever sends anything here: it is a clock.
    let (_sender, clock) = mpsc::channel::<()>();
    for byte in bytes {
        if stream
            .write_all(&[byte])
            .and_then(|()| stream.flush())
            .is_err()
        {
            break;
        }
        let _ = clock.recv_timeout(DRIBBLE);
    }
}

#[test]
fn head_limit_of_a_response() {
    let host = Host::new();
    let start = "HTTP/1.1 200 OK\r\n";
    let cause = format!("the head has no end within {HEAD_LIMIT} bytes");
    for client in ["head", "get"] {
        let within = host.answering(head_of(HEAD_LIMIT, start));
        assert_success(&host.ask(client, &within));
        let beyond = host.answering(head_of(HEAD_LIMIT + 1, start));
        assert_fails(&host.ask(client, &beyond), "no proper answer came", &cause);
    }
}

#[test]
fn header_limit_of_a_response() {
    let host = Host::new();
    let start = "HTTP/1.1 200 OK\r\n";
    let cause = format!("no HTTP response head: more than {HEADER_LIMIT} headers");
    for client in ["head", "get"] {
        let within = host.answering(headers_of(HEADER_LIMIT, start));
        assert_success(&host.ask(client, &within));
        let beyond = host.answering(headers_of(HEADER_LIMIT + 1, start));
        assert_fails(&host.ask(client, &beyond), "no proper answer came", &cause);
    }
}

#[test]
fn body_limit_in_each_of_the_three_ways_in_which_a_body_ends() {
    let host = Host::new();
    let cause = format!("the body has more than {BODY_LIMIT} bytes");
    let body = |session: &mut Session, mut left: u64| {
        let piece = [b'x'; 16 * 1024];
        while left > 0 {
            let length = left.min(piece.len() as u64);
            if session.write_all(&piece[..length as usize]).is_err() {
                return;
            }
            left -= length;
        }
    };
    for length in [BODY_LIMIT, BODY_LIMIT + 1] {
        let heads = [
            (format!("Content-Length: {length}\r\n\r\n"), ""),
            (
                format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n"),
                "\r\n0\r\n\r\n",
            ),
            ("\r\n".into(), ""),
        ];
        for (number, (head, end)) in heads.into_iter().enumerate() {
            let address = host.serving(move |mut session| {
                let head = format!("HTTP/1.1 200 OK\r\n{head}");
                session.write_all(head.as_bytes()).unwrap();
                body(&mut session, length);
                let _ = session.write_all(end.as_bytes());
                finish(session);
            });
            let output = host.ask("get", &address);
            if length == BODY_LIMIT {
                assert_success(&output);
                assert_eq!(rest(&output).len() as u64, BODY_LIMIT);
                continue;
            }
            let what = match number {
                // Its head says that it is too long.
                0 => "the body cannot be read",
                _ => "the body did not arrive whole",
            };
            assert_fails(&output, what, &cause);
            let printed = if number == 2 { BODY_LIMIT } else { 0 };
            assert_eq!(rest(&output).len() as u64, printed);
        }
    }
}

#[test]
fn head_limit_and_header_limit_of_a_request() {
    let server = Certified::start();
    let start = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
    for (request, is_within) in [
        (head_of(HEAD_LIMIT, start), true),
        (head_of(HEAD_LIMIT + 1, start), false),
        (head_of(3 * HEAD_LIMIT, start), false),
        (headers_of(HEADER_LIMIT - 2, start).into(), true),
        (headers_of(HEADER_LIMIT - 1, start).into(), false),
    ] {
        let reply = server.reply(request);
        let expected = match is_within {
            true => "200 OK",
            false => "431 Request Header Fields Too Large",
        };
        assert!(
            reply.starts_with(&format!("HTTP/1.1 {expected}\r\n")),
            "{reply}"
        );
        let log = server.next_log_line();
        assert!(log.contains(&format!(": {expected}")), "{log}");
    }
}

#[test]
fn request_limit() {
    let server = Certified::start();
    let request = "GET /moved HTTP/1.1\r\nHost: a\r\n\r\n";
    let replies = server.reply(request.repeat(REQUEST_LIMIT + 1));
    assert_eq!(replies.matches("HTTP/1.1 301 ").count(), REQUEST_LIMIT);
    assert_eq!(replies.matches("Connection: close\r\n").count(), 1);
    assert!(replies.ends_with("Connection: close\r\n\r\n301 Moved Permanently\n"));
}

/// They need not even begin to shake hands.
#[test]
fn connection_limit() {
    let server = Certified::start();
    let mut kept: Vec<TcpStream> =
        (0..CONNECTION_LIMIT).map(|_| connect(&server)).collect();
    let mut one_too_many = connect(&server);
    let own_address = one_too_many.local_addr().unwrap();
    let log = server.next_log_line();
    assert_eq!(log, format!("{own_address}: too many connections"));
    assert_eq!(read_once(&mut one_too_many, &mut [0]).unwrap(), 0);

    // There is room when one has left, and has been seen to leave.
    let leaving = kept.pop().unwrap();
    let address = leaving.local_addr().unwrap();
    drop(leaving);
    let log = server.next_log_line();
    assert!(log.starts_with(&format!("{address}: ")), "{log}");
    let began = Instant::now();
    loop {
        let output = server.ask("head", "");
        let log = server.next_log_line();
        if output.status.success() {
            assert!(log.ends_with(": HEAD /: 200 OK"), "{log}");
            break;
        }
        assert!(log.ends_with(": too many connections"), "{log}");
        assert!(began.elapsed() < programs::DEADLINE, "there is no room");
    }
}

#[test]
fn pause_of_a_handshake() {
    let limits = Limits {
        pause: SOON,
        total: NEVER,
    };
    let host = Host::new();
    let hello = client_hello();
    for length in [0, 1, 5, hello.len() / 2, hello.len()] {
        let (mut connection, mut client) = ends(limits);
        client.write_all(&hello[..length]).unwrap();
        let error = tls::accept(&mut connection, &host.config).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(error.to_string(), format!("nothing came for {SOON:?}"));
    }
}

#[test]
fn total_of_a_handshake() {
    let limits = Limits {
        pause: NEVER,
        total: SOON,
    };
    let host = Host::new();
    let (mut connection, mut client) = ends(limits);
    let hello = client_hello();
    thread::spawn(move || dribble(&mut client, hello.into_iter()));
    let error = tls::accept(&mut connection, &host.config).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(error.to_string(), format!("not done after {SOON:?}"));

    let (listener, address) = listen();
    let port = address.rsplit_once(':').unwrap().1.parse().unwrap();
    let connection = Connection::open("127.0.0.1", port, limits).unwrap();
    let mut server = patient_end(&listener);
    let roots = tls::roots(Some(host.ca.as_ref())).unwrap();
    let client = thread::spawn(move || tls::connect(connection, "localhost", roots));
    let flight = flight(Arc::clone(&host.config), &mut server);
    dribble(&mut server, flight.into_iter());
    let error = client.join().unwrap().expect_err("no time is left");
    assert_eq!(error.to_string(), format!("not done after {SOON:?}"));
}

#[test]
fn pause_of_the_clients_after_the_handshake() {
    let host = Host::new();
    thread::scope(|scope| {
        for client in ["head", "get"] {
            for answer in ["", "HTTP/1.1 200 OK\r\nX"] {
                let host = &host;
                scope.spawn(move || {
                    let address = host.serving(move |mut session| {
                        session.write_all(answer.as_bytes()).unwrap();
                        wait(session.sock);
                    });
                    let output = host.ask(client, &address);
                    let cause = format!("nothing came for {:?}", CLIENT.pause);
                    assert_fails(&output, "no proper answer came", &cause);
                });
            }
        }
    });
}

/// What a client says that has waited as long as it may.
fn not_done() -> String {
    format!("not done after {:?}", CLIENT.total)
}

/// Has a client ask a slow server; returns the server's address and what came of it.
#[track_caller]
fn costs_the_total(
    host: &Host,
    client: &str,
    start: impl Fn() -> String,
) -> (String, Output) {
    let mut attempts = 1;
    loop {
        let began = Instant::now();
        let address = start();
        let output = host.ask(client, &address);
        // If the whole machine stands still, who is slow has been silent.
        let pause = format!("nothing came for {:?}", CLIENT.pause);
        if attempts < ATTEMPTS && stderr(&output).contains(&pause) {
            attempts += 1;
            continue;
        }
        assert!(began.elapsed() >= CLIENT.total, "{}", stderr(&output));
        return (address, output);
    }
}

/// All at the same time, since each takes as long as it may. Its name makes this one of the
/// first tests to be started.
#[test]
fn a_server_that_does_not_come_to_an_end_costs_a_client_its_deadline_and_an_error() {
    let host = Host::new();
    let host = &host;
    thread::scope(|scope| {
        for client in ["head", "get"] {
            // One byte at a time, in the handshake.
            scope.spawn(move || {
                let (address, output) = costs_the_total(host, client, || {
                    let config = Arc::clone(&host.config);
                    serving(move |mut stream| {
                        let flight = flight(config, &mut stream);
                        dribble(&mut stream, flight.into_iter());
                    })
                });
                let what = format!("no secure connection to {address}");
                assert_fails(&output, &what, &not_done());
                assert_eq!(stdout(&output), "");
            });
            // And in the head.
            scope.spawn(move || {
                let (_, output) = costs_the_total(host, client, || {
                    host.serving(|mut session| {
                        let head = b"HTTP/1.1 200 OK\r\n".iter().copied().cycle();
                        dribble(&mut session, head);
                    })
                });
                assert_fails(&output, "no proper answer came", &not_done());
            });
            // Nothing but new keys: TLS is busy, and HTTP has got nothing.
            scope.spawn(move || {
                let (_, output) = costs_the_total(host, client, || {
                    host.serving(|mut session| {
                        let (_sender, clock) = mpsc::channel::<()>();
                        while session.conn.refresh_traffic_keys().is_ok()
                            && session.flush().is_ok()
                        {
                            let _ = clock.recv_timeout(DRIBBLE);
                        }
                    })
                });
                assert_fails(&output, "no proper answer came", &not_done());
            });
        }
        // And in the body.
        scope.spawn(move || {
            let (_, output) = costs_the_total(host, "get", || {
                host.serving(|mut session| {
                    session.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                    dribble(&mut session, std::iter::repeat(b'x'));
                })
            });
            assert_fails(&output, "the body did not arrive whole", &not_done());
            assert!(rest(&output).starts_with("xxx"), "{}", stderr(&output));
        });
        #[cfg(target_os = "linux")]
        scope.spawn(move || {
            let (_listener, address, _waiting) = full();
            let began = Instant::now();
            let said = complaint(&host.ask("get", &address));
            assert!(began.elapsed() >= CONNECT_TIMEOUT, "{:?}", began.elapsed());
            let expected = format!("Error: cannot connect to {address}\n");
            assert!(said.starts_with(&expected), "{said}");
            assert!(said.contains("timed out"), "{said}");
        });
    });
}

/// A listener whose backlog is full takes no connections and refuses none.
#[cfg(target_os = "linux")]
fn full() -> (std::net::TcpListener, String, Vec<TcpStream>) {
    let (listener, address) = listen();
    let to = address.parse().unwrap();
    let mut waiting = vec![];
    while let Ok(stream) = TcpStream::connect_timeout(&to, SOON) {
        waiting.push(stream);
    }
    (listener, address, waiting)
}

#[test]
fn pause_of_the_clients_in_the_handshake() {
    let host = Host::new();
    let cause = format!("nothing came for {:?}", CLIENT.pause);
    let (cause, host) = (&cause, &host);
    thread::scope(|scope| {
        for client in ["head", "get"] {
            for length in [0, 1, 5, 100, 500] {
                scope.spawn(move || {
                    let config = Arc::clone(&host.config);
                    let address = serving(move |mut stream| {
                        let flight = flight(config, &mut stream);
                        stream.write_all(&flight[..length]).unwrap();
                        wait(stream);
                    });
                    assert_distrusts(&host.ask(client, &address), &address, cause);
                });
            }
        }
    });
}

#[test]
#[ignore = "needs ten seconds"]
fn pause_of_the_program_server() {
    let server = Certified::start();
    let began = Instant::now();
    // One is silent from the beginning, the other when hands have been shaken.
    let mut silent = connect(&server);
    let mut secure = server.session();
    let mut reply = String::new();
    secure.read_to_string(&mut reply).unwrap();
    assert!(
        reply.starts_with("HTTP/1.1 408 Request Timeout\r\n"),
        "{reply}"
    );
    assert_eq!(read_once(&mut silent, &mut [0]).unwrap(), 0);
    let almost = SERVER.pause - Duration::from_secs(1);
    assert!(began.elapsed() >= almost, "{:?}", began.elapsed());
    let mut lines = [server.next_log_line(), server.next_log_line()];
    lines.sort_by_key(String::len);
    let cause = "nothing came for 10s";
    let [in_head, in_handshake] = lines;
    assert!(
        in_head.ends_with(&format!(": 408 Request Timeout: {cause}")),
        "{in_head}"
    );
    assert!(
        in_handshake.ends_with(&format!(": no secure connection: {cause}")),
        "{in_handshake}"
    );
}

#[test]
#[ignore = "needs half a minute"]
fn total_of_the_program_server() {
    let server = Certified::start();
    let began = Instant::now();
    let mut in_handshake = connect(&server);
    let handshake = thread::spawn(move || {
        // A record that announces more than it takes to fill half a minute.
        let hello = client_hello().into_iter();
        dribble(&mut in_handshake, hello.take(100));
    });
    let mut session = server.session();
    let request = b"GET / HTTP/1.1\r\nX: ".iter().copied();
    dribble(&mut session, request.chain(std::iter::repeat(b'x')));
    handshake.join().unwrap();
    let almost = SERVER.total - Duration::from_secs(1);
    assert!(began.elapsed() >= almost, "{:?}", began.elapsed());
    for _ in 0..2 {
        let log = server.next_log_line();
        assert!(log.ends_with("not done after 30s"), "{log}");
    }
}

/// That the helpers above do what they say.
#[test]
fn heads_are_as_long_as_they_should_be() {
    let head = head_of(100, "GET / HTTP/1.1\r\n");
    assert_eq!(head.len(), 100);
    assert_eq!(read_head(&mut &head[..]).len(), 100);
    assert_eq!(headers_of(3, "").lines().count(), 4);
    assert!(client_hello().len() > 100);
}
