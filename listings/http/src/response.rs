//! A response, as a client reads it: the head, and then a body that knows where it ends.

use std::io::ErrorKind::{InvalidData, UnexpectedEof, Unsupported};
use std::io::{self, BufRead, Read};
use std::mem;

use httparse::{EMPTY_HEADER, ParserConfig, Status};

use crate::message::{HEAD_LIMIT, HEADER_LIMIT, Headers, read_head};

/// How many bytes a body may have.
pub const BODY_LIMIT: u64 = 10 * 1024 * 1024;
/// How many bytes may announce a chunk: its size and whatever stands behind that.
pub const CHUNK_LINE_LIMIT: u64 = 256;
/// How many interim responses may come before the real one.
pub const INTERIM_LIMIT: usize = 8;

/// The head of a response.
#[derive(Clone, Debug)]
pub struct Response {
    /// The head as it came, but for its line ends and the empty line.
    pub text: String,
    pub status: u16,
    /// 0 for HTTP/1.0, 1 for HTTP/1.1.
    pub minor_version: u8,
    pub headers: Headers,
}

impl Response {
    /// Reads a head. Interim responses (RFC 9110, section 15.2) that come before it are
    /// skipped: they say that there is more to come.
    pub fn read(reader: &mut impl BufRead) -> io::Result<Response> {
        for _ in 0..=INTERIM_LIMIT {
            let head = read_head(reader)?;
            if head.is_empty() {
                let what = "the stream ended before an answer came";
                return Err(io::Error::new(UnexpectedEof, what));
            }
            let response = Response::parse(&head)?;
            // 101 is no promise of more: what follows it is another protocol.
            if !matches!(response.status, 100 | 102..=199) {
                return Ok(response);
            }
        }
        let what = format!("more than {INTERIM_LIMIT} interim responses");
        Err(io::Error::new(InvalidData, what))
    }

    fn parse(head: &[u8]) -> io::Result<Response> {
        let mut headers = [EMPTY_HEADER; HEADER_LIMIT];
        let mut parsed = httparse::Response::new(&mut headers);
        let mut parser = ParserConfig::default();
        parser.allow_obsolete_multiline_headers_in_responses(true);
        match parser.parse_response(&mut parsed, head) {
            Ok(Status::Complete(_)) => {}
            Ok(Status::Partial) => return Err(malformed("it is incomplete")),
            Err(httparse::Error::TooManyHeaders) => {
                return Err(malformed(&format!("more than {HEADER_LIMIT} headers")));
            }
            Err(error) => return Err(malformed(&error.to_string())),
        }
        Ok(Response {
            text: lines(head),
            status: parsed.code.unwrap_or_default(),
            minor_version: parsed.version.unwrap_or_default(),
            headers: Headers::new(parsed.headers),
        })
    }

    // ANCHOR: framing
    /// The body that follows in `reader`, if the request was a GET. Its end is marked in
    /// one of three ways (RFC 9112, section 6.3).
    pub fn body<R: BufRead>(&self, reader: R) -> io::Result<Body<R>> {
        let length = self.headers.content_length()?;
        let encodings: Vec<&str> = self.headers.list("transfer-encoding").collect();
        let end = match (encodings.as_slice(), length) {
            _ if matches!(self.status, 101 | 204 | 304) => End::After(0),
            ([], _) if self.headers.count("transfer-encoding") > 0 => {
                let what = "Transfer-Encoding is empty";
                return Err(io::Error::new(InvalidData, what));
            }
            ([], Some(length)) if length > BODY_LIMIT => return Err(too_long()),
            ([], Some(length)) => End::After(length),
            ([], None) => End::OfStream { limit: BODY_LIMIT },
            (_, Some(_)) => {
                let what =
                    "both Transfer-Encoding and Content-Length say where the body ends";
                return Err(io::Error::new(InvalidData, what));
            }
            _ if self.minor_version == 0 => {
                let what = "Transfer-Encoding in a response of HTTP/1.0";
                return Err(io::Error::new(InvalidData, what));
            }
            ([chunked], None) if chunked.eq_ignore_ascii_case("chunked") => End::OfChunks {
                left: 0,
                is_first: true,
                limit: BODY_LIMIT,
            },
            (other, None) => {
                let what = format!("unknown Transfer-Encoding {:?}", other.join(", "));
                return Err(io::Error::new(Unsupported, what));
            }
        };
        Ok(Body { reader, end })
    }
    // ANCHOR_END: framing
}

// ANCHOR: end
/// Where a body ends.
#[derive(Debug)]
enum End {
    /// After so many more bytes.
    After(u64),
    /// After the last chunk. Of the current one, `left` bytes are still to come.
    OfChunks {
        left: u64,
        is_first: bool,
        limit: u64,
    },
    /// At the end of the stream, which must come within `limit` more bytes.
    OfStream { limit: u64 },
}
// ANCHOR_END: end

/// A body, to be read like a file: 0 bytes mean that it has been read to its end.
///
/// A body that is cut short is an error, [`UnexpectedEof`]: a part is not the whole.
#[derive(Debug)]
pub struct Body<R> {
    reader: R,
    end: End,
}

