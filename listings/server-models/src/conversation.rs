//! What is said on a connection, whichever way its bytes come and go: the one handler of
//! all five servers.

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use httparse::{EMPTY_HEADER, Header, Request, Status};
use httpdate::fmt_http_date;

/// The page.
const PAGE: &str = "Hello from the other side.\n";

/// How many bytes the head of a request may have, and how many headers.
pub const HEAD_LIMIT: usize = 16 * 1024;
pub const HEADER_LIMIT: usize = 64;
/// How many bytes are taken in after a refusal.
const LEFTOVER_LIMIT: u32 = 1024 * 1024;
/// How many bytes an answer has, more or less.
const ANSWER_SIZE: usize = 256;

/// What a server speaks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Protocol {
    /// HTTP/1.1 (RFC 9112), with one small page.
    Http,
    /// Echo (RFC 862).
    Echo,
}

/// What a server is to do once it has sent the answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    /// Read on.
    Read,
    /// Say that this was all, and read on: to close with data unread would reset the
    /// connection, and the client could lose the answer (RFC 9112, section 9.6).
    Finish,
    /// Say that this was all, and close the connection.
    Close,
}

/// One client's conversation with a server.
#[derive(Debug)]
pub struct Conversation {
    protocol: Protocol,
    /// The beginning of a request whose end has not come yet.
    begun: Vec<u8>,
    /// After [`Next::Finish`]: how many bytes have been taken in since.
    leftover: Option<u32>,
}

impl Conversation {
    pub fn new(protocol: Protocol) -> Conversation {
        Conversation {
            protocol,
            begun: Vec::new(),
            leftover: None,
        }
    }

    // ANCHOR: take
    /// Takes in `bytes`, as many as have come, and appends to `answer` what is to be sent.
    /// A server that `is_stopping` answers once more, and then closes.
    pub fn take(&mut self, bytes: &[u8], is_stopping: bool, answer: &mut Vec<u8>) -> Next {
        if let Some(leftover) = &mut self.leftover {
            *leftover = leftover.saturating_add(bytes.len() as u32);
            return match *leftover > LEFTOVER_LIMIT {
                true => Next::Close,
                false => Next::Read,
            };
        }
        if self.protocol == Protocol::Echo {
            answer.extend_from_slice(bytes);
            return Next::Read;
        }
        // Nearly always a request comes whole, and need not be kept.
        if self.begun.is_empty() {
            return self.take_requests(bytes, is_stopping, answer);
        }
        let mut begun = std::mem::take(&mut self.begun);
        begun.extend_from_slice(bytes);
        self.take_requests(&begun, is_stopping, answer)
    }
    // ANCHOR_END: take

    // ANCHOR: requests
    /// Answers every request that is whole, and keeps the rest.
    fn take_requests(
        &mut self,
        mut bytes: &[u8],
        is_stopping: bool,
        answer: &mut Vec<u8>,
    ) -> Next {
        while !bytes.is_empty() {
            let mut headers = [EMPTY_HEADER; HEADER_LIMIT];
            let mut request = Request::new(&mut headers);
            let length = match request.parse(bytes) {
                Ok(Status::Complete(length)) if length <= HEAD_LIMIT => length,
                Ok(Status::Partial) if bytes.len() < HEAD_LIMIT => {
                    self.begun = bytes.to_vec();
                    return Next::Read;
                }
                Ok(_) | Err(httparse::Error::TooManyHeaders) => {
                    return self.refuse("431 Request Header Fields Too Large", answer);
                }
                Err(_) => return self.refuse("400 Bad Request", answer),
            };
            bytes = &bytes[length..];

            // HTTP/1.1 goes on unless somebody says otherwise, HTTP/1.0 ends.
            let is_old = request.version == Some(0);
            let keep_alive = !has(request.headers, "Connection", "close")
                && (!is_old || has(request.headers, "Connection", "keep-alive"));
            match values(request.headers, "Host").count() {
                1 => {}
                0 if is_old => {}
                _ => return self.refuse("400 Bad Request", answer),
            }
            // Content would have to be read before the next request, and nothing here
            // needs any.
            let has_content = values(request.headers, "Content-Length").any(|n| n != b"0")
                || values(request.headers, "Transfer-Encoding")
                    .next()
                    .is_some();
            if has_content {
                return self.refuse("413 Content Too Large", answer);
            }
            let (status, page) = match (request.method, request.path.map(path)) {
                (Some("GET" | "HEAD"), Some("/")) => ("200 OK", PAGE),
                (Some("GET" | "HEAD"), _) => ("404 Not Found", ""),
                _ => ("501 Not Implemented", ""),
            };
            // A client that speaks HTTP/1.0, like ab -k, waits to be told that it may go on.
            let connection = match (keep_alive && !is_stopping, is_old) {
                (false, _) => "close",
                (true, true) => "keep-alive",
                (true, false) => "",
            };
            head(answer, status, page.len(), connection);
            if request.method != Some("HEAD") {
                answer.extend_from_slice(page.as_bytes());
            }
            if connection == "close" {
                // If the client does not know, its next request may be on its way.
                return match bytes.is_empty() && !keep_alive {
                    true => Next::Close,
                    false => self.finish(),
                };
            }
        }
        Next::Read
    }
    // ANCHOR_END: requests

    fn refuse(&mut self, status: &str, answer: &mut Vec<u8>) -> Next {
        head(answer, status, 0, "close");
        self.finish()
    }

    fn finish(&mut self) -> Next {
        self.leftover = Some(0);
        Next::Finish
    }
}

/// The path in a request's target, which may also be a whole URI (RFC 9112, section 3.2).
fn path(target: &str) -> &str {
    let path = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |start| &rest[start..]),
        None => target,
    };
    path.split('?').next().unwrap_or(path)
}

/// The values of all headers with this name.
pub fn values<'a>(headers: &[Header<'a>], name: &str) -> impl Iterator<Item = &'a [u8]> {
    headers
        .iter()
        .filter(move |header| header.name.eq_ignore_ascii_case(name))
        .map(|header| header.value)
}

/// Whether a header whose value is a list has this element.
pub fn has(headers: &[Header], name: &str, element: &str) -> bool {
    values(headers, name)
        .flat_map(|value| value.split(|byte| *byte == b','))
        .any(|known| known.trim_ascii().eq_ignore_ascii_case(element.as_bytes()))
}

/// Appends the head of an answer.
fn head(answer: &mut Vec<u8>, status: &str, length: usize, connection: &str) {
    answer.reserve(ANSWER_SIZE);
    let mut line = |words: [&str; 3]| {
        for word in words {
            answer.extend_from_slice(word.as_bytes());
        }
        answer.extend_from_slice(b"\r\n");
    };
    line(["HTTP/1.1", " ", status]);
    with_date(|date| line(["Date", ": ", date]));
    line(["Content-Type", ": ", "text/plain"]);
    line(["Content-Length", ": ", &length.to_string()]);
    if !connection.is_empty() {
        line(["Connection", ": ", connection]);
    }
    line([""; 3]);
}

/// Lends the time of day, as HTTP writes it. It is the same for a second, and many requests
/// come in a second.
fn with_date(use_it: impl FnOnce(&str)) {
    thread_local! {
        static DATE: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    let now = SystemTime::now();
    let seconds = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs();
    DATE.with_borrow_mut(|(since, date)| {
        if *since != seconds {
            (*since, *date) = (seconds, fmt_http_date(now));
        }
        use_it(date);
    });
}
