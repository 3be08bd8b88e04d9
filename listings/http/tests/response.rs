//! What is read does not depend on how it arrives, costs a limited amount of memory, and is never
//! taken for whole if it is not.

mod memory;
mod pieces;

use std::io::{self, BufRead, BufReader, Read};

use http::message::HEAD_LIMIT;
use http::request::Request;
use http::response::{BODY_LIMIT, CHUNK_LINE_LIMIT, INTERIM_LIMIT, Response, Text};
use http::site;
use memory::peak;
use pieces::Pieces;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// A buffer of the size that `BufReader` has by itself.
const BUFFER: usize = 8 * 1024;

/// The memory that reading a message may take at a time, whatever is sent. A byte that is not
/// UTF-8 becomes three, a vector that grows may be twice as large as what is in it, and a head
/// is there as it came, as text, and as headers.
const MEMORY_LIMIT: usize = 16 * HEAD_LIMIT + BUFFER;

/// All that a client knows at the end: the head, as much of the body as came, and an error.
#[derive(Clone, Debug, Default, PartialEq)]
struct Outcome {
    head: Option<(String, u16, u8, http::message::Headers)>,
    body: Vec<u8>,
    error: Option<(io::ErrorKind, String)>,
}

fn outcome(reader: &mut impl BufRead, buffer_size: usize) -> Outcome {
    let mut outcome = Outcome::default();
    if let Err(error) = read_all(reader, buffer_size, &mut outcome) {
        outcome.error = Some((error.kind(), error.to_string()));
    }
    outcome
}

fn read_all(
    reader: &mut impl BufRead,
    buffer_size: usize,
    outcome: &mut Outcome,
) -> io::Result<()> {
    let response = Response::read(reader)?;
    outcome.head = Some((
        response.text.clone(),
        response.status,
        response.minor_version,
        response.headers.clone(),
    ));
    let mut body = response.body(reader)?;
    let mut buffer = vec![0; buffer_size];
    loop {
        match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => outcome.body.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The body of a response, or what is wrong with it.
fn body(response: impl AsRef<[u8]>) -> Result<String, String> {
    let outcome = outcome(&mut response.as_ref(), BUFFER);
    match outcome.error {
        None => Ok(String::from_utf8(outcome.body).expect("text")),
        Some((_, error)) => Err(error),
    }
}

/// Pieces of a response, so that it is not turned away at its first byte.
fn response() -> impl Strategy<Value = Vec<u8>> {
    let interim: &[&str] = &[
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n",
    ];
    let status: &[&str] = &[
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.0 200 OK\r\n",
        "HTTP/1.1 204 No Content\r\n",
        "HTTP/1.1 304\r\n",
        "HTTP/1.1 404 \x1b[31mNot Found\r\n",
        "\r\nHTTP/1.1 200 Gr\u{fc}\u{df}\n",
    ];
    let header: &[&str] = &[
        "Content-Length: 0\r\n",
        "Content-Length: 5\r\n",
        "content-length: 5, 5\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length: -1\r\n",
        "Transfer-Encoding: chunked\r\n",
        "transfer-encoding: CHUNKED\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Content-Type: text/plain\r\n",
        "X: \u{fc}\t\u{1f980}\r\n",
        " folded\r\n",
    ];
    let content: &[&str] = &[
        "hello",
        "5\r\nhello\r\n",
        "05;name=value\r\nhello\r\n",
        "a\r\n0123456789\r\n",
        "ffffffffffffffff\r\n",
        "0\r\n",
        "Trailer: \u{fc}\r\n",
        "\r\n",
    ];
    (
        vec(select(interim), 0..3),
        select(status),
        vec(select(header), 0..4),
        vec(select(content), 0..6),
    )
        .prop_map(|(interim, status, headers, content)| {
            let parts = [&interim[..], &[status], &headers, &["\r\n"], &content];
            parts.concat().concat().into_bytes()
        })
}

/// Requests, more or less, one after another.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    let parts: &[&str] = &[
        "GET / HTTP/1.1\r\n",
        "HEAD /greetings HTTP/1.1\r\n",
        "GET /chunked?x HTTP/1.0\r\n",
        "GET /chunked HTTP/1.1\r\n",
        "GET http://example.com/moved HTTP/1.1\r\n",
        "GET /until-close HTTP/1.1\r\n",
        "POST /\u{fc} HTTP/1.1\r\n",
        "GET / HTTP/2.0\r\n",
        "Host: example.com\r\n",
        "Host: example.com\r\n\r\n",
        "Connection: close\r\n",
        "Connection: keep-alive\r\n",
        "Content-Length: 2\r\n",
        "Transfer-Encoding: chunked\r\n",
        "\r\n",
        "\n",
    ];
    vec(select(parts), 0..12).prop_map(|parts| parts.concat().into_bytes())
}

