//! What requests and responses have in common: a head of lines, ended by an empty one
//! (RFC 9112, section 2.1).

use std::io::ErrorKind::{FileTooLarge, InvalidData, InvalidInput, UnexpectedEof};
use std::io::{self, BufRead, Read};

use httparse::Header;

/// How many bytes a head may have, and how many headers.
pub const HEAD_LIMIT: usize = 16 * 1024;
pub const HEADER_LIMIT: usize = 64;

/// How much of something strange is shown.
const GLIMPSE: usize = 24;

// ANCHOR: read-head
/// Reads everything up to the empty line, and nothing beyond it. Nothing at all if the
/// stream ends before the first byte.
pub fn read_head(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut lines = reader.take(HEAD_LIMIT as u64);
    let mut head = Vec::new();
    loop {
        let start = head.len();
        lines.read_until(b'\n', &mut head)?;
        match &head[start..] {
            // Before the first line, an empty one does no harm (RFC 9112, section 2.2).
            b"\r\n" | b"\n" if start == 0 => head.clear(),
            b"\r\n" | b"\n" => return Ok(head),
            [.., b'\n'] => {}
            _ if lines.limit() == 0 && start == 0 => {
                let what = format!("the first line has no end within {HEAD_LIMIT} bytes");
                return Err(io::Error::new(InvalidInput, what));
            }
            _ if lines.limit() == 0 => {
                let what = format!("the head has no end within {HEAD_LIMIT} bytes");
                return Err(io::Error::new(FileTooLarge, what));
            }
            _ if head.is_empty() => return Ok(head),
            _ => {
                let glimpse = head[..head.len().min(GLIMPSE)].escape_ascii();
                let what =
                    format!("the stream ended within the head, which began \"{glimpse}\"");
                return Err(io::Error::new(UnexpectedEof, what));
            }
        }
    }
}
// ANCHOR_END: read-head

/// The headers of one message: names and values, in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// Keeps what httparse has found. What is not UTF-8 in a value becomes U+FFFD, and the
    /// end of a line that goes on in the next one a space (RFC 9112, section 5.2).
    pub fn new(headers: &[Header]) -> Headers {
        let text = |value| String::from_utf8_lossy(value).replace(['\r', '\n'], " ");
        Headers(
            headers
                .iter()
                .map(|header| (header.name.to_ascii_lowercase(), text(header.value)))
                .collect(),
        )
    }

    /// The elements of a header whose value is a list. It may stand in one line, with
    /// commas, or in several (RFC 9110, section 5.3).
    pub fn list(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(known, _)| known == name)
            .flat_map(|(_, value)| value.split(','))
            .map(|element| element.trim_matches([' ', '\t']))
            .filter(|element| !element.is_empty())
    }

    /// Whether a header's list has this element, in upper or lower case.
    pub fn has(&self, name: &str, element: &str) -> bool {
        self.list(name)
            .any(|known| known.eq_ignore_ascii_case(element))
    }

    /// How often a header stands there.
    pub fn count(&self, name: &str) -> usize {
        self.0.iter().filter(|(known, _)| known == name).count()
    }

    /// The number in `Content-Length`. Repeated, it must say the same each time: any doubt
    /// about where a message ends is a way to smuggle in another one (RFC 9112, section
    /// 6.3).
    pub fn content_length(&self) -> io::Result<Option<u64>> {
        let mut length = None;
        if self.count("content-length") > 0 && self.list("content-length").next().is_none()
        {
            return Err(io::Error::new(InvalidData, "Content-Length is empty"));
        }
        for text in self.list("content-length") {
            let number = Some(text)
                .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|text| text.parse::<u64>().ok());
            if number.is_none() || length.is_some() && length != number {
                let all: Vec<&str> = self.list("content-length").collect();
                let what = format!("Content-Length is {:?}", all.join(", "));
                return Err(io::Error::new(InvalidData, what));
            }
            length = number;
        }
        Ok(length)
    }
}
