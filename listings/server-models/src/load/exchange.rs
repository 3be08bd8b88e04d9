//! What a request looks like, and when its answer is whole and right.

use std::fmt;

use httparse::{EMPTY_HEADER, Response, Status};

use crate::conversation::{HEAD_LIMIT, HEADER_LIMIT, Protocol, has, values};
use crate::load::options::Options;

/// What has gone wrong with an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// It is HTTP, but has another status than 200 to 299.
    Status(u16),
    /// It is no HTTP, or has no end, or an echo is not what was sent.
    Wrong,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Fault::Status(code) => write!(f, "status {code}"),
            Fault::Wrong => write!(f, "not the answer"),
        }
    }
}

/// How far an answer has come.
#[derive(Debug, PartialEq)]
pub enum Progress {
    Partial,
    /// Whole. Another request may follow on this connection, or not.
    Whole {
        keep_alive: bool,
    },
}

/// The bytes of one request.
pub fn request(options: &Options) -> Vec<u8> {
    match options.protocol {
        Protocol::Http => {
            let connection = match options.new_connections {
                true => "Connection: close\r\n",
                false => "",
            };
            let host = &options.address;
            format!("GET / HTTP/1.1\r\nHost: {host}\r\n{connection}\r\n").into()
        }
        Protocol::Echo => (b'a'..=b'z').cycle().take(options.size).collect(),
    }
}

/// The answer to one request, as it comes.
#[derive(Debug)]
pub struct Answer {
    protocol: Protocol,
    /// The beginning of a head.
    head: Vec<u8>,
    /// How many bytes are still to come, once that is known.
    left: Option<usize>,
    keep_alive: bool,
}

impl Answer {
    pub fn new(protocol: Protocol) -> Answer {
        Answer {
            protocol,
            head: Vec::new(),
            left: None,
            keep_alive: true,
        }
    }

    /// Takes in what has come of the answer to `request`.
    pub fn take(&mut self, mut bytes: &[u8], request: &[u8]) -> Result<Progress, Fault> {
        let left = match (self.protocol, self.left) {
            (Protocol::Echo, left) => {
                let left = left.unwrap_or(request.len());
                let expected = &request[request.len() - left..];
                if !expected.starts_with(bytes) {
                    return Err(Fault::Wrong);
                }
                left
            }
            (Protocol::Http, Some(left)) => left,
            (Protocol::Http, None) => {
                let Some((used, left)) = self.take_head(bytes)? else {
                    return Ok(Progress::Partial);
                };
                bytes = &bytes[used..];
                left
            }
        };
        let Some(left) = left.checked_sub(bytes.len()) else {
            return Err(Fault::Wrong);
        };
        self.left = Some(left);
        let keep_alive = self.keep_alive;
        Ok(match left {
            0 => Progress::Whole { keep_alive },
            _ => Progress::Partial,
        })
    }

    /// How many of `bytes` belong to the head, and how many bytes follow it; none if it has
    /// not come whole.
    fn take_head(&mut self, bytes: &[u8]) -> Result<Option<(usize, usize)>, Fault> {
        let before = self.head.len();
        // Nearly always a head comes whole, and need not be kept.
        let begun = match before {
            0 => bytes,
            _ => {
                self.head.extend_from_slice(bytes);
                &self.head
            }
        };
        let mut headers = [EMPTY_HEADER; HEADER_LIMIT];
        let mut response = Response::new(&mut headers);
        let length = match response.parse(begun) {
            Ok(Status::Complete(length)) => length,
            Ok(Status::Partial) if begun.len() < HEAD_LIMIT => {
                if before == 0 {
                    self.head = bytes.to_vec();
                }
                return Ok(None);
            }
            _ => return Err(Fault::Wrong),
        };
        let code = response.code.unwrap_or_default();
        if !(200..300).contains(&code) {
            return Err(Fault::Status(code));
        }
        // HTTP/1.1 goes on unless somebody says otherwise, HTTP/1.0 ends.
        self.keep_alive = !has(response.headers, "Connection", "close")
            && (response.version != Some(0)
                || has(response.headers, "Connection", "keep-alive"));
        let content = values(response.headers, "Content-Length")
            .next()
            .and_then(|value| std::str::from_utf8(value).ok())
            .and_then(|text| text.parse().ok())
            .ok_or(Fault::Wrong)?;
        Ok(Some((length - before, content)))
    }
}