/// What happens to bytes on their way: some change, some are lost, some come twice.
fn mutated(bytes: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<Index>(), any::<u8>(), 0..4_u8);
    (bytes, vec(change, 0..4)).prop_map(|(mut bytes, changes)| {
        for (place, byte, what) in changes {
            let at = place.index(bytes.len() + 1);
            match what {
                0 => bytes.insert(at, byte),
                1 => bytes.truncate(at),
                2 => bytes.extend_from_within(at..),
                _ if at < bytes.len() => bytes[at] = byte,
                _ => {}
            }
        }
        bytes
    })
}

fn arbitrary() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..2000)
}

/// The sizes of the pieces in which something arrives.
fn sizes() -> impl Strategy<Value = Vec<usize>> {
    vec(0..20_usize, 0..8).prop_map(|mut sizes| {
        sizes.push(1);
        sizes
    })
}

/// The answers of the server, but for the time of day.
fn served(requests: &[u8], sizes: &[usize]) -> String {
    let mut stream = Pieces::new(requests, sizes);
    site::serve(&mut stream, ([127, 0, 0, 1], 1).into());
    String::from_utf8_lossy(&stream.written)
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("Date: "))
        .collect()
}

/// Requests up to the end or the first that is refused.
fn read_requests(bytes: &[u8], sizes: &[usize], capacity: usize) -> Vec<String> {
    let mut reader = BufReader::with_capacity(capacity, Pieces::new(bytes, sizes));
    let mut all = vec![];
    loop {
        match Request::read(&mut reader) {
            Ok(Some(request)) => all.push(format!("{request:?}")),
            Ok(None) => return all,
            Err(refusal) => {
                all.push(refusal.to_string());
                return all;
            }
        }
    }
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_response_is_the_same_in_whatever_pieces_it_arrives(
        bytes in prop_oneof![1 => arbitrary(), 4 => mutated(response())],
        sizes in sizes(),
        capacity in 1..100_usize,
        buffer_size in 1..100_usize,
    ) {
        let whole = outcome(&mut &bytes[..], BUFFER);
        let mut reader = BufReader::with_capacity(capacity, Pieces::new(&bytes, &sizes));
        prop_assert_eq!(outcome(&mut reader, buffer_size), whole);
    }

    #[test]
    fn requests_are_the_same_in_whatever_pieces_they_arrive(
        bytes in prop_oneof![1 => arbitrary(), 4 => mutated(requests())],
        sizes in sizes(),
        capacity in 1..100_usize,
    ) {
        let whole = read_requests(&bytes, &[usize::MAX], BUFFER);
        prop_assert_eq!(read_requests(&bytes, &sizes, capacity), whole);
    }

    #[test]
    fn the_answers_are_the_same_in_whatever_pieces_requests_arrive(
        bytes in prop_oneof![1 => arbitrary(), 4 => mutated(requests())],
        sizes in vec(1..20_usize, 1..8),
    ) {
        let whole = served(&bytes, &[usize::MAX]);
        prop_assert!(whole.is_empty() || whole.starts_with("HTTP/1.1 "), "{}", whole);
        prop_assert_eq!(served(&bytes, &sizes), whole);
    }

    #[test]
    fn text_is_the_same_in_whatever_pieces_it_arrives(
        pieces in vec(
            prop_oneof![
                vec(any::<u8>(), 0..6),
                any::<String>().prop_map(String::into_bytes),
                select(&["ß", "€", "🦀", "\u{1b}[2J", "\u{9b}", "\r\n\t"][..])
                    .prop_map(|text| text.as_bytes().to_vec()),
            ],
            0..8,
        ),
        cuts in vec(any::<Index>(), 0..8),
    ) {
        let bytes = pieces.concat();
        let expected: String = String::from_utf8_lossy(&bytes)
            .chars()
            .map(|c| match c {
                '\r' | '\n' | '\t' => c,
                '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => '\u{fffd}',
                _ => c,
            })
            .collect();
        let mut cuts: Vec<usize> =
            cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort();
        let mut text = Text::default();
        let mut decoded = String::new();
        for ends in cuts.windows(2) {
            decoded += &text.decode(&bytes[ends[0]..ends[1]]);
        }
        decoded += &text.finish();
        prop_assert_eq!(decoded, expected);
    }

    #[test]
    fn reading_a_response_takes_a_limited_amount_of_memory(
        start in mutated(response()),
        endless in prop_oneof![
            vec(any::<u8>(), 1..20),
            mutated(response()).prop_filter("something", |bytes| !bytes.is_empty()),
        ],
    ) {
        assert_memory_is_limited(&start, &endless);
    }
}

