//! Every limit, by its name: what is within it goes well, what is beyond it does not.

mod conversation;
mod programs;

use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
#[cfg(target_os = "linux")]
use std::net::{SocketAddr, TcpListener};
use std::process::Output;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use conversation::{
    Reply, answering, assert_fails, connect, listen, read_head, read_once, serving, stderr,
    stdout,
};
use http::connection::{CONNECT_TIMEOUT, Connection, LINGER_LIMIT, LINGER_TIMEOUT, Limits};
use http::message::{HEAD_LIMIT, HEADER_LIMIT};
use http::response::{BODY_LIMIT, CHUNK_LINE_LIMIT, INTERIM_LIMIT, Response};
use http::site::{self, REQUEST_LIMIT};
use programs::{DEADLINE, Server, run};

/// As in `src/bin/server.rs`.
const CONNECTION_LIMIT: usize = 500;

/// A limit that is soon reached.
const SOON: Duration = Duration::from_millis(200);
/// A limit that is not reached in a test.
const NEVER: Duration = Duration::from_secs(60);

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

/// What the body of a response comes to: its length, or what is wrong with it.
fn length_of(response: impl Read) -> Result<u64, String> {
    let mut reader = BufReader::new(response);
    let body = Response::read(&mut reader).and_then(|head| head.body(&mut reader));
    body.and_then(|mut body| io::copy(&mut body, &mut io::sink()))
        .map_err(|error| error.to_string())
}

/// The two ends of a connection; ours has these limits.
fn ends(limits: Limits) -> (Connection, TcpStream) {
    let (listener, address) = listen();
    let peer = TcpStream::connect(address).unwrap();
    let (stream, _) = listener.accept().unwrap();
    (Connection::accepted(stream, limits).unwrap(), peer)
}

/// Serves one connection as the server does, but with these limits. The client has sent
/// `start` before they begin to count.
fn serve(limits: Limits, start: &str) -> (TcpStream, JoinHandle<()>) {
    let (listener, address) = listen();
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    client.write_all(start.as_bytes()).unwrap();
    let thread = thread::spawn(move || {
        let (stream, peer) = listener.accept().unwrap();
        let mut connection = Connection::accepted(stream, limits).unwrap();
        site::serve(&mut connection, peer);
        connection.close();
    });
    (client, thread)
}

/// Sends one byte after another, slowly, until the peer has had enough.
fn dribble(mut stream: TcpStream, mut bytes: impl Iterator<Item = u8>) {
    // Nobody ever sends anything here: it is a clock.
    let (_sender, clock) = mpsc::channel::<()>();
    while stream.write_all(&[bytes.next().unwrap()]).is_ok() {
        let _ = clock.recv_timeout(DRIBBLE);
    }
}

#[test]
fn head_limit_of_a_response() {
    let start = "HTTP/1.1 200 OK\r\n";
    let response = Response::read(&mut &head_of(HEAD_LIMIT, start)[..]).unwrap();
    assert_eq!(response.text.len(), HEAD_LIMIT - "\r\n\r\n\r".len());

    let output = run("head", &[&answering(head_of(HEAD_LIMIT, start))]);
    assert!(output.status.success(), "{}", stderr(&output));
    let output = run("head", &[&answering(head_of(HEAD_LIMIT + 1, start))]);
    let cause = format!("the head has no end within {HEAD_LIMIT} bytes");
    assert_fails(&output, &cause);
}

#[test]
fn head_limit_of_a_request() {
    let start = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
    let server = Server::start("server");
    let reply = Reply::to(&server, head_of(HEAD_LIMIT, start));
    assert_eq!(reply.status(), "200 OK");
    server.next_log_line();

    // Far more than is read of it must not cost the client its answer, either.
    for length in [HEAD_LIMIT + 1, 4 * HEAD_LIMIT] {
        let reply = Reply::to(&server, head_of(length, start));
        assert_eq!(reply.status(), "431 Request Header Fields Too Large");
        assert_eq!(reply.header("Connection"), Some("close"));
        let log = server.next_log_line();
        let cause = format!("the head has no end within {HEAD_LIMIT} bytes");
        assert!(log.ends_with(&cause), "{log}");
    }
    let reply = Reply::to(&server, format!("GET /{} HTTP/1.1", "a".repeat(HEAD_LIMIT)));
    assert_eq!(reply.status(), "414 URI Too Long");
}

