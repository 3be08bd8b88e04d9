//! What the servers answer, all of them the same.
#![cfg(target_os = "linux")]

mod conversation;
mod designs;
mod programs;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use conversation::{Reply, read_once};
use designs::{LAST_REQUEST, REQUEST, Subject, with_each};
use server_models::conversation::HEAD_LIMIT;

const PAGE: &[u8] = b"Hello from the other side.\n";

/// The one answer to `request`, up to the end of the stream.
#[track_caller]
fn answer(subject: &Subject, request: impl AsRef<[u8]>) -> Reply {
    Reply::to(&subject.server, request)
}

/// A connection on which this has been sent.
fn saying(subject: &Subject, bytes: impl AsRef<[u8]>) -> TcpStream {
    let mut stream = subject.connect();
    stream.write_all(bytes.as_ref()).unwrap();
    stream
}

#[track_caller]
fn assert_page(reply: &Reply, connection: Option<&str>) {
    assert_eq!(reply.status(), "200 OK");
    assert_eq!(reply.body, PAGE);
    assert_eq!(reply.header("Connection"), connection);
}

/// Asserts that the server has ended the stream, and not by a reset.
#[track_caller]
fn assert_end(mut stream: TcpStream) {
    assert_eq!(read_once(&mut stream, &mut [0]).unwrap(), 0);
}

#[test]
fn a_page_has_a_date_a_type_and_a_length() {
    with_each(&[], |subject| {
        let reply = answer(subject, LAST_REQUEST);
        let date = reply.header("Date").expect("a date");
        assert!(httpdate::parse_http_date(date).is_ok(), "{date}");
        assert_eq!(
            reply.head_but_date(),
            [
                "HTTP/1.1 200 OK",
                "Content-Type: text/plain",
                "Content-Length: 27",
                "Connection: close",
            ]
        );
        assert_eq!(reply.body, PAGE);
    });
}

#[test]
fn a_connection_of_http_1_1_stays_open_until_it_is_told_to_end() {
    with_each(&[], |subject| {
        let mut stream = subject.connect();
        for _ in 0..3 {
            stream.write_all(REQUEST.as_bytes()).unwrap();
            assert_page(&Reply::next(&mut stream), None);
        }
        stream.write_all(LAST_REQUEST.as_bytes()).unwrap();
        assert_page(&Reply::next(&mut stream), Some("close"));
        assert_end(stream);
    });
}

#[test]
fn a_connection_of_http_1_0_ends_unless_it_is_told_to_stay_open() {
    with_each(&[], |subject| {
        let reply = answer(subject, "GET / HTTP/1.0\r\n\r\n");
        assert_page(&reply, Some("close"));

        let mut stream = subject.connect();
        for value in ["keep-alive", "Keep-Alive", "upgrade, Keep-Alive"] {
            let request = format!("GET / HTTP/1.0\r\nConnection: {value}\r\n\r\n");
            stream.write_all(request.as_bytes()).unwrap();
            assert_page(&Reply::next(&mut stream), Some("keep-alive"));
        }
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        assert_page(&Reply::next(&mut stream), Some("close"));
        assert_end(stream);
    });
}

#[test]
fn requests_that_come_together_are_answered_in_their_order() {
    with_each(&[], |subject| {
        let missing = REQUEST.replace("GET /", "GET /missing");
        let head = REQUEST.replace("GET", "HEAD");
        let together = [REQUEST, &missing, &head, REQUEST].concat();
        let mut stream = saying(subject, together + LAST_REQUEST);
        assert_page(&Reply::next(&mut stream), None);
        assert_eq!(Reply::next(&mut stream).status(), "404 Not Found");
        let lines = conversation::read_head(&mut stream);
        assert!(lines.contains("\r\nContent-Length: 27\r\n"), "{lines}");
        assert_page(&Reply::next(&mut stream), None);
        assert_page(&Reply::next(&mut stream), Some("close"));
        assert_end(stream);
    });
}

#[test]
fn two_requests_may_be_cut_anywhere() {
    with_each(&[], |subject| {
        let both = [REQUEST, LAST_REQUEST].concat();
        for cut in 0..=both.len() {
            let (begin, rest) = both.as_bytes().split_at(cut);
            let mut stream = saying(subject, begin);
            stream.write_all(rest).unwrap();
            assert_page(&Reply::next(&mut stream), None);
            assert_page(&Reply::next(&mut stream), Some("close"));
            assert_end(stream);
        }
    });
}

#[test]
fn a_request_may_come_byte_by_byte() {
    with_each(&[], |subject| {
        let mut stream = subject.connect();
        for request in [REQUEST, LAST_REQUEST] {
            for byte in request.bytes() {
                stream.write_all(&[byte]).unwrap();
            }
        }
        assert_page(&Reply::next(&mut stream), None);
        assert_page(&Reply::next(&mut stream), Some("close"));
        assert_end(stream);
    });
}

#[test]
fn what_the_servers_do_not_have_or_do_is_said_and_the_connection_goes_on() {
    with_each(&[], |subject| {
        let mut stream = subject.connect();
        for (method, path, status) in [
            ("GET", "/missing", "404 Not Found"),
            ("GET", "/missing?", "404 Not Found"),
            ("HEAD", "/missing", "404 Not Found"),
            ("DELETE", "/", "501 Not Implemented"),
            ("OPTIONS", "*", "501 Not Implemented"),
            ("get", "/", "501 Not Implemented"),
        ] {
            let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            stream.write_all(request.as_bytes()).unwrap();
            let reply = Reply::next(&mut stream);
            assert_eq!(reply.status(), status, "{method} {path}");
            assert_eq!(reply.body, b"");
        }
        stream.write_all(REQUEST.as_bytes()).unwrap();
        assert_page(&Reply::next(&mut stream), None);
    });
}