/// Reads a response that begins with `start` and goes on with `endless`, over and over.
#[track_caller]
fn assert_memory_is_limited(start: &[u8], endless: &[u8]) -> Option<String> {
    // More than the heads that any limit lets in.
    const MUCH: usize = (INTERIM_LIMIT + 2) * HEAD_LIMIT;
    let bytes: Vec<u8> = start
        .iter()
        .chain(endless.iter().cycle())
        .take(MUCH)
        .copied()
        .collect();
    let (peak, error) = peak(|| {
        let mut reader = BufReader::with_capacity(BUFFER, &bytes[..]);
        let response = Response::read(&mut reader);
        let copied = response.and_then(|response| {
            io::copy(&mut response.body(&mut reader)?, &mut io::sink())
        });
        copied.err().map(|error| error.to_string())
    });
    assert!(
        peak <= MEMORY_LIMIT,
        "{peak} bytes for {:?} and then {:?} again and again",
        start.escape_ascii().to_string(),
        endless.escape_ascii().to_string()
    );
    error
}

#[test]
fn whatever_has_no_end_takes_a_limited_amount_of_memory() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (start, endless, error) in [
        (String::new(), &b"x"[..], "no end within 16384 bytes"),
        (String::new(), b"\xff", "no end within 16384 bytes"),
        (String::new(), b"\r\n", "no end within 16384 bytes"),
        (
            "HTTP/1.1 200 OK\r\nX: ".into(),
            b"\xff",
            "no end within 16384 bytes",
        ),
        (
            "HTTP/1.1 200 OK\r\n".into(),
            b"x:\r\n",
            "no end within 16384 bytes",
        ),
        (
            String::new(),
            b"HTTP/1.1 100 Continue\r\n\r\n",
            "interim responses",
        ),
        (chunked.into(), b"\xff", "no proper chunk"),
        (chunked.into(), b"0", "no proper chunk"),
        (chunked.into(), b";", "no proper chunk"),
        (format!("{chunked}0\r\n"), b"\xff", "no proper chunk"),
        (format!("{chunked}0\r\n"), b"x:\r\n", "no proper chunk"),
        (
            format!("{chunked}0\r\n"),
            &[&[0xff; 6000][..], b"\r\n"].concat(),
            "no proper chunk",
        ),
    ] {
        let found = assert_memory_is_limited(start.as_bytes(), endless);
        let found = found.expect("an error");
        assert!(found.contains(error), "{start:?} {endless:?}: {found}");
    }
}

#[test]
fn the_largest_heads_that_are_let_in_take_a_limited_amount_of_memory() {
    // Headers without a character that is UTF-8, as many and as long as may be.
    let mut interim = b"HTTP/1.1 100 Continue\r\n".to_vec();
    let length = (HEAD_LIMIT - interim.len() - 2) / http::message::HEADER_LIMIT;
    for _ in 0..http::message::HEADER_LIMIT {
        interim.extend_from_slice(b"x:");
        interim.resize(interim.len() + length - 4, 0xff);
        interim.extend_from_slice(b"\r\n");
    }
    interim.extend_from_slice(b"\r\n");
    let mut bytes = interim.repeat(INTERIM_LIMIT);
    bytes.extend_from_slice(&interim);
    let last = INTERIM_LIMIT * interim.len() + b"HTTP/1.1 ".len();
    bytes[last..last + 3].copy_from_slice(b"200");
    let (peak, response) = peak(|| {
        let mut reader = BufReader::with_capacity(BUFFER, &bytes[..]);
        Response::read(&mut reader)
    });
    assert!(response.unwrap().text.len() > HEAD_LIMIT * 2);
    assert!(peak <= MEMORY_LIMIT, "{peak} bytes");
}

