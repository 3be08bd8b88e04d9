//! The programs, as a reader starts them.

mod conversation;
mod programs;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use conversation::{
    Reply, answering, assert_fails, but_date, connect, listen, read_head, read_once,
    serving, stderr, stdout,
};
use programs::{Server, closed_port, run};

/// Every page, and what it brings.
const PAGES: [(&str, &str, &str); 7] = [
    ("/", "200 OK", HOME),
    ("/greetings", "200 OK", GREETINGS),
    ("/slow", "200 OK", GREETINGS),
    ("/chunked", "200 OK", GREETINGS),
    ("/until-close", "200 OK", GREETINGS),
    ("/moved", "301 Moved Permanently", "301 Moved Permanently\n"),
    ("/nowhere", "404 Not Found", "404 Not Found\n"),
];
const HOME: &str =
    "<!doctype html>\n<title>It works</title>\n<p>Hello from the other side.\n";
const GREETINGS: &str = "Hello\nGrüß Gott\nΓειά σου\nこんにちは\n🦀\n";

/// A request that is the last one of its connection.
fn request(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
}

/// A request after which another one may follow.
fn open_request(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// The chunks of a body (RFC 9112, section 7.1).
fn chunks(mut body: &[u8]) -> Vec<Vec<u8>> {
    let mut chunks = vec![];
    loop {
        let end = body.iter().position(|byte| *byte == b'\r').expect("a line");
        let size = std::str::from_utf8(&body[..end]).expect("a size");
        let size = usize::from_str_radix(size, 16).expect("a size in hex");
        let (chunk, rest) = body[end..].strip_prefix(b"\r\n").unwrap().split_at(size);
        body = rest
            .strip_prefix(b"\r\n")
            .expect("a line end behind a chunk");
        if chunk.is_empty() {
            assert_eq!(body, b"", "something follows the last chunk");
            return chunks;
        }
        chunks.push(chunk.to_vec());
    }
}

#[test]
fn every_page_brings_what_it_should() {
    let server = Server::start("server");
    for (path, status, content) in PAGES {
        let reply = Reply::to(&server, request("GET", path));
        assert_eq!(reply.status(), status, "{path}");
        assert_eq!(reply.header("Connection"), Some("close"), "{path}");
        let is_chunked = path == "/chunked";
        let encoding = is_chunked.then_some("chunked");
        assert_eq!(reply.header("Transfer-Encoding"), encoding, "{path}");
        let has_length = !is_chunked && path != "/until-close";
        let length = has_length.then(|| content.len().to_string());
        assert_eq!(reply.header("Content-Length"), length.as_deref(), "{path}");
        let body = match is_chunked {
            true => chunks(&reply.body).concat(),
            false => reply.body.clone(),
        };
        assert_eq!(String::from_utf8(body).as_deref(), Ok(content), "{path}");
        let log = server.next_log_line();
        assert!(log.ends_with(&format!(": GET {path}: {status}")), "{log}");

        let media_type = if path == "/" {
            "text/html"
        } else {
            "text/plain"
        };
        let expected = format!("{media_type}; charset=utf-8");
        assert_eq!(reply.header("Content-Type"), Some(&expected[..]), "{path}");
        let date = reply.header("Date").expect("a date");
        assert!(date.len() == 29 && date.ends_with(" GMT"), "{date}");
        let location = (path == "/moved").then_some("/");
        assert_eq!(reply.header("Location"), location, "{path}");
    }
}

#[test]
fn the_answer_to_head_is_that_to_get_without_the_content() {
    let server = Server::start("server");
    for (path, ..) in PAGES {
        let get = Reply::to(&server, request("GET", path));
        let head = Reply::to(&server, request("HEAD", path));
        assert_eq!(head.head_but_date(), get.head_but_date(), "{path}");
        assert_eq!(head.body, b"", "{path}");
    }
}

#[test]
fn the_program_head_prints_the_head_that_the_server_sends() {
    let server = Server::start("server");
    for (path, ..) in PAGES {
        let reply = Reply::to(&server, request("HEAD", path));
        let output = run("head", &[&format!("{}{path}", server.address)]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(stderr(&output), "");
        let printed = stdout(&output);
        assert!(printed.ends_with("close\n"), "{printed:?}");
        let printed: Vec<String> = printed.lines().map(String::from).collect();
        assert_eq!(but_date(&printed), reply.head_but_date(), "{path}");
        assert_eq!(printed.len(), reply.head.len(), "{path}");

        let [first, second] = [server.next_log_line(), server.next_log_line()];
        assert!(first.contains(&format!(": HEAD {path}: ")), "{first}");
        assert!(second.contains(&format!(": HEAD {path}: ")), "{second}");
    }
}

#[test]
fn the_program_head_sends_these_bytes_and_no_others() {
    let (listener, address) = listen();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let head = read_head(&mut stream);
        stream.write_all(b"HTTP/1.1 204 Whatever\r\n\r\n").unwrap();
        let mut more = vec![];
        stream.read_to_end(&mut more).unwrap();
        (head, more)
    });
    let output = run("head", &[&format!("{address}/a?b=c")]);
    assert_eq!(
        stdout(&output),
        "HTTP/1.1 204 Whatever\n",
        "{}",
        stderr(&output)
    );
    let (head, more) = server.join().unwrap();
    let expected = format!(
        "HEAD /a?b=c HTTP/1.1\r\nHost: {address}\r\nUser-Agent: sockets-in-rust\r\n\
         Accept: text/html\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(head, expected);
    assert_eq!(more, b"");
}

/// Content-Length says what GET would have brought. A body would come from a server that has
/// misunderstood.
#[test]
fn the_program_head_waits_for_no_body_and_shows_none() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
    let address = serving(move |mut stream| {
        stream.write_all(answer.as_bytes()).unwrap();
        // The stream stays open until the client has gone.
        let _ = stream.read(&mut [0]);
    });
    let output = run("head", &[&address]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output), "HTTP/1.1 200 OK\nContent-Length: 1000\n");

    let output = run("head", &[&answering(format!("{answer}a body"))]);
    assert_eq!(stdout(&output), "HTTP/1.1 200 OK\nContent-Length: 1000\n");
}