#[test]
fn what_is_no_request_is_refused_and_the_connection_ends() {
    with_each(&[], |subject| {
        for garbage in [
            "\0",
            "\u{1}\u{2}\u{3}",
            "\x16\x03\x01\x02\r\n\r\n",
            "hello\r\n\r\n",
            "GET / HTTP/2.0\r\nHost: localhost\r\n\r\n",
            "GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
            // Host must be there once (RFC 9112, section 3.2).
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        ] {
            let mut stream = saying(subject, garbage);
            let reply = Reply::next(&mut stream);
            assert_eq!(reply.status(), "400 Bad Request", "{garbage:?}");
            assert_eq!(reply.header("Connection"), Some("close"));
            assert_end(stream);
        }
    });
}

#[test]
fn content_is_refused() {
    with_each(&[], |subject| {
        for header in [
            "Content-Length: 5",
            "Content-Length: nonsense",
            "Transfer-Encoding: chunked",
        ] {
            let request = LAST_REQUEST.replace("Connection: close", header);
            let reply = answer(subject, request + "12345");
            assert_eq!(reply.status(), "413 Content Too Large", "{header}");
        }
        let none = LAST_REQUEST.replace("Connection", "Content-Length: 0\r\nConnection");
        assert_page(&answer(subject, none), Some("close"));
    });
}

/// It is answered while the client still sends, and the client can read the answer: a server
/// that closed with data unread would take it away again.
#[test]
fn a_head_without_an_end_is_refused_and_the_answer_arrives() {
    with_each(&[], |subject| {
        let mut stream = saying(subject, "GET / HTTP/1.1\r\n");
        stream.write_all(&b"X: y\r\n".repeat(100_000)).unwrap();
        let reply = Reply::next(&mut stream);
        assert_eq!(reply.status(), "431 Request Header Fields Too Large");
        assert_end(stream);

        let long = format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(HEAD_LIMIT));
        let mut stream = saying(subject, long);
        let reply = Reply::next(&mut stream);
        assert_eq!(reply.status(), "431 Request Header Fields Too Large");
        stream.write_all(&[b'z'; 100_000]).unwrap();
        assert_end(stream);
    });
}

#[test]
fn after_a_refusal_a_client_cannot_go_on_sending_for_ever() {
    with_each(&[], |subject| {
        let mut stream = saying(subject, "\0");
        let error = loop {
            if let Err(error) = stream.write_all(&[b'x'; 65536]) {
                break error.kind();
            }
        };
        let closed = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
        assert!(closed.contains(&error), "{error}");
    });
}

#[test]
fn a_client_that_has_finished_sending_gets_its_answer() {
    with_each(&[], |subject| {
        let mut stream = saying(subject, [REQUEST, REQUEST].concat());
        stream.shutdown(Shutdown::Write).unwrap();
        assert_page(&Reply::next(&mut stream), None);
        assert_page(&Reply::next(&mut stream), None);
        assert_end(stream);

        let mut stream = saying(subject, &REQUEST[..20]);
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.read_to_end(&mut vec![]).unwrap(), 0);
    });
}

#[test]
fn an_echo_is_what_was_sent_also_after_the_client_has_finished() {
    let message: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
    with_each(&["--echo"], |subject| {
        let mut stream = subject.connect();
        let mut reader = stream.try_clone().unwrap();
        let mut echo = vec![];
        std::thread::scope(|scope| {
            scope.spawn(|| {
                stream.write_all(&message).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
            });
            reader.read_to_end(&mut echo).unwrap();
        });
        assert!(echo == message, "{} bytes", echo.len());
    });
}

#[test]
fn an_empty_line_behind_the_last_request_does_not_cost_the_answer() {
    with_each(&[], |subject| {
        // It comes while the server answers, or closes: often enough in so many rounds.
        for _ in 0..100 {
            let mut stream = saying(subject, "GET / HTTP/1.0\r\n\r\n");
            // It may be too late.
            let _ = stream.write_all(b"\r\n");
            assert_page(&Reply::next(&mut stream), Some("close"));
        }
    });
}

#[test]
fn a_target_may_be_a_uri_or_have_a_query() {
    with_each(&[], |subject| {
        for target in ["http://localhost/", "http://localhost", "/?a=b", "/?"] {
            let request = format!("GET {target} HTTP/1.0\r\n\r\n");
            assert_page(&answer(subject, request), Some("close"));
        }
    });
}

#[test]
fn close_wins_over_keep_alive() {
    with_each(&[], |subject| {
        for connection in ["keep-alive, close", "close, keep-alive"] {
            let request = format!("GET / HTTP/1.0\r\nConnection: {connection}\r\n\r\n");
            assert_page(&answer(subject, request), Some("close"));
        }
    });
}

#[test]
fn two_hosts_are_one_too_many() {
    with_each(&[], |subject| {
        for version in ["1.0", "1.1"] {
            let request = format!("GET / HTTP/{version}\r\nHost: a\r\nHost: b\r\n\r\n");
            assert_eq!(answer(subject, request).status(), "400 Bad Request");
        }
    });
}