#[test]
fn a_body_is_not_kept_by_its_reader() {
    let chunk = format!("{:x}\r\n{}\r\n", 1024, "x".repeat(1024));
    for (head, part) in [
        (format!("Content-Length: {BODY_LIMIT}"), "x"),
        ("Transfer-Encoding: chunked".into(), &chunk[..]),
        ("Connection: close".into(), "x"),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n");
        let endless = part.repeat(BUFFER);
        let (peak, _) = peak(|| {
            let stream = head.as_bytes().chain(endless.as_bytes());
            let mut reader = BufReader::with_capacity(BUFFER, stream);
            let response = Response::read(&mut reader).unwrap();
            let mut body = response.body(&mut reader).unwrap();
            io::copy(&mut body, &mut io::sink())
        });
        assert!(peak <= MEMORY_LIMIT, "{peak} bytes for {head:?}");
    }
}

#[test]
fn the_head_is_shown_without_its_line_ends_and_harmless() {
    for (head, text) in [
        ("HTTP/1.1 200 OK\r\nA: b\r\n\r\n", "HTTP/1.1 200 OK\nA: b"),
        ("\r\n\nHTTP/1.1 200 OK\nA: b\n\n", "HTTP/1.1 200 OK\nA: b"),
        ("HTTP/1.1 200\r\n\r\n", "HTTP/1.1 200"),
        ("HTTP/1.1 200 OK\r\nA: \u{9b}\u{7f}2J\r\n\r\n", ""),
        (
            "HTTP/1.1 200 OK\r\nA: \u{9b}2J\r\n\r\n",
            "HTTP/1.1 200 OK\nA: \u{fffd}2J",
        ),
    ] {
        match Response::read(&mut head.as_bytes()) {
            Ok(response) => assert_eq!(response.text, text),
            Err(_) => assert_eq!(text, "", "{head:?}"),
        }
    }
}

#[test]
fn a_body_ends_in_one_of_three_ways() {
    for (headers, content, expected) in [
        ("Content-Length: 5\r\n", "hello", "hello"),
        ("Content-Length: 5\r\n", "hello, and more", "hello"),
        ("Content-Length: 0\r\n", "hello", ""),
        ("Content-Length: 05\r\n", "hello", "hello"),
        ("Content-Length: 5, 5\r\n", "hello", "hello"),
        (
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "hello",
            "hello",
        ),
        (
            "Transfer-Encoding: chunked\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "hello",
        ),
        (
            "Transfer-Encoding: ChunkeD\r\n",
            "5\r\nhello\r\n0\r\n\r\nmore",
            "hello",
        ),
        ("Transfer-Encoding: chunked\r\n", "0\r\n\r\n", ""),
        (
            "Transfer-Encoding: chunked\r\n",
            "2\r\nhe\r\n0003;name\r\nllo\r\n000;name=\"value\"\r\nTrailer: 1\r\n\r\n",
            "hello",
        ),
        (
            "Transfer-Encoding: chunked\r\n",
            "A \r\n0123456789\r\n0\r\n\r\n",
            "0123456789",
        ),
        ("", "hello", "hello"),
        ("", "", ""),
    ] {
        let response = format!("HTTP/1.1 200 OK\r\n{headers}\r\n{content}");
        assert_eq!(
            body(response).as_deref(),
            Ok(expected),
            "{headers:?} {content:?}"
        );
    }
}

#[test]
fn some_statuses_have_no_body_whatever_the_head_says() {
    for status in [204, 304] {
        for header in [
            "",
            "Content-Length: 5\r\n",
            "Transfer-Encoding: chunked\r\n",
        ] {
            let response = format!("HTTP/1.1 {status} x\r\n{header}\r\nhello");
            assert_eq!(body(response).as_deref(), Ok(""), "{status} {header}");
        }
    }
}