#[test]
fn a_head_is_put_together_whose_bytes_come_one_at_a_time() {
    let address = serving(|mut stream| {
        for byte in b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\n" {
            stream.write_all(&[*byte]).unwrap();
        }
    });
    let output = run("head", &[&address]);
    assert_eq!(
        stdout(&output),
        "HTTP/1.1 200 OK\nA: b\n",
        "{}",
        stderr(&output)
    );
}

#[test]
fn what_a_server_sends_can_do_nothing_to_the_terminal() {
    let answer = "HTTP/1.1 200 OK\r\nX: \u{9b}31m\u{85} x\r\n\r\n";
    let output = run("head", &[&answering(answer)]);
    let expected = "HTTP/1.1 200 OK\nX: \u{fffd}31m\u{fffd} x\n";
    assert_eq!(stdout(&output), expected, "{}", stderr(&output));

    let output = run(
        "raw",
        &[&answering("\x1b[2J\u{9b}\x07 hello\n"), r"\r\n\r\n"],
    );
    let expected = "\u{fffd}[2J\u{fffd}\u{fffd} hello\n";
    assert_eq!(stdout(&output), expected, "{}", stderr(&output));
}

#[test]
fn a_connection_serves_one_request_after_another_until_the_client_has_had_enough() {
    let server = Server::start("server");
    let mut stream = connect(&server);
    for path in ["/", "/greetings", "/moved", "/nowhere"] {
        stream
            .write_all(open_request("GET", path).as_bytes())
            .unwrap();
        let reply = Reply::next(&mut stream);
        assert_eq!(reply.header("Connection"), Some("keep-alive"));
        assert_ne!(reply.body, b"");
        assert!(server.next_log_line().contains(&format!(": GET {path}: ")));
    }
    stream.write_all(request("GET", "/").as_bytes()).unwrap();
    let reply = Reply::last(&mut stream);
    assert_eq!(reply.header("Connection"), Some("close"));
    assert_eq!(reply.body, HOME.as_bytes());
}

