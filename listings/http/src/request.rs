//! A request, as a server reads it.

use std::fmt;
use std::io::{self, BufRead};

use httparse::{EMPTY_HEADER, Status};

use crate::message::{HEADER_LIMIT, Headers, read_head};

/// The head of a request.
#[derive(Debug)]
pub struct Request {
    pub method: String,
    /// The path that is asked for, without a query.
    pub path: String,
    /// 0 for HTTP/1.0, 1 for HTTP/1.1.
    pub minor_version: u8,
    /// Whether the client may send another request on this connection.
    pub keep_alive: bool,
}

/// Why a request is not answered as asked.
#[derive(Debug)]
pub struct Refusal {
    /// What to tell the client, if there is still somebody to talk to.
    pub status: Option<&'static str>,
    /// What to tell whoever reads the log.
    pub cause: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.status {
            Some(status) => write!(f, "{status}: {}", self.cause),
            None => write!(f, "{}", self.cause),
        }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Refusal {
        let status = match error.kind() {
            io::ErrorKind::TimedOut => Some("408 Request Timeout"),
            io::ErrorKind::InvalidInput => Some("414 URI Too Long"),
            io::ErrorKind::FileTooLarge => Some("431 Request Header Fields Too Large"),
            _ => None,
        };
        Refusal {
            status,
            cause: error.to_string(),
        }
    }
}

impl Request {
    /// Reads a head; none if the client has ended the stream instead.
    pub fn read(reader: &mut impl BufRead) -> Result<Option<Request>, Refusal> {
        let head = read_head(reader)?;
        match head.is_empty() {
            true => Ok(None),
            false => Request::parse(&head).map(Some),
        }
    }

    fn parse(head: &[u8]) -> Result<Request, Refusal> {
        let mut headers = [EMPTY_HEADER; HEADER_LIMIT];
        let mut parsed = httparse::Request::new(&mut headers);
        match parsed.parse(head) {
            Ok(Status::Complete(_)) => {}
            Ok(Status::Partial) => return Err(bad("the head is incomplete")),
            Err(httparse::Error::TooManyHeaders) => {
                return Err(Refusal {
                    status: Some("431 Request Header Fields Too Large"),
                    cause: format!("more than {HEADER_LIMIT} headers"),
                });
            }
            Err(httparse::Error::Version) if has_version(head) => {
                return Err(Refusal {
                    status: Some("505 HTTP Version Not Supported"),
                    cause: "neither HTTP/1.1 nor HTTP/1.0".into(),
                });
            }
            Err(error) => return Err(bad(&error.to_string())),
        }
        let method = parsed.method.unwrap_or_default();
        let minor_version = parsed.version.unwrap_or_default();
        let headers = Headers::new(parsed.headers);

        // One host name serves one site, another one another: a request must say which
        // (RFC 9112, section 3.2). HTTP/1.0 did not know that yet.
        match headers.count("host") {
            1 if !headers.list("host").all(is_host) => {
                return Err(bad("the Host header names no host"));
            }
            1 => {}
            0 if minor_version == 0 => {}
            0 => return Err(bad("no Host header")),
            _ => return Err(bad("more than one Host header")),
        }
        let length = headers
            .content_length()
            .map_err(|error| bad(&error.to_string()))?;
        let is_encoded = headers.count("transfer-encoding") > 0;
        let is_chunked = headers
            .list("transfer-encoding")
            .last()
            .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
        if is_encoded && (!is_chunked || length.is_some() || minor_version == 0) {
            return Err(bad("it is unclear where the request ends"));
        }
        // Nothing is done with content, so it is not read. What follows it cannot be, then.
        let has_content = is_encoded || length.is_some_and(|length| length > 0);
        let keep_alive = !headers.has("connection", "close")
            && (minor_version > 0 || headers.has("connection", "keep-alive"));
        let target = parsed.path.unwrap_or_default();
        let Some(path) = path(method, target) else {
            return Err(bad("the target is neither a path nor a URI"));
        };
        Ok(Request {
            method: method.into(),
            path: path.into(),
            minor_version,
            keep_alive: keep_alive && !has_content,
        })
    }
}

/// Whether the first line consists of three words, the last of which is about HTTP.
fn has_version(head: &[u8]) -> bool {
    let line = head.trim_ascii_start().split(|byte| *byte == b'\n').next();
    let words: Vec<&[u8]> = line
        .unwrap_or_default()
        .split(|byte| *byte == b' ')
        .collect();
    matches!(words[..], [_, _, version] if version.starts_with(b"HTTP/"))
}

/// Whether this can be a host with a port (RFC 3986, section 3.2.2).
fn is_host(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+;=".contains(&byte))
}

fn bad(cause: &str) -> Refusal {
    Refusal {
        status: Some("400 Bad Request"),
        cause: cause.into(),
    }
}

/// The path in a request's target, which may also be a whole URI (RFC 9112, section 3.2).
fn path<'a>(method: &str, target: &'a str) -> Option<&'a str> {
    let target = target.split('?').next().unwrap_or_default();
    if target.starts_with('/') || matches!(method, "CONNECT" | "OPTIONS") {
        return Some(target);
    }
    let (scheme, rest) = target.split_once("://")?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let is_web = ["http", "https"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known));
    let path = if path.is_empty() { "/" } else { path };
    (is_web && !host.is_empty()).then_some(path)
}