/// Where the end is announced, every part that is not the whole is an error.
#[test]
fn a_body_that_is_cut_short_is_never_taken_for_a_whole_one() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    for length in 0..5 {
        let error = body(format!("{head}{}", &"hello"[..length])).unwrap_err();
        let expected = format!("the body was cut short: {} bytes are missing", 5 - length);
        assert_eq!(error, expected);
    }

    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunks = "5;x\r\nhello\r\n0\r\nA: b\r\n\r\n";
    for length in 0..chunks.len() {
        let error = body(format!("{head}{}", &chunks[..length])).unwrap_err();
        assert!(
            error.starts_with("the body was cut short: "),
            "{length}: {error}"
        );
    }
    assert_eq!(body(format!("{head}{chunks}")).as_deref(), Ok("hello"));

    // Here the end of the stream is all there is. Only TLS can tell a cut from an end.
    let head = "HTTP/1.1 200 OK\r\n\r\n";
    assert_eq!(body(format!("{head}hel")).as_deref(), Ok("hel"));
}

#[test]
fn a_head_that_is_cut_short_is_never_taken_for_a_whole_one() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(
        body("").unwrap_err(),
        "the stream ended before an answer came"
    );
    for length in 1..head.len() {
        let error = body(&head[..length]).unwrap_err();
        assert!(
            error.starts_with("the stream ended within the head"),
            "{error}"
        );
    }
}

#[test]
fn what_leaves_in_doubt_where_a_body_ends_is_refused() {
    for (headers, error) in [
        ("Content-Length: 5, 6\r\n", "Content-Length is \"5, 6\""),
        (
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length is \"5, 6\"",
        ),
        ("Content-Length: \r\n", "Content-Length is empty"),
        ("Content-Length: ,\r\n", "Content-Length is empty"),
        ("Content-Length: +5\r\n", "Content-Length is \"+5\""),
        ("Content-Length: -5\r\n", "Content-Length is \"-5\""),
        ("Content-Length: 0x5\r\n", "Content-Length is \"0x5\""),
        ("Content-Length: 5 5\r\n", "Content-Length is \"5 5\""),
        ("Content-Length: five\r\n", "Content-Length is \"five\""),
        (
            "Content-Length: 18446744073709551616\r\n",
            "Content-Length is \"18446744073709551616\"",
        ),
        (
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "both Transfer-Encoding and Content-Length say where the body ends",
        ),
        (
            "Transfer-Encoding: gzip\r\n",
            "unknown Transfer-Encoding \"gzip\"",
        ),
        (
            "Transfer-Encoding: gzip, chunked\r\n",
            "unknown Transfer-Encoding \"gzip, chunked\"",
        ),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "unknown Transfer-Encoding \"chunked, chunked\"",
        ),
        (
            "Transfer-Encoding: chunked;x=y\r\n",
            "unknown Transfer-Encoding",
        ),
        (
            "Transfer-Encoding: xchunked\r\n",
            "unknown Transfer-Encoding",
        ),
    ] {
        let response = format!("HTTP/1.1 200 OK\r\n{headers}\r\n5\r\nhello\r\n0\r\n\r\n");
        let found = body(response).unwrap_err();
        assert!(found.starts_with(error), "{headers:?}: {found}");
    }
    let old = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(
        body(old).unwrap_err(),
        "Transfer-Encoding in a response of HTTP/1.0"
    );
}

#[test]
fn a_transfer_encoding_without_a_name_is_refused() {
    for value in ["", ",", " , "] {
        let response = format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding:{value}\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        );
        let error = body(response).unwrap_err();
        assert!(error == "Transfer-Encoding is empty", "{value:?}: {error}");
    }
}