#[test]
fn head_limit_of_what_follows_the_last_chunk() {
    let start = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
    let within = [start.as_bytes(), &head_of(HEAD_LIMIT, "")].concat();
    assert_eq!(length_of(&within[..]), Ok(0));
    let within = [
        start.as_bytes(),
        &head_of(HEAD_LIMIT, "A: b\r\nC: \u{fc}\r\n"),
    ]
    .concat();
    assert_eq!(length_of(&within[..]), Ok(0));
    for more in ["", "A: b\r\nC: \u{fc}\r\n"] {
        let beyond = [start.as_bytes(), &head_of(HEAD_LIMIT + 1, more)].concat();
        let error = length_of(&beyond[..]).unwrap_err();
        assert!(error.starts_with("no proper chunk"), "{error}");
    }
}

#[test]
fn header_limit_of_a_response() {
    let start = "HTTP/1.1 200 OK\r\n";
    let output = run("head", &[&answering(headers_of(HEADER_LIMIT, start))]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output).lines().count(), 1 + HEADER_LIMIT);
    let output = run("head", &[&answering(headers_of(HEADER_LIMIT + 1, start))]);
    assert_fails(&output, &format!("more than {HEADER_LIMIT} headers"));
}

#[test]
fn header_limit_of_a_request() {
    let start = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
    let server = Server::start("server");
    let reply = Reply::to(&server, headers_of(HEADER_LIMIT - 2, start));
    assert_eq!(reply.status(), "200 OK");
    server.next_log_line();

    let reply = Reply::to(&server, headers_of(HEADER_LIMIT - 1, start));
    assert_eq!(reply.status(), "431 Request Header Fields Too Large");
    let log = server.next_log_line();
    let cause = format!("more than {HEADER_LIMIT} headers");
    assert!(log.ends_with(&cause), "{log}");
}

#[test]
fn body_limit_where_the_head_says_how_long_it_is() {
    let response = |length| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        length_of(io::Cursor::new(head).chain(io::repeat(b'x')))
    };
    assert_eq!(response(BODY_LIMIT), Ok(BODY_LIMIT));
    let error = format!("the body has more than {BODY_LIMIT} bytes");
    assert_eq!(response(BODY_LIMIT + 1), Err(error));
}

#[test]
fn body_limit_of_all_chunks_together() {
    let chunk = |size| io::repeat(b'x').take(size).chain(&b"\r\n"[..]);
    let response = |last: u64| {
        let half = BODY_LIMIT / 2;
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let response = io::Cursor::new(format!("{head}{half:x}\r\n"))
            .chain(chunk(half))
            .chain(io::Cursor::new(format!("{last:x}\r\n")))
            .chain(chunk(last))
            .chain(&b"0\r\n\r\n"[..]);
        length_of(response)
    };
    assert_eq!(response(BODY_LIMIT / 2), Ok(BODY_LIMIT));
    let error = format!("the body has more than {BODY_LIMIT} bytes");
    assert_eq!(response(BODY_LIMIT / 2 + 1), Err(error));
}

#[test]
fn body_limit_where_the_stream_ends_with_it() {
    let response = |length| {
        let head = "HTTP/1.1 200 OK\r\n\r\n".as_bytes();
        length_of(head.chain(io::repeat(b'x').take(length)))
    };
    assert_eq!(response(BODY_LIMIT), Ok(BODY_LIMIT));
    let error = format!("the body has more than {BODY_LIMIT} bytes");
    assert_eq!(response(BODY_LIMIT + 1), Err(error));
}

