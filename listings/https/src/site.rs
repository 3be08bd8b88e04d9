//! The web site: a handful of pages, and how each is sent.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, SystemTime};

use crate::request::Request;
use crate::response::harmless;

/// How many requests one connection may bring.
pub const REQUEST_LIMIT: usize = 100;

/// How long `/slow` waits after each byte.
const PAUSE: Duration = Duration::from_millis(10);
/// How many bytes a chunk of `/chunked` has: too few for a whole line, and now and then the
/// end of one comes in the middle of a character.
const CHUNK_SIZE: usize = 7;

const HOME: &str =
    "<!doctype html>\n<title>It works</title>\n<p>Hello from the other side.\n";
const GREETINGS: &str = "Hello\nGrüß Gott\nΓειά σου\nこんにちは\n🦀\n";

/// What is sent back.
struct Answer {
    status: &'static str,
    media_type: &'static str,
    /// A further header, for those who need one.
    header: &'static str,
    content: String,
    way: Way,
}

/// How the content is sent.
#[derive(PartialEq)]
enum Way {
    /// With its length in front.
    Whole,
    /// The same, one byte at a time.
    Slowly,
    /// In chunks.
    Chunked,
    /// Until the connection ends.
    UntilClose,
}

/// The answer to a request.
fn answer(request: &Request) -> Answer {
    let page = |way, media_type, content: &str| Answer {
        status: "200 OK",
        media_type,
        header: "",
        content: content.into(),
        way,
    };
    let text = "text/plain; charset=utf-8";
    match (request.method.as_str(), request.path.as_str()) {
        ("GET" | "HEAD", "/") => page(Way::Whole, "text/html; charset=utf-8", HOME),
        ("GET" | "HEAD", "/greetings") => page(Way::Whole, text, GREETINGS),
        ("GET" | "HEAD", "/slow") => page(Way::Slowly, text, GREETINGS),
        ("GET" | "HEAD", "/chunked") => page(Way::Chunked, text, GREETINGS),
        ("GET" | "HEAD", "/until-close") => page(Way::UntilClose, text, GREETINGS),
        ("GET" | "HEAD", "/moved") => Answer {
            header: "Location: /\r\n",
            ..error("301 Moved Permanently")
        },
        ("GET" | "HEAD", _) => error("404 Not Found"),
        ("POST" | "PUT" | "PATCH" | "DELETE" | "CONNECT" | "OPTIONS" | "TRACE", _) => {
            Answer {
                header: "Allow: GET, HEAD\r\n",
                ..error("405 Method Not Allowed")
            }
        }
        _ => error("501 Not Implemented"),
    }
}

/// An answer that says no more than its status.
fn error(status: &'static str) -> Answer {
    Answer {
        status,
        media_type: "text/plain; charset=utf-8",
        header: "",
        content: format!("{status}\n"),
        way: Way::Whole,
    }
}

/// The same without content: a request that could not be read may have been a HEAD.
fn empty(status: &'static str) -> Answer {
    Answer {
        content: String::new(),
        ..error(status)
    }
}

/// Answers one request after another until one side has had enough. Each is logged before
/// its answer goes out: whoever has the answer can look it up in the log.
pub fn serve(stream: impl Read + Write, peer: SocketAddr) {
    let mut reader = BufReader::new(stream);
    for number in 1..=REQUEST_LIMIT {
        // After an answer, a client may say nothing more: that is no failure.
        if number > 1 && !reader.fill_buf().is_ok_and(|bytes| !bytes.is_empty()) {
            return;
        }
        let request = match Request::read(&mut reader) {
            Ok(Some(request)) => request,
            Ok(None) => return eprintln!("{peer}: left without a request"),
            Err(refusal) => {
                let tell = |status| empty(status).send(reader.get_mut(), false, false);
                return match refusal.status.map(tell) {
                    Some(Ok(())) => eprintln!("{peer}: {refusal}"),
                    // There is nobody left to tell, or no time.
                    Some(Err(_)) | None => eprintln!("{peer}: {}", refusal.cause),
                };
            }
        };
        let method = &request.method;
        let path = harmless(&request.path);
        let mut answer = answer(&request);
        eprintln!("{peer}: {method} {path}: {}", answer.status);
        if request.minor_version == 0 && answer.way == Way::Chunked {
            answer.way = Way::UntilClose;
        }
        let keep_alive =
            request.keep_alive && number < REQUEST_LIMIT && answer.way != Way::UntilClose;
        let sent = answer.send(reader.get_mut(), method != "HEAD", keep_alive);
        if sent.is_err() || !keep_alive {
            return;
        }
    }
}

impl Answer {
    /// Sends the head, and the content unless the request was HEAD.
    fn send(
        &self,
        stream: &mut impl Write,
        with_content: bool,
        keep_alive: bool,
    ) -> io::Result<()> {
        let framing = match self.way {
            Way::Whole | Way::Slowly => {
                format!("Content-Length: {}\r\n", self.content.len())
            }
            Way::Chunked => "Transfer-Encoding: chunked\r\n".into(),
            Way::UntilClose => String::new(),
        };
        let mut bytes = format!(
            "HTTP/1.1 {}\r\n\
             Date: {}\r\n\
             Content-Type: {}\r\n\
             {framing}{}\
             Connection: {}\r\n\
             \r\n",
            self.status,
            httpdate::fmt_http_date(SystemTime::now()),
            self.media_type,
            self.header,
            if keep_alive { "keep-alive" } else { "close" },
        )
        .into_bytes();
        let content = self.content.as_bytes();
        match self.way {
            _ if !with_content => {}
            Way::Slowly => return send_slowly(stream, &bytes, content),
            Way::Whole | Way::UntilClose => bytes.extend_from_slice(content),
            Way::Chunked => {
                for chunk in content.chunks(CHUNK_SIZE) {
                    write!(bytes, "{:x}\r\n", chunk.len())?;
                    bytes.extend_from_slice(chunk);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
            }
        }
        stream.write_all(&bytes)?;
        stream.flush()
    }
}

fn send_slowly(stream: &mut impl Write, head: &[u8], content: &[u8]) -> io::Result<()> {
    stream.write_all(head)?;
    for byte in content {
        stream.flush()?;
        thread::sleep(PAUSE);
        stream.write_all(&[*byte])?;
    }
    stream.flush()
}