#[test]
fn a_chunk_that_is_not_as_it_should_be_is_refused() {
    let too_long = format!("the body has more than {BODY_LIMIT} bytes");
    for (chunks, error) in [
        ("hello\r\n", "no proper chunk: its size is \"hello\""),
        ("\r\n", "no proper chunk: its size is \"\""),
        (";x\r\n", "no proper chunk: its size is \";x\""),
        ("+5\r\nhello\r\n", "no proper chunk: its size is \"+5\""),
        ("-5\r\nhello\r\n", "no proper chunk: its size is \"-5\""),
        (" 5\r\nhello\r\n", "no proper chunk: its size is \" 5\""),
        ("0x5\r\nhello\r\n", "no proper chunk: its size is \"0x5\""),
        ("5_0\r\nhello\r\n", "no proper chunk: its size is \"5_0\""),
        ("10000000000000000\r\n", "no proper chunk: its size is \"1"),
        ("ffffffffffffffff\r\n", &too_long),
        ("a00001\r\n", &too_long),
        ("5\r\nhello!\r\n", "no proper chunk: a line does not end"),
        ("5\r\nhello!!\r\n", "no proper chunk: a line does not end"),
        ("4\r\nhello\r\n", "no proper chunk: a line does not end"),
        ("5\nhello\r\n", "no proper chunk: a line does not end"),
        (
            "5\r\nhello\n0\r\n\r\n",
            "no proper chunk: a line does not end",
        ),
        (
            "0\r\nTrailer: 1\n\r\n",
            "no proper chunk: a line does not end",
        ),
    ] {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let found = body(format!("{head}{chunks}")).unwrap_err();
        assert!(found.starts_with(error), "{chunks:?}: {found}");
    }
    assert_eq!(BODY_LIMIT, 0xa00000);
    const { assert!(CHUNK_LINE_LIMIT > "10000000000000000\r\n".len() as u64) }
}

#[test]
fn what_is_no_http_response_is_refused() {
    for (head, error) in [
        ("hello\r\n\r\n", "no HTTP response head: "),
        (
            "HTTP/2 200\r\n\r\n",
            "no HTTP response head: invalid HTTP version",
        ),
        (
            "HTTP/1.2 200 OK\r\n\r\n",
            "no HTTP response head: invalid HTTP version",
        ),
        (
            "HTTP/1.1 OK\r\n\r\n",
            "no HTTP response head: invalid response status",
        ),
        (
            "HTTP/1.1 20 OK\r\n\r\n",
            "no HTTP response head: invalid response status",
        ),
        ("HTTP/1.1 2000 OK\r\n\r\n", "no HTTP response head: "),
        ("ICY 200 OK\r\n\r\n", "no HTTP response head: "),
        (
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "no HTTP response head: invalid header",
        ),
        (
            "HTTP/1.1 200 OK\r\nspace : x\r\n\r\n",
            "no HTTP response head: invalid header",
        ),
        (
            "HTTP/1.1 200 OK\r\nA: \0\r\n\r\n",
            "no HTTP response head: invalid header",
        ),
        (
            "SSH-2.0-OpenSSH_9.2\r\n",
            "the stream ended within the head, which began \"SSH-2",
        ),
    ] {
        let found = body(head).unwrap_err();
        assert!(found.starts_with(error), "{head:?}: {found}");
    }
}

#[test]
fn a_header_may_go_on_in_the_next_line() {
    let head = "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length:\r\n\t5\r\n\r\nhello";
    assert_eq!(body(head).as_deref(), Ok("hello"));
    let response = Response::read(&mut head.as_bytes()).unwrap();
    let values: Vec<&str> = response.headers.list("a").collect();
    assert_eq!(values, ["b   c"]);
}

#[test]
fn only_spaces_and_tabs_are_blank() {
    for header in [
        "Content-Length: \u{a0}5",
        "Transfer-Encoding: \u{3000}chunked",
    ] {
        let error = body(format!("HTTP/1.1 200 OK\r\n{header}\r\n\r\nhello")).unwrap_err();
        assert!(
            error.contains("Content-Length is") || error.contains("unknown"),
            "{error}"
        );
    }
    let chunk = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\u{a0}\r\nhello\r\n";
    assert!(body(chunk).unwrap_err().starts_with("no proper chunk"));
}

/// Nobody has asked for another protocol.
#[test]
fn a_switch_of_protocols_is_an_answer_without_content() {
    let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nsomething else";
    assert_eq!(body(answer).as_deref(), Ok(""));
}

#[test]
fn interim_responses_are_skipped() {
    let interim =
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
    let last = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(body(format!("{interim}{last}")).as_deref(), Ok("hello"));
    assert_eq!(
        body(interim).unwrap_err(),
        "the stream ended before an answer came"
    );
}