#[test]
fn a_client_that_leaves_between_two_requests_is_not_worth_a_line() {
    let server = Server::start("server");
    let mut stream = connect(&server);
    stream
        .write_all(open_request("GET", "/").as_bytes())
        .unwrap();
    Reply::next(&mut stream);
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_once(&mut stream, &mut [0]).unwrap(), 0);
    assert!(server.next_log_line().contains(": GET /: "));

    Reply::to(&server, request("GET", "/next"));
    assert!(server.next_log_line().contains(": GET /next: "));
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let server = Server::start("server");
    let mut stream = connect(&server);
    let paths = ["/greetings", "/", "/slow", "/moved"];
    let requests: String = paths.iter().map(|path| open_request("GET", path)).collect();
    stream
        .write_all((requests + &request("HEAD", "/")).as_bytes())
        .unwrap();
    for path in paths {
        let (_, status, content) = PAGES.into_iter().find(|page| page.0 == path).unwrap();
        let reply = Reply::next(&mut stream);
        assert_eq!(reply.status(), status);
        assert_eq!(reply.body, content.as_bytes());
    }
    assert_eq!(Reply::last(&mut stream).status(), "200 OK");
}

#[test]
fn a_request_that_comes_one_byte_at_a_time_is_answered() {
    let server = Server::start("server");
    let mut stream = connect(&server);
    for byte in request("GET", "/greetings").bytes() {
        stream.write_all(&[byte]).unwrap();
    }
    assert_eq!(Reply::last(&mut stream).body, GREETINGS.as_bytes());
}

#[test]
fn a_client_that_has_finished_sending_is_still_answered() {
    let server = Server::start("server");
    let mut stream = connect(&server);
    stream
        .write_all(open_request("GET", "/").as_bytes())
        .unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(Reply::last(&mut stream).body, HOME.as_bytes());
}

#[test]
fn http_1_0_needs_no_host_and_gets_no_chunks_and_the_end_of_the_connection() {
    let server = Server::start("server");
    for (path, _, content) in PAGES {
        let reply = Reply::to(&server, format!("GET {path} HTTP/1.0\r\n\r\n"));
        assert_eq!(reply.header("Connection"), Some("close"), "{path}");
        assert_eq!(reply.header("Transfer-Encoding"), None, "{path}");
        assert_eq!(reply.body, content.as_bytes(), "{path}");
    }
}

#[test]
fn http_1_0_keeps_a_connection_if_it_asks_for_that() {
    let server = Server::start("server");
    let mut stream = connect(&server);
    for _ in 0..2 {
        let request = "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let reply = Reply::next(&mut stream);
        assert_eq!(reply.header("Connection"), Some("keep-alive"));
    }
    // Who says both will not come back.
    let request = "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n";
    let reply = Reply::to(&server, request);
    assert_eq!(reply.header("Connection"), Some("close"));
    // Where only the end of the connection can end a body, it does not help to ask.
    let request = "GET /chunked HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    assert_eq!(Reply::last(&mut stream).header("Connection"), Some("close"));
}

#[test]
fn chunks_end_in_the_middle_of_lines_and_of_a_character() {
    let server = Server::start("server");
    let chunks = chunks(&Reply::to(&server, request("GET", "/chunked")).body);
    assert!(chunks.len() > 2);
    assert!(
        chunks
            .iter()
            .any(|chunk| std::str::from_utf8(chunk).is_err())
    );
    assert!(chunks.iter().all(|chunk| chunk.len() <= 7));
}

#[test]
fn a_connection_is_kept_after_chunks_since_they_say_where_they_end() {
    let server = Server::start("server");
    let mut stream = connect(&server);
    let requests = open_request("GET", "/chunked") + &request("GET", "/moved");
    stream.write_all(requests.as_bytes()).unwrap();
    let head = read_head(&mut stream);
    assert!(head.contains("\r\nConnection: keep-alive\r\n"), "{head}");
    let mut rest = vec![];
    stream.read_to_end(&mut rest).unwrap();
    let rest = String::from_utf8_lossy(&rest);
    let (_, second) = rest.split_once("\r\n0\r\n\r\n").expect("a last chunk");
    assert!(second.starts_with("HTTP/1.1 301 "), "{second}");
}