#[test]
fn body_limit_of_the_program_raw() {
    let address = serving(|mut stream| while stream.write_all(&[b'x'; 65536]).is_ok() {});
    let output = run("raw", &[&address, r"\r\n\r\n"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout.len() as u64, BODY_LIMIT);
    let complaint = format!("Error: the answer has no end within {BODY_LIMIT} bytes\n");
    assert_eq!(stderr(&output), complaint);
}

#[test]
fn chunk_line_limit() {
    let response = |length: u64| {
        let extension = "x".repeat(length as usize - "1;\r\n".len());
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let chunks = format!("1;{extension}\r\nx\r\n0\r\n\r\n");
        length_of(io::Cursor::new(format!("{head}{chunks}")))
    };
    assert_eq!(response(CHUNK_LINE_LIMIT), Ok(1));
    let error = response(CHUNK_LINE_LIMIT + 1).unwrap_err();
    assert!(error.starts_with("no proper chunk"), "{error}");
}

#[test]
fn interim_limit() {
    let answer =
        |count| "HTTP/1.1 100 Continue\r\n\r\n".repeat(count) + "HTTP/1.1 200 OK\r\n\r\n";
    let output = run("head", &[&answering(answer(INTERIM_LIMIT))]);
    assert_eq!(stdout(&output), "HTTP/1.1 200 OK\n", "{}", stderr(&output));
    let output = run("head", &[&answering(answer(INTERIM_LIMIT + 1))]);
    assert_fails(
        &output,
        &format!("more than {INTERIM_LIMIT} interim responses"),
    );
}

/// A listener whose backlog is full takes no connections and refuses none.
#[cfg(target_os = "linux")]
fn full() -> (TcpListener, SocketAddr, Vec<TcpStream>) {
    let (listener, _) = listen();
    let address = listener.local_addr().unwrap();
    let mut waiting = vec![];
    while let Ok(stream) = TcpStream::connect_timeout(&address, SOON) {
        waiting.push(stream);
    }
    (listener, address, waiting)
}

#[cfg(target_os = "linux")]
#[test]
fn connect_timeout() {
    let (_listener, address, _waiting) = full();
    let began = Instant::now();
    let output = run("head", &[&address.to_string()]);
    assert!(began.elapsed() >= CONNECT_TIMEOUT, "{:?}", began.elapsed());
    assert_fails(&output, &format!("cannot connect to {address}"));
    assert_fails(&output, "timed out");
    assert!(
        began.elapsed() < CONNECT_TIMEOUT * 2,
        "{:?}",
        began.elapsed()
    );
}

#[cfg(target_os = "linux")]
#[test]
fn total_includes_connecting() {
    let (_listener, address, _waiting) = full();
    let limits = Limits {
        pause: NEVER,
        total: SOON,
    };
    let began = Instant::now();
    let error = Connection::open("127.0.0.1", address.port(), limits).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(began.elapsed() >= SOON, "{:?}", began.elapsed());
    assert!(began.elapsed() < CONNECT_TIMEOUT, "{:?}", began.elapsed());
}

#[test]
fn pause_of_a_read() {
    let limits = Limits {
        pause: SOON,
        total: NEVER,
    };
    let (mut connection, mut peer) = ends(limits);
    peer.write_all(b"x").unwrap();
    assert_eq!(connection.read(&mut [0; 9]).unwrap(), 1);
    let error = connection.read(&mut [0; 9]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(error.to_string(), format!("nothing came for {SOON:?}"));
}

#[test]
fn pause_of_a_write() {
    let limits = Limits {
        pause: SOON,
        total: NEVER,
    };
    let (mut connection, _peer) = ends(limits);
    let error = connection.write_all(&vec![b'x'; 100_000_000]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(
        error.to_string(),
        format!("nothing could be sent for {SOON:?}")
    );
}

#[test]
fn total_of_reads_of_which_none_has_to_wait() {
    let limits = Limits {
        pause: NEVER,
        total: SOON,
    };
    let (mut connection, mut peer) = ends(limits);
    thread::spawn(move || while peer.write_all(&[b'x'; 1000]).is_ok() {});
    let error = io::copy(&mut connection, &mut io::sink()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(error.to_string(), format!("not done after {SOON:?}"));
}

#[test]
fn total_of_writes_of_which_none_has_to_wait() {
    let limits = Limits {
        pause: NEVER,
        total: SOON,
    };
    let (mut connection, mut peer) = ends(limits);
    thread::spawn(move || io::copy(&mut peer, &mut io::sink()));
    let error = io::copy(&mut io::repeat(b'x'), &mut connection).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(error.to_string(), format!("not done after {SOON:?}"));
}

#[test]
fn total_of_one_read_and_of_one_write_that_wait() {
    let limits = Limits {
        pause: NEVER,
        total: SOON,
    };
    let (mut connection, _peer) = ends(limits);
    let error = connection.read(&mut [0]).unwrap_err();
    assert_eq!(error.to_string(), format!("not done after {SOON:?}"));
    let (mut connection, _peer) = ends(limits);
    let error = connection.write_all(&vec![b'x'; 100_000_000]).unwrap_err();
    assert_eq!(error.to_string(), format!("not done after {SOON:?}"));
}

#[test]
fn pause_of_the_program_head() {
    let address = serving(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        let _ = stream.read(&mut [0]);
    });
    assert_fails(&run("head", &[&address]), "nothing came for 2s");
}

/// Its name makes it the first one to be started: it takes the longest.
#[test]
fn a_server_that_sends_byte_after_byte_costs_the_program_head_its_total() {
    let ask = || {
        let head = b"HTTP/1.1 200 OK\r\n".iter().copied().cycle();
        let address = serving(|stream| dribble(stream, head));
        let began = Instant::now();
        (run("head", &[&address]), began.elapsed())
    };
    // If the whole machine stands still, who is slow has been silent.
    let was_silent = |output: &Output| stderr(output).contains("nothing came for 2s");
    let mut attempts = 1;
    let (mut output, mut took) = ask();
    while attempts < ATTEMPTS && was_silent(&output) {
        attempts += 1;
        (output, took) = ask();
    }
    assert_fails(&output, "not done after 10s");
    assert!(took >= Duration::from_secs(10), "{took:?}");
}

#[test]
fn pause_of_a_request() {
    let limits = Limits {
        pause: SOON,
        total: NEVER,
    };
    let (mut client, served) = serve(limits, "GET / HTTP/1.1\r\nHost: a\r\n");
    let reply = Reply::last(&mut client);
    assert_eq!(reply.status(), "408 Request Timeout");
    assert_eq!(reply.header("Connection"), Some("close"));
    drop(client);
    served.join().unwrap();
}

/// After an answer, a client that wants no more is not answered again: it could take that for
/// the answer to a request that it is about to send.
#[test]
fn pause_after_an_answer() {
    let limits = Limits {
        pause: SOON,
        total: NEVER,
    };
    let (mut client, served) = serve(limits, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(Reply::next(&mut client).status(), "200 OK");
    assert_eq!(read_once(&mut client, &mut [0]).unwrap(), 0);
    drop(client);
    served.join().unwrap();
}

#[test]
fn total_of_a_connection_that_brings_one_request_after_another() {
    let limits = Limits {
        pause: NEVER,
        total: Duration::from_secs(1),
    };
    let (mut client, served) = serve(limits, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(Reply::next(&mut client).status(), "200 OK");
    assert_eq!(read_once(&mut client, &mut [0]).unwrap(), 0);
    served.join().unwrap();
}

#[test]
#[ignore = "needs ten seconds"]
fn pause_of_the_program_server() {
    let server = Server::start("server");
    let mut silent = connect(&server);
    let began = Instant::now();
    let reply = Reply::last(&mut silent);
    assert!(began.elapsed() >= Duration::from_secs(9));
    assert_eq!(reply.status(), "408 Request Timeout");
    let log = server.next_log_line();
    assert!(
        log.ends_with(": 408 Request Timeout: nothing came for 10s"),
        "{log}"
    );
}

#[test]
#[ignore = "needs half a minute"]
fn total_of_the_program_server() {
    let server = Server::start("server");
    let began = Instant::now();
    let request = b"GET / HTTP/1.1\r\nX: ".iter().copied();
    dribble(connect(&server), request.chain(std::iter::repeat(b'x')));
    assert!(began.elapsed() >= Duration::from_secs(29));
    let log = server.next_log_line();
    // It was too late for an answer, so there is none in the log.
    assert!(log.ends_with(": not done after 30s"), "{log}");
    assert!(!log.contains("408"), "{log}");
}

#[test]
fn linger_limit() {
    let limits = Limits {
        pause: NEVER,
        total: NEVER,
    };
    let limit = LINGER_LIMIT as usize;
    for (length, is_reset) in [(limit, false), (limit + 1, true)] {
        let (connection, mut peer) = ends(limits);
        peer.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut writer = peer.try_clone().unwrap();
        let writing = thread::spawn(move || writer.write_all(&vec![b'x'; length]));
        connection.close();
        // Whether all of it went out is a matter of time where there is a reset.
        let written = writing.join().unwrap();
        if is_reset {
            let began = Instant::now();
            let mut error = written.err();
            while error.is_none() && began.elapsed() < DEADLINE {
                error = peer.take_error().unwrap();
            }
            assert!(error.is_some(), "no reset");
        } else {
            assert_eq!(read_once(&mut peer, &mut [0]).unwrap(), 0);
            assert!(peer.take_error().unwrap().is_none());
        }
    }
}

/// Whoever closes at once resets the connection if there is something left to read. The answer
/// may be lost by that.
#[test]
fn what_a_client_is_still_sending_does_not_cost_it_the_answer() {
    let limits = Limits {
        pause: NEVER,
        total: NEVER,
    };
    let (mut client, served) = serve(limits, "no request\r\n\r\n");
    // The answer has been sent when this is.
    while client
        .peek(&mut [0])
        .is_err_and(|error| error.kind() == ErrorKind::Interrupted)
    {}
    client.write_all(&[b'x'; 1000]).unwrap();
    assert_eq!(Reply::last(&mut client).status(), "400 Bad Request");
    client.write_all(b"more").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    served.join().unwrap();
    assert!(client.take_error().unwrap().is_none());
}

#[test]
fn linger_timeout() {
    let limits = Limits {
        pause: NEVER,
        total: NEVER,
    };
    let (connection, mut peer) = ends(limits);
    let began = Instant::now();
    connection.close();
    assert!(began.elapsed() >= LINGER_TIMEOUT, "{:?}", began.elapsed());
    assert!(began.elapsed() < DEADLINE, "{:?}", began.elapsed());
    assert_eq!(read_once(&mut peer, &mut [0]).unwrap(), 0);

    // Nor does it help to go on sending.
    let (connection, peer) = ends(limits);
    thread::spawn(move || dribble(peer, std::iter::repeat(b'x')));
    let began = Instant::now();
    connection.close();
    assert!(began.elapsed() < DEADLINE, "{:?}", began.elapsed());
}

#[test]
fn request_limit() {
    let server = Server::start("server");
    let mut stream = connect(&server);
    let request = "GET /moved HTTP/1.1\r\nHost: a\r\n\r\n";
    let requests = request.repeat(REQUEST_LIMIT + 1);
    stream.write_all(requests.as_bytes()).unwrap();
    for _ in 1..REQUEST_LIMIT {
        let reply = Reply::next(&mut stream);
        assert_eq!(reply.header("Connection"), Some("keep-alive"));
    }
    let last = Reply::last(&mut stream);
    assert_eq!(last.header("Connection"), Some("close"));
    assert_eq!(
        last.body, b"301 Moved Permanently\n",
        "and nothing behind it"
    );
}

#[test]
fn connection_limit() {
    let server = Server::start("server");
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let open = || {
        let mut stream = connect(&server);
        // To have an answer is to have been accepted.
        stream.write_all(request).unwrap();
        Reply::next(&mut stream);
        server.next_log_line();
        stream
    };
    let mut kept: Vec<TcpStream> = (0..CONNECTION_LIMIT).map(|_| open()).collect();

    let mut one_too_many = connect(&server);
    let log = server.next_log_line();
    let own_address = one_too_many.local_addr().unwrap();
    assert_eq!(log, format!("{own_address}: too many connections"));
    assert_eq!(read_once(&mut one_too_many, &mut [0]).unwrap(), 0);

    // Those that it has are served as before, and there is room when one has left.
    kept[0].write_all(request).unwrap();
    Reply::next(&mut kept[0]);
    kept.pop();
    let began = Instant::now();
    loop {
        let mut stream = connect(&server);
        let sent = stream.write_all(request);
        if sent
            .and_then(|()| stream.read(&mut [0]))
            .is_ok_and(|length| length == 1)
        {
            break;
        }
        assert!(began.elapsed() < DEADLINE, "there is no room");
    }
}

/// That the helpers above do what they say.
#[test]
fn heads_are_as_long_as_they_should_be() {
    let head = head_of(100, "GET / HTTP/1.1\r\n");
    assert_eq!(head.len(), 100);
    let (listener, address) = listen();
    let mut sender = TcpStream::connect(address).unwrap();
    sender.write_all(&head).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    assert_eq!(read_head(&mut stream).len(), 100);
    assert_eq!(headers_of(3, "").lines().count(), 4);
}