// ANCHOR: body
impl<R: BufRead> Read for Body<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if let End::OfChunks { left: 0, .. } = self.end {
            self.next_chunk()?;
        }
        let left = match &mut self.end {
            End::After(left) | End::OfChunks { left, .. } => left,
            End::OfStream { limit: 0 } if self.reader.fill_buf()?.is_empty() => {
                return Ok(0);
            }
            End::OfStream { limit: 0 } => return Err(too_long()),
            End::OfStream { limit } => {
                let length = read_some(&mut self.reader, buffer, *limit)?;
                *limit -= length as u64;
                return Ok(length);
            }
        };
        if *left == 0 {
            return Ok(0);
        }
        let length = read_some(&mut self.reader, buffer, *left)?;
        if length == 0 {
            let what = format!("the body was cut short: {left} bytes are missing");
            return Err(io::Error::new(UnexpectedEof, what));
        }
        *left -= length as u64;
        Ok(length)
    }
}
// ANCHOR_END: body

impl<R: BufRead> Body<R> {
    // ANCHOR: chunk
    /// Reads the line that announces a chunk (RFC 9112, section 7.1): its size, in hex.
    /// A chunk of size 0 is the last one.
    fn next_chunk(&mut self) -> io::Result<()> {
        let End::OfChunks {
            is_first, limit, ..
        } = self.end
        else {
            return Ok(());
        };
        if !is_first {
            // The line end behind the chunk before this one.
            self.read_line(2)?;
        }
        let line = self.read_line(CHUNK_LINE_LIMIT)?;
        let line = String::from_utf8_lossy(&line);
        let size = line
            .split(';')
            .next()
            .unwrap_or_default()
            .trim_end_matches([' ', '\t']);
        let is_hex = size.bytes().all(|byte| byte.is_ascii_hexdigit());
        let Some(size) = u64::from_str_radix(size, 16).ok().filter(|_| is_hex) else {
            return Err(malformed_chunk(&format!("its size is {line:?}")));
        };
        if size > limit {
            return Err(too_long());
        }
        self.end = End::OfChunks {
            left: size,
            is_first: false,
            limit: limit - size,
        };
        if size == 0 {
            // Headers may follow that could not be known before. Nobody asked for any.
            let mut left = HEAD_LIMIT as u64;
            loop {
                let line = self.read_line(left)?;
                if line.is_empty() {
                    break;
                }
                left -= line.len() as u64 + 2;
            }
            self.end = End::After(0);
        }
        Ok(())
    }
    // ANCHOR_END: chunk

    /// Reads a line of at most `limit` bytes and returns it without the CR LF at its end.
    fn read_line(&mut self, limit: u64) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        let mut part = (&mut self.reader).take(limit);
        part.read_until(b'\n', &mut line)?;
        match line.strip_suffix(b"\r\n") {
            Some(line) => Ok(line.into()),
            None if part.limit() == 0 || line.ends_with(b"\n") => {
                Err(malformed_chunk("a line does not end where it should"))
            }
            None => {
                let what = "the body was cut short: its last chunk is missing";
                Err(io::Error::new(UnexpectedEof, what))
            }
        }
    }
}

/// One read of at most `limit` bytes.
fn read_some(reader: &mut impl Read, buffer: &mut [u8], limit: u64) -> io::Result<usize> {
    let length = buffer
        .len()
        .min(usize::try_from(limit).unwrap_or(usize::MAX));
    reader.read(&mut buffer[..length])
}

/// The lines of a head, fit to be printed.
fn lines(head: &[u8]) -> String {
    let text = String::from_utf8_lossy(head);
    let lines: Vec<&str> = text.trim().lines().collect();
    harmless(&lines.join("\n"))
}

fn malformed(why: &str) -> io::Error {
    io::Error::new(InvalidData, format!("no HTTP response head: {why}"))
}

fn malformed_chunk(why: &str) -> io::Error {
    io::Error::new(InvalidData, format!("no proper chunk: {why}"))
}

fn too_long() -> io::Error {
    io::Error::new(
        InvalidData,
        format!("the body has more than {BODY_LIMIT} bytes"),
    )
}

// ANCHOR: text
/// UTF-8 that comes in pieces, which may end in the middle of a character.
#[derive(Debug, Default)]
pub struct Text {
    /// The beginning of a character that has not come whole.
    incomplete: Vec<u8>,
}

impl Text {
    /// The text that `piece` completes. What is not UTF-8 becomes U+FFFD.
    pub fn decode(&mut self, piece: &[u8]) -> String {
        let mut bytes = mem::take(&mut self.incomplete);
        bytes.extend_from_slice(piece);
        let mut text = String::new();
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            text.push_str(chunk.valid());
            let rest = chunk.invalid();
            let may_go_on =
                std::str::from_utf8(rest).is_err_and(|error| error.error_len().is_none());
            if chunks.peek().is_none() && may_go_on {
                self.incomplete = rest.into();
            } else if !rest.is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        harmless(&text)
    }

    /// What is left when nothing more comes: half a character, perhaps.
    pub fn finish(self) -> String {
        String::from_utf8_lossy(&self.incomplete).into_owned()
    }
}
// ANCHOR_END: text

/// The text without what could make a terminal do something: control characters, except
/// those that end a line or indent it.
pub fn harmless(text: &str) -> String {
    let is_harmful = |c: char| c.is_control() && !matches!(c, '\r' | '\n' | '\t');
    text.replace(is_harmful, "\u{fffd}")
}