#[test]
fn the_slow_page_comes_byte_by_byte_with_a_pause_after_each() {
    const PAUSE: Duration = Duration::from_millis(10);
    let server = Server::start("server");
    // On a busy machine the pieces may all be there before the first one is read.
    let came_in_pieces = (0..10).any(|_| {
        let began = Instant::now();
        let mut stream = connect(&server);
        stream
            .write_all(request("GET", "/slow").as_bytes())
            .unwrap();
        read_head(&mut stream);
        let mut pieces = vec![];
        let mut buffer = [0; 1000];
        loop {
            match read_once(&mut stream, &mut buffer).unwrap() {
                0 => break,
                length => pieces.push(buffer[..length].to_vec()),
            }
        }
        assert_eq!(pieces.concat(), GREETINGS.as_bytes());
        assert!(began.elapsed() >= PAUSE * GREETINGS.len() as u32);
        pieces.len() > 1
    });
    assert!(came_in_pieces);
}

#[test]
fn a_whole_uri_and_a_query_ask_for_the_same_page() {
    let server = Server::start("server");
    for (target, status) in [
        ("http://localhost/greetings", "200 OK"),
        ("http://localhost:8080/greetings?a=b", "200 OK"),
        ("http://localhost", "200 OK"),
        ("/greetings?to=me", "200 OK"),
        ("/?http://localhost/nowhere", "200 OK"),
        ("/http://localhost/", "404 Not Found"),
        ("/greetings/", "404 Not Found"),
        ("//", "404 Not Found"),
        ("/../etc/passwd", "404 Not Found"),
        ("HTTPS://localhost/greetings", "200 OK"),
        ("http://localhost?to=/nowhere", "200 OK"),
        ("*", "400 Bad Request"),
        ("greetings", "400 Bad Request"),
        ("?a=http://localhost/greetings", "400 Bad Request"),
        ("http:///greetings", "400 Bad Request"),
        ("ftp://localhost/greetings", "400 Bad Request"),
    ] {
        let reply = Reply::to(&server, request("GET", target));
        assert_eq!(reply.status(), status, "{target}");
    }
}

#[test]
fn other_methods_are_told_which_ones_there_are() {
    let server = Server::start("server");
    for method in [
        "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE",
    ] {
        let reply = Reply::to(&server, request(method, "/"));
        assert_eq!(reply.status(), "405 Method Not Allowed");
        assert_eq!(reply.header("Allow"), Some("GET, HEAD"));
        assert_eq!(reply.body, b"405 Method Not Allowed\n");
    }
    // The names of methods are case-sensitive.
    for method in ["get", "Head", "BREW"] {
        let reply = Reply::to(&server, request(method, "/"));
        assert_eq!(reply.status(), "501 Not Implemented");
        assert_eq!(reply.header("Allow"), None);
    }
}

#[test]
fn what_follows_the_content_of_a_request_is_not_taken_for_a_request() {
    let server = Server::start("server");
    for (method, header, content) in [
        (
            "POST",
            "Content-Length: 41",
            open_request("GET", "/smuggled"),
        ),
        (
            "GET",
            "Content-Length: 41",
            open_request("GET", "/smuggled"),
        ),
        (
            "POST",
            "Transfer-Encoding: chunked",
            format!("0\r\n\r\n{}", open_request("GET", "/smuggled")),
        ),
    ] {
        let request =
            format!("{method} / HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n{content}");
        let reply = Reply::to(&server, request);
        assert_eq!(reply.header("Connection"), Some("close"));
        let length: usize = reply.header("Content-Length").unwrap().parse().unwrap();
        assert_eq!(reply.body.len(), length, "one answer and no other");
        let log = server.next_log_line();
        assert!(log.contains(&format!(": {method} /: ")), "{log}");
    }
    Reply::to(&server, request("GET", "/last"));
    assert!(server.next_log_line().contains(": GET /last: "));
}

#[test]
fn a_request_without_content_may_say_so() {
    let server = Server::start("server");
    let mut stream = connect(&server);
    let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    assert_eq!(
        Reply::next(&mut stream).header("Connection"),
        Some("keep-alive")
    );
}

