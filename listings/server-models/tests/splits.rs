//! A conversation is the same however its bytes are cut into pieces.

mod conversation;
mod programs;

use conversation::but_date;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use server_models::conversation::{Conversation, HEAD_LIMIT, Next, Protocol};

/// What a conversation has come to.
#[derive(Debug, PartialEq)]
struct Outcome {
    /// The lines of all answers but for the time of day.
    lines: Vec<String>,
    /// What the server has been told to do, apart from reading on.
    end: Option<Next>,
}

/// Says `bytes` in pieces of these sizes over and over, for as long as the server listens.
fn say(bytes: &[u8], sizes: &[usize], is_stopping: bool) -> Outcome {
    let mut conversation = Conversation::new(Protocol::Http);
    let mut answer = vec![];
    let mut end = None;
    let mut rest = bytes;
    let mut sizes = sizes.iter().cycle();
    while !rest.is_empty() {
        let size = sizes.next().expect("a size");
        let (piece, others) = rest.split_at(rest.len().min(*size));
        rest = others;
        match conversation.take(piece, is_stopping, &mut answer) {
            Next::Read => {}
            Next::Finish => end = Some(Next::Finish),
            Next::Close => {
                end = end.or(Some(Next::Close));
                break;
            }
        }
    }
    let text = String::from_utf8(answer).expect("answers are text");
    let lines: Vec<_> = text.lines().map(String::from).collect();
    Outcome {
        lines: but_date(&lines),
        end,
    }
}

/// Something that a client could say: requests, good and bad, whole and not.
fn talk() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => select(vec![
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /missing HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
            "BREW / HTTP/1.1\nHost: a\n\n",
            "\r\nGET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => select(vec![
            "GET / HTTP/1.0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
            "GET / HTTP/1.1\r\nHost: a\r\nX",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..40),
    ];
    vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn arbitrary_bytes_in_arbitrary_pieces_do_no_harm(
        bytes in vec(any::<u8>(), 0..2000),
        sizes in vec(1..500usize, 1..20),
        is_stopping: bool,
    ) {
        say(&bytes, &sizes, is_stopping);
    }

    #[test]
    fn any_cut_gives_the_same_answers(
        bytes in talk(),
        sizes in vec(1..60usize, 1..20),
        is_stopping: bool,
    ) {
        let whole = say(&bytes, &[bytes.len()], is_stopping);
        let in_pieces = say(&bytes, &sizes, is_stopping);
        prop_assert_eq!(&whole.lines, &in_pieces.lines);
        prop_assert_eq!(whole.end.is_some(), in_pieces.end.is_some());
    }

    #[test]
    fn an_echo_is_what_came_in_whatever_pieces(
        bytes in vec(any::<u8>(), 1..2000),
        size in 1..500usize,
    ) {
        let mut conversation = Conversation::new(Protocol::Echo);
        let mut answer = vec![];
        for piece in bytes.chunks(size) {
            prop_assert_eq!(conversation.take(piece, false, &mut answer), Next::Read);
        }
        prop_assert_eq!(answer, bytes);
    }
}

#[test]
fn a_request_byte_by_byte_is_answered_at_its_last_byte() {
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut conversation = Conversation::new(Protocol::Http);
    for (position, byte) in request.iter().enumerate() {
        let mut answer = vec![];
        assert_eq!(conversation.take(&[*byte], false, &mut answer), Next::Read);
        let is_last = position + 1 == request.len();
        assert_eq!(answer.is_empty(), !is_last, "{position}");
    }
}

#[test]
fn a_head_without_an_end_is_refused_at_the_limit_whatever_its_pieces() {
    let endless = [&b"GET / HTTP/1.1\r\nX: "[..], &vec![b'y'; 2 * HEAD_LIMIT]].concat();
    for size in [1, 7, 1000, HEAD_LIMIT - 1, HEAD_LIMIT, endless.len()] {
        let outcome = say(&endless, &[size], false);
        assert_eq!(
            outcome.lines[0],
            "HTTP/1.1 431 Request Header Fields Too Large"
        );
        assert_eq!(outcome.end, Some(Next::Finish), "{size}");
    }
}

#[test]
fn nothing_is_answered_after_a_refusal_and_after_a_while_nothing_is_taken_in() {
    let mut conversation = Conversation::new(Protocol::Http);
    let mut answer = vec![];
    assert_eq!(conversation.take(b"\0", false, &mut answer), Next::Finish);
    answer.clear();
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000);
    let mut taken = 0;
    while conversation.take(&request, false, &mut answer) == Next::Read {
        taken += request.len();
    }
    assert!(answer.is_empty());
    assert!((1_000_000..2_000_000).contains(&taken), "{taken}");
}