#[test]
fn a_request_that_is_not_understood_is_refused_with_its_reason_in_the_log() {
    let server = Server::start("server");
    for (request, status, cause) in [
        (
            "GET / HTTP/1.1\r\n\r\n",
            "400 Bad Request",
            "no Host header",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "400 Bad Request",
            "more than one Host header",
        ),
        (
            "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
            "400 Bad Request",
            "more than one Host header",
        ),
        ("hello\r\n\r\n", "400 Bad Request", "invalid"),
        ("GET /\r\n\r\n", "400 Bad Request", "invalid"),
        (
            "GET / a HTTP/1.1\r\nHost: a\r\n\r\n",
            "400 Bad Request",
            "invalid",
        ),
        (
            "GET / FTP/1.1\r\nHost: a\r\n\r\n",
            "400 Bad Request",
            "invalid",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
            "400 Bad Request",
            "names no host",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
            "400 Bad Request",
            "names no host",
        ),
        (
            "GET / HTTP/1.0\r\nHost: \u{fc}\r\n\r\n",
            "400 Bad Request",
            "names no host",
        ),
        ("\x16\x03\x01\x02\0\n\n", "400 Bad Request", "invalid"),
        (
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "400 Bad Request",
            "invalid header name",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
            "400 Bad Request",
            "invalid header name",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
            "400 Bad Request",
            "invalid header value",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\
             Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "400 Bad Request",
            "unclear where the request ends",
        ),
        (
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "400 Bad Request",
            "unclear where the request ends",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
            "400 Bad Request",
            "unclear where the request ends",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n",
            "400 Bad Request",
            "unclear where the request ends",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: \u{a0}0\r\n\r\n",
            "400 Bad Request",
            "Content-Length is \"",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 6\r\n\r\nhello",
            "400 Bad Request",
            "Content-Length is \"5, 6\"",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \u{1f980}\r\n\r\nhello",
            "400 Bad Request",
            "Content-Length is \"",
        ),
        (
            "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
            "505 HTTP Version Not Supported",
            "neither HTTP/1.1 nor HTTP/1.0",
        ),
        (
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "505 HTTP Version Not Supported",
            "neither HTTP/1.1 nor HTTP/1.0",
        ),
    ] {
        let reply = Reply::to(&server, request);
        assert_eq!(reply.status(), status, "{request:?}");
        assert_eq!(reply.header("Connection"), Some("close"), "{request:?}");
        // It may have been a HEAD: its answer has no content.
        assert_eq!(reply.header("Content-Length"), Some("0"), "{request:?}");
        assert_eq!(reply.body, b"", "{request:?}");
        let log = server.next_log_line();
        assert!(log.contains(&format!(": {status}: ")), "{log}");
        assert!(log.contains(cause), "{log}");
    }
}

#[test]
fn nothing_that_a_client_sends_reaches_the_log_but_as_harmless_text() {
    let server = Server::start("server");
    let reply = Reply::to(&server, request("GET", "/\u{9b}31m"));
    assert_eq!(reply.status(), "404 Not Found");
    let log = server.next_log_line();
    assert!(
        log.ends_with(": GET /\u{fffd}31m: 404 Not Found"),
        "{log:?}"
    );

    let mut stream = connect(&server);
    stream.write_all(b"\x1b[2J\xff").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let log = server.next_log_line();
    assert!(log.ends_with("which began \"\\x1b[2J\\xff\""), "{log:?}");
}

#[test]
fn two_clients_are_served_at_the_same_time() {
    let server = Server::start("server");
    let mut first = connect(&server);
    first.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n").unwrap();
    assert_eq!(Reply::to(&server, request("GET", "/")).status(), "200 OK");
    first.write_all(b"Connection: close\r\n\r\n").unwrap();
    assert_eq!(Reply::last(&mut first).status(), "200 OK");
}

#[test]
fn raw_sends_what_it_is_told_and_prints_what_comes_back() {
    let server = Server::start("server");
    let request = r"GET /greetings HTTP/1.0\r\n\r\n";
    let output = run("raw", &[&server.address.to_string(), request]);
    assert!(output.status.success(), "{}", stderr(&output));
    let printed = stdout(&output);
    let (head, body) = printed.split_once("\r\n\r\n").expect("an empty line");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\nDate: "), "{head}");
    assert_eq!(body, GREETINGS);

    let echo =
        serving(|mut stream| stream.write_all("Gr\u{fc}\u{df}e\n".as_bytes()).unwrap());
    let output = run("raw", &[&echo, r"\n\r\n\r\n"]);
    assert_eq!(stdout(&output), "Grüße\n", "{}", stderr(&output));
}

#[test]
fn raw_prints_text_whose_characters_come_in_pieces_and_one_that_does_not_come_whole() {
    let address = serving(|mut stream| {
        for byte in "🦀 Grüße\n".bytes().chain(*b"\xf0\x9f") {
            stream.write_all(&[byte]).unwrap();
        }
    });
    let output = run("raw", &[&address, r"\r\n\r\n"]);
    assert_eq!(stdout(&output), "🦀 Grüße\n\u{fffd}", "{}", stderr(&output));
}

#[test]
fn verbatim_shows_every_line_of_a_request_with_its_end() {
    let server = Server::start("verbatim");
    let output = run("head", &[&format!("{}/path", server.address)]);
    assert!(output.status.success(), "{}", stderr(&output));
    let printed = "HTTP/1.1 200 OK\nContent-Length: 0\nConnection: close\n";
    assert_eq!(stdout(&output), printed);
    for line in [
        "HEAD /path HTTP/1.1",
        &format!("Host: {}", server.address),
        "User-Agent: sockets-in-rust",
        "Accept: text/html",
        "Connection: close",
        "",
    ] {
        assert_eq!(server.next_log_line(), format!("\"{line}\\r\\n\""));
    }
}

#[test]
fn verbatim_serves_the_next_client_whatever_the_one_before_did() {
    let server = Server::start("verbatim");
    drop(connect(&server));
    let mut garbage = connect(&server);
    garbage.write_all(b"\xff\0\n\x1b").unwrap();
    garbage.shutdown(Shutdown::Write).unwrap();
    assert!(
        server
            .next_log_line()
            .contains("the stream ended within the head")
    );
    conversation::reset(connect(&server));
    assert!(server.next_log_line().contains("Connection reset"));
    let output = run("head", &[&server.address.to_string()]);
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn endless_sends_headers_until_the_client_has_had_enough() {
    let server = Server::start("endless");
    for _ in 0..2 {
        let output = run("head", &[&server.address.to_string()]);
        assert_fails(&output, "the head has no end within 16384 bytes");
        assert!(server.next_log_line().ends_with(": gets headers"));
    }
}

#[test]
fn nobody_there_is_an_error_with_its_cause() {
    let (address, _held) = closed_port();
    for (program, arguments) in
        [("head", &[&address[..]][..]), ("raw", &[&address, "hello"])]
    {
        let output = run(program, arguments);
        assert_fails(&output, &format!("cannot connect to {address}"));
        assert_fails(&output, "Connection refused");
    }
}

#[test]
fn a_name_without_an_address_is_an_error_with_its_cause() {
    // A label of more than 63 characters is refused without asking anybody.
    let host = "a".repeat(64);
    let output = run("head", &[&host]);
    assert_fails(&output, &format!("cannot connect to {host}:80"));
    assert_fails(&output, "failed to lookup address");
}

#[test]
fn a_taken_address_is_an_error_with_its_cause() {
    let server = Server::start("server");
    for program in ["server", "verbatim", "endless"] {
        let output = run(program, &[&server.address.to_string()]);
        assert_fails(&output, "cannot listen on 127.0.0.1");
        assert_fails(&output, "Address already in use");
    }
}

#[test]
fn wrong_arguments_are_one_line_and_exit_code_2() {
    for program in ["server", "verbatim", "endless"] {
        for arguments in [
            &["nonsense"][..],
            &["127.0.0.1:99999"],
            &["::1:8080"],
            &["--help"],
            &["127.0.0.1:0", "more"],
            &["two\nlines"],
        ] {
            assert_refused(program, arguments);
        }
    }
    for arguments in [
        &["example.com", "more"][..],
        &["--help"],
        &["--help:80"],
        &["http://example.com/"],
        &["exam ple.com"],
        &["exämple.com"],
        &["user@example.com"],
        &["127.0.0.1:99999"],
        &["127.0.0.1:+80"],
        &["::1"],
        &["[::1"],
        &["[127.0.0.1]"],
        &[":80"],
        &["two\nlines"],
    ] {
        assert_refused("head", arguments);
    }
    for arguments in [
        &[][..],
        &["127.0.0.1:1"],
        &["127.0.0.1", "hello"],
        &["127.0.0.1:99999", "hello"],
        &["127.0.0.1:1", "hello", "there"],
        &["hello", "there"],
        &["two\nlines", "two\nlines"],
        &["two words:80", "request"],
        &["localhost/path:80", "request"],
    ] {
        assert_refused("raw", arguments);
    }
}

/// Otherwise an argument from somewhere else could add headers, or a request of its own.
#[test]
fn what_could_change_the_request_is_refused() {
    for argument in [
        "127.0.0.1:1/a path",
        "127.0.0.1:1/ HTTP/1.1\r\nHost: elsewhere",
        "127.0.0.1:1/\r\nX: y",
        "127.0.0.1:1/\n",
        "127.0.0.1:1/\t",
        "127.0.0.1:1/ü",
        "127.0.0.1:1/#fragment",
        "127.0.0.1\r\nX: y",
        "127.0.0.1\r\nX:80",
        "127.0.0.1\r:1",
        "[::1\r\n]:1",
        "[::1%\r\n]:1",
        "127.0.0.1:1\r\n",
    ] {
        assert_refused("head", &[argument]);
    }
}

#[track_caller]
fn assert_refused(program: &str, arguments: &[&str]) {
    let output = run(program, arguments);
    assert_eq!(output.status.code(), Some(2), "{program} {arguments:?}");
    let complaint = stderr(&output);
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    assert!(complaint.starts_with("expected "), "{complaint}");
    assert!(!complaint.contains('\r'), "{complaint:?}");
    assert_eq!(stdout(&output), "");
}

/// The reader of a pipe may have left: `head example.com | true`.
#[cfg(unix)]
#[test]
fn output_that_nobody_reads_is_an_error_and_no_panic() {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    let server = Server::start("server");
    let address = server.address.to_string();
    // Where `programs` has built them.
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("http/debug");
    for (program, arguments) in [
        ("head", &[&address[..]][..]),
        ("raw", &[&address, r"GET / HTTP/1.0\r\n\r\n"]),
    ] {
        // As good as a pipe without a reader. A pipe might have one for a moment more: another
        // test that starts a program, which has all that is open here until it runs.
        let (stdout, _reader) = UnixStream::pair().unwrap();
        stdout.shutdown(Shutdown::Write).unwrap();
        let output = Command::new(folder.join(program))
            .args(arguments)
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null())
            .stdout(OwnedFd::from(stdout))
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_fails(&output, "the answer could not be printed");
        assert_fails(&output, "Broken pipe");
    }
}

#[cfg(unix)]
#[test]
fn arguments_that_are_not_utf_8_do_not_make_a_program_panic() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("http/debug");
    // Sees to it that the programs are built.
    drop(Server::start("server"));
    for program in ["server", "head", "raw", "verbatim", "endless"] {
        let mut command = Command::new(folder.join(program));
        if program == "raw" {
            command.arg("nonsense");
        }
        let argument = OsStr::from_bytes(b"127.0.0.1:1\xff");
        let output = command.arg(argument).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{program}");
        assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
    }
}

/// As `localhost` leads to ::1, to 127.0.0.1, or to both, so a program tries one after another.
#[test]
fn the_program_head_takes_a_name_for_an_address() {
    let server = Server::start("server");
    let port = server.address.port();
    let output = run("head", &[&format!("localhost:{port}")]);
    assert!(
        stdout(&output).starts_with("HTTP/1.1 200 OK\n"),
        "{}",
        stderr(&output)
    );

    let verbatim = Server::start("verbatim");
    let host = format!("localhost:{}", verbatim.address.port());
    run("head", &[&host]);
    verbatim.next_log_line();
    assert_eq!(verbatim.next_log_line(), format!("\"Host: {host}\\r\\n\""));
}
