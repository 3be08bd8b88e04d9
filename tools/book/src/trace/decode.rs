//! System calls in the words of their manual pages.

use std::collections::BTreeMap;
use std::time::Duration;

use super::data::Data;
use super::descriptor::{Descriptor, Kind, address, listed};
use super::syntax::{RawCall, split};
use crate::process::Stream;
use crate::story::Output;

/// A call, as a story tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// `accept`
    pub name: String,
    /// `accept(3)`
    pub text: String,
    /// `4, from 127.0.0.1:40000`; none if it did not return.
    pub result: Option<String>,
    pub failed: bool,
    /// What it is about: its first argument.
    pub descriptor: Option<Descriptor>,
    pub output: Option<Output>,
}

/// Knows which descriptor of one program is meant by an event of epoll: the kernel says only what the program wants to hear.
#[derive(Debug, Default)]
pub struct Decoder {
    /// By epoll's descriptor and the data.
    watched: BTreeMap<(u32, u64), Descriptor>,
    /// By the data: an epoll may have several descriptors.
    last: BTreeMap<u64, Descriptor>,
}

impl Decoder {
    /// What `call` means. The calls of a program, of all its threads, must come in the order in which they began.
    pub fn decode(&mut self, call: &RawCall) -> Decoded {
        let words = Words(call);
        let (name, text) = self.request(&words);
        let failed = call
            .result
            .as_ref()
            // A connection that has begun has not failed.
            .is_some_and(|result| {
                result.starts_with("-1 ") && !result.starts_with("-1 EINPROGRESS")
            });
        let result = call
            .result
            .as_ref()
            .map(|result| match result.strip_prefix("-1 ") {
                Some(error) => error.to_owned(),
                None => self.result(&words, result),
            });
        Decoded {
            text: format!("{name}({text})"),
            name: name.to_owned(),
            result,
            failed,
            descriptor: Descriptor::parse(words.at(0)),
            output: output(&words),
        }
    }

    /// Its manual page, and its arguments.
    fn request<'a>(&mut self, words: &Words<'a>) -> (&'a str, String) {
        let (at, fd) = (|number| words.at(number), words.fd());
        match words.0.name.as_str() {
            "socket" => {
                let kind = without(at(1), &["SOCK_CLOEXEC"]);
                let protocol = match at(2) {
                    "" | "0" | "IPPROTO_IP" => "",
                    "IPPROTO_TCP" if kind.starts_with("SOCK_STREAM") => "",
                    "IPPROTO_UDP" if kind.starts_with("SOCK_DGRAM") => "",
                    other => other,
                };
                ("socket", list(&[at(0), &kind, protocol]))
            }
            "accept" | "accept4" => ("accept", list(&[&fd, &without(at(3), &["SOCK_CLOEXEC"])])),
            "bind" => ("bind", list(&[&fd, &peer(at(1))])),
            "connect" => ("connect", list(&[&fd, &peer(at(1))])),
            "getsockname" => ("getsockname", fd),
            "getpeername" => ("getpeername", fd),
            "setsockopt" => {
                let value = option_value(at(2), at(3));
                ("setsockopt", list(&[&fd, option_name(at(2)), &value]))
            }
            "getsockopt" => ("getsockopt", list(&[&fd, option_name(at(2))])),
            "sendto" => {
                let flags = without(at(3), &["MSG_NOSIGNAL", "0"]);
                let data = words
                    .data(1)
                    .map_or_else(|| at(1).to_owned(), |data| data.shown());
                match at(4) {
                    "" | "NULL" => ("send", list(&[&fd, &data, &flags])),
                    to => ("sendto", list(&[&fd, &data, &flags, &peer(to)])),
                }
            }
            "recvfrom" => {
                let flags = without(at(3), &["0"]);
                let name = match at(4) {
                    "" | "NULL" => "recv",
                    _ => "recvfrom",
                };
                (name, list(&[&fd, at(2), &flags]))
            }
            "sendmsg" => {
                let data = words.message_data().map(|data| data.shown());
                let to = field(at(1), "msg_name").map(peer);
                let to = to.filter(|to| to != "NULL").unwrap_or_default();
                let flags = without(at(2), &["MSG_NOSIGNAL", "0"]);
                (
                    "sendmsg",
                    list(&[&fd, &data.unwrap_or_default(), &flags, &to]),
                )
            }
            "recvmsg" => (
                "recvmsg",
                list(&[&fd, &without(at(2), &["0", "MSG_CMSG_CLOEXEC"])]),
            ),
            name @ ("write" | "writev") => {
                let data = words
                    .data(1)
                    .map_or_else(|| at(1).to_owned(), |data| data.shown());
                (name, list(&[&fd, &data]))
            }
            "read" => ("read", list(&[&fd, at(2)])),
            "readv" => ("readv", fd),
            name @ ("close" | "shutdown" | "listen" | "exit_group") => (name, list(&[&fd, at(1)])),
            "clock_nanosleep" => match at(1) {
                "0" | "" => ("sleep", seconds(at(2)).unwrap_or_default()),
                // Until an hour of a clock that nobody knows.
                _ => ("sleep", String::from("…")),
            },
            "nanosleep" => ("sleep", seconds(at(0)).unwrap_or_default()),
            "epoll_ctl" => {
                let operation = at(1).trim_start_matches("EPOLL_CTL_");
                self.watch(&fd, operation, at(2), at(3));
                let target = number_of(at(2));
                // What it is added for is everything, or what its events say later.
                let events = field(at(3), "events").filter(|_| operation == "MOD");
                let events = conditions(events.unwrap_or_default(), "EPOLL");
                ("epoll_ctl", list(&[&fd, operation, &target, &events]))
            }
            "epoll_wait" | "epoll_pwait" => ("epoll_wait", list(&[&fd, &timeout(at(3))])),
            "poll" => ("poll", list(&[&polled(at(0)), &timeout(at(2))])),
            "ppoll" => (
                "poll",
                list(&[&polled(at(0)), &seconds(at(2)).unwrap_or_default()]),
            ),
            name => {
                let arguments: Vec<String> = words
                    .0
                    .arguments
                    .iter()
                    .map(|text| number_of(text))
                    .collect();
                (name, arguments.join(", "))
            }
        }
    }

    /// What it returned, if it did not fail.
    fn result(&self, words: &Words, result: &str) -> String {
        let at = |number| words.at(number);
        let (value, note) = result.split_once(" (").unwrap_or((result, ""));
        let value = number_of(value);
        match words.0.name.as_str() {
            "accept" | "accept4" => match address(at(1)).or_else(|| remote(result)) {
                Some(from) => format!("{value}, from {from}"),
                None => value,
            },
            "getsockname" | "getpeername" => match address(at(1)) {
                Some(address) => format!("{value}: {address}"),
                None => value,
            },
            "getsockopt" => {
                let is = option_value(at(2), at(3));
                format!("{value}, {} is {is}", option_name(at(2)))
            }
            "read" | "readv" | "recvfrom" | "recvmsg" => {
                let from = match words.0.name.as_str() {
                    "recvfrom" => address(at(4)),
                    "recvmsg" => field(at(1), "msg_name").and_then(address),
                    _ => None,
                };
                let data = match words.0.name.as_str() {
                    "recvmsg" => words.message_data(),
                    _ => words.data(1),
                };
                let length = value.parse().unwrap_or(0);
                let mut text = value;
                if length > 0
                    && let Some(data) = data
                {
                    text += &format!(": {}", data.up_to(length).shown());
                }
                if let Some(from) = from {
                    text += &format!(", from {from}");
                }
                text
            }
            "epoll_wait" | "epoll_pwait" | "poll" | "ppoll" if value == "0" => {
                String::from("0 (timeout)")
            }
            "epoll_wait" | "epoll_pwait" => {
                let ready: Vec<String> = items(at(1))
                    .iter()
                    .map(|event| self.ready(words, event))
                    .collect();
                format!("{value}: {}", ready.join("; "))
            }
            "poll" | "ppoll" => {
                let ready = items(note.trim_end_matches(')'));
                let ready = ready.iter().filter(|item| item.starts_with("{fd="));
                let ready = ready.map(|item| {
                    let number = field(item, "fd").map(number_of).unwrap_or_default();
                    let conditions = conditions(field(item, "revents").unwrap_or_default(), "POLL");
                    format!("{number} {conditions}")
                });
                let ready: Vec<String> = ready.collect();
                format!("{value}: {}", ready.join("; "))
            }
            _ => value,
        }
    }

    /// Remembers what `epoll_ctl` says.
    fn watch(&mut self, epoll: &str, operation: &str, target: &str, event: &str) {
        let (Ok(epoll), Some(target)) = (epoll.parse::<u32>(), listed(target)) else {
            return;
        };
        if operation == "DEL" {
            self.watched
                .retain(|key, watched| key.0 != epoll || watched.number != target.number);
        } else if let Some(data) = event_data(event) {
            self.last.insert(data, target.clone());
            self.watched.insert((epoll, data), target);
        }
    }

    /// `{events=EPOLLIN, data={u32=0, u64=0}}`: `4 readable`
    fn ready(&self, words: &Words, event: &str) -> String {
        let conditions = conditions(field(event, "events").unwrap_or_default(), "EPOLL");
        let epoll = Descriptor::parse(words.at(0)).map_or(u32::MAX, |epoll| epoll.number);
        let watched = event_data(event).and_then(|data| {
            let own = self.watched.get(&(epoll, data));
            own.or_else(|| self.last.get(&data))
        });
        match watched {
            Some(Descriptor { number, kind }) => {
                let kind = match kind {
                    Kind::Eventfd => " (eventfd)",
                    Kind::Unix => " (UNIX)",
                    Kind::Pipe => " (pipe)",
                    _ => "",
                };
                format!("{number}{kind} {conditions}")
            }
            None => format!("? {conditions}"),
        }
    }
}

/// A call's arguments, of which some may be missing.
struct Words<'a>(&'a RawCall);

impl<'a> Words<'a> {
    fn at(&self, number: usize) -> &'a str {
        self.0.arguments.get(number).map_or("", String::as_str)
    }

    fn fd(&self) -> String {
        number_of(self.at(0))
    }

    fn data(&self, number: usize) -> Option<Data> {
        Data::parse(self.at(number)).or_else(|| Data::parse_vector(self.at(number)))
    }

    fn message_data(&self) -> Option<Data> {
        Data::parse_vector(field(self.at(1), "msg_iov")?)
    }
}

/// What it printed: only as much as was taken.
fn output(words: &Words) -> Option<Output> {
    if !matches!(words.0.name.as_str(), "write" | "writev") {
        return None;
    }
    let descriptor = Descriptor::parse(words.at(0)).filter(Descriptor::is_terminal)?;
    let stream = match descriptor.number {
        1 => Stream::Stdout,
        2 => Stream::Stderr,
        _ => return None,
    };
    let length = words.0.result.as_ref()?.parse().ok()?;
    let text = words.data(1)?.up_to(length).text();
    Some(Output { stream, text })
}

/// Those that say something, with commas.
fn list(arguments: &[&str]) -> String {
    let said: Vec<&str> = arguments
        .iter()
        .copied()
        .filter(|each| !each.is_empty())
        .collect();
    said.join(", ")
}

/// `SOCK_STREAM|SOCK_CLOEXEC` without what a reader need not know.
fn without(flags: &str, dropped: &[&str]) -> String {
    let kept: Vec<&str> = flags
        .split('|')
        .filter(|flag| !dropped.contains(flag))
        .collect();
    kept.join(" | ")
}

/// A descriptor's number; all else as it is.
fn number_of(text: &str) -> String {
    match listed(text) {
        Some(descriptor) => descriptor.number.to_string(),
        None => text.to_owned(),
    }
}

/// `127.0.0.1:8001`, `"socket"`
fn peer(text: &str) -> String {
    if let Some(address) = address(text) {
        return address.to_string();
    }
    match field(text, "sun_path") {
        Some(path) => path.to_owned(),
        None => text.to_owned(),
    }
}

fn remote(text: &str) -> Option<std::net::SocketAddr> {
    match listed(text)?.kind {
        Kind::Socket { remote, .. } => remote,
        _ => None,
    }
}

/// The value of `name` in a structure: `{name=value, …}`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let inside = text.strip_prefix('{')?;
    let mut position = 0;
    for part in split(inside, ',').0 {
        // The parts are trimmed copies: find each again, after the one before it.
        let begin = position + inside.get(position..)?.find(part.as_str())?;
        position = begin + part.len();
        if let Some(value) = part
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('='))
        {
            return inside.get(position - value.len()..position);
        }
    }
    None
}

/// What is in a list: `[…, …]`.
fn items(text: &str) -> Vec<String> {
    text.strip_prefix('[')
        .map(|inside| split(inside, ',').0)
        .unwrap_or_default()
}

/// The kernel has two layouts for times; programs know one name.
fn option_name(name: &str) -> &str {
    name.trim_end_matches("_OLD").trim_end_matches("_NEW")
}

fn option_value(name: &str, value: &str) -> String {
    if name.starts_with("SO_RCVTIMEO") || name.starts_with("SO_SNDTIMEO") {
        let time = Data::parse(value)
            .and_then(|data| time_value(&data.bytes))
            .or_else(|| seconds(value));
        return time.unwrap_or_else(|| value.to_owned());
    }
    if name == "SO_LINGER"
        && let (Some(on), Some(time)) = (field(value, "l_onoff"), field(value, "l_linger"))
    {
        return match on {
            "0" => String::from("off"),
            _ => format!("{time} s"),
        };
    }
    let inside = value
        .strip_prefix('[')
        .and_then(|value| value.strip_suffix(']'));
    inside.unwrap_or(value).to_owned()
}

/// A `struct timeval` as it is in memory: two numbers of 64 bits, or 32.
fn time_value(bytes: &[u8]) -> Option<String> {
    let (seconds, micros) = if bytes.len() == 16 {
        let (seconds, micros) = bytes.split_at(8);
        let number = |bytes: &[u8]| bytes.try_into().ok().map(i64::from_ne_bytes);
        (number(seconds)?, number(micros)?)
    } else {
        let (seconds, micros) = bytes.split_at_checked(4)?;
        let number = |bytes: &[u8]| bytes.try_into().ok().map(i32::from_ne_bytes);
        (number(seconds)?.into(), number(micros)?.into())
    };
    // The library rounds up, and has subtracted the time that is gone.
    let micros = u64::try_from(micros)
        .ok()
        .filter(|micros| *micros <= 1_000_000)?;
    Some(time(
        Duration::from_secs(seconds.try_into().ok()?) + Duration::from_micros(micros),
    ))
}

/// `{tv_sec=0, tv_nsec=10000000}`: `10 ms`; `{tv_sec=5, tv_usec=0}`: `5 s`.
fn seconds(text: &str) -> Option<String> {
    let seconds = field(text, "tv_sec")?.parse().ok()?;
    let part = |name, scale: u64| -> Option<u64> {
        field(text, name)?.parse::<u64>().ok()?.checked_mul(scale)
    };
    let nanos = part("tv_nsec", 1).or_else(|| part("tv_usec", 1_000))?;
    Duration::from_secs(seconds)
        .checked_add(Duration::from_nanos(nanos))
        .map(time)
}

/// Milliseconds; -1 is for ever, and not said.
fn timeout(text: &str) -> String {
    match text.parse::<u64>() {
        Ok(millis) => time(Duration::from_millis(millis)),
        Err(_) => String::new(),
    }
}

/// `5 s`, `1.5 s`, `100 ms`, `0.25 ms`
fn time(duration: Duration) -> String {
    let text = |number: f64| {
        let text = format!("{number:.3}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match duration.as_secs_f64() {
        0.0 => String::from("0 s"),
        seconds if seconds < 1.0 => format!("{} ms", text(seconds * 1000.0)),
        seconds => format!("{} s", text(seconds)),
    }
}

/// `[{fd=3<…>, events=POLLOUT}]`: `3 writable`
fn polled(text: &str) -> String {
    let all = items(text);
    let all = all.iter().map(|item| {
        let number = field(item, "fd").map(number_of).unwrap_or_default();
        let conditions = conditions(field(item, "events").unwrap_or_default(), "POLL");
        format!("{number} {conditions}").trim_end().to_owned()
    });
    all.collect::<Vec<_>>().join("; ")
}

/// `EPOLLIN|EPOLLRDHUP`: `readable, peer closed`. Flags that say how to report are left out.
fn conditions(flags: &str, prefix: &str) -> String {
    let words = flags.split('|').filter_map(|flag| {
        let known = match flag.strip_prefix(prefix)? {
            "IN" => "readable",
            "OUT" => "writable",
            "PRI" => "urgent data",
            "ERR" => "error",
            "HUP" => "hung up",
            "RDHUP" => "peer closed",
            "ET" | "ONESHOT" | "EXCLUSIVE" | "WAKEUP" | "RDNORM" | "WRNORM" => return None,
            _ => flag,
        };
        Some(known)
    });
    words.collect::<Vec<_>>().join(", ")
}

/// What the program has given to know the event by.
fn event_data(event: &str) -> Option<u64> {
    field(field(event, "data")?, "u64")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::syntax::tests::one;
    use super::*;

    fn decoded(line: &str) -> Decoded {
        Decoder::default().decode(&one(line))
    }

    /// `name | text | result`
    fn told(line: &str) -> String {
        summary(&decoded(line))
    }

    fn summary(decoded: &Decoded) -> String {
        let result = decoded.result.as_deref().unwrap_or("-");
        let failed = if decoded.failed { " !" } else { "" };
        format!("{} | {} | {result}{failed}", decoded.name, decoded.text)
    }

    #[test]
    fn calls_are_told_in_the_words_of_their_manual_pages() {
        for (line, expected) in [
            (
                "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_IP) = 3<TCP:[61270982]> <0.000019901>",
                "socket | socket(AF_INET, SOCK_STREAM) | 3",
            ),
            (
                "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK, IPPROTO_TCP) = 9<TCP:[61412436]> <0.003969728>",
                "socket | socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK) | 9",
            ),
            (
                "setsockopt(3<TCP:[61271431]>, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0 <0.000016139>",
                "setsockopt | setsockopt(3, SO_REUSEADDR, 1) | 0",
            ),
            (
                r#"setsockopt(3<TCP:[127.0.0.1:58170->127.0.0.1:8001]>, SOL_SOCKET, SO_RCVTIMEO_OLD, "\5\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16) = 0 <0.000023425>"#,
                "setsockopt | setsockopt(3, SO_RCVTIMEO, 5 s) | 0",
            ),
            (
                r#"setsockopt(4<TCP:[127.0.0.1:8001->127.0.0.1:58170]>, SOL_SOCKET, SO_SNDTIMEO_OLD, "\4\0\0\0\0\0\0\0?B\17\0\0\0\0\0", 16) = 0 <0.000008488>"#,
                "setsockopt | setsockopt(4, SO_SNDTIMEO, 5 s) | 0",
            ),
            (
                "setsockopt(4<TCP:[127.0.0.1:1->127.0.0.1:2]>, SOL_SOCKET, SO_SNDTIMEO_OLD, {tv_sec=1, tv_usec=500000}, 16) = 0 <0.000008488>",
                "setsockopt | setsockopt(4, SO_SNDTIMEO, 1.5 s) | 0",
            ),
            (
                "setsockopt(4<TCP:[127.0.0.1:1->127.0.0.1:2]>, SOL_SOCKET, SO_LINGER, {l_onoff=1, l_linger=0}, 8) = 0 <0.000008488>",
                "setsockopt | setsockopt(4, SO_LINGER, 0 s) | 0",
            ),
            (
                "setsockopt(5<TCP:[127.0.0.1:1->127.0.0.1:2]>, SOL_TCP, TCP_NODELAY, [1], 4) = 0 <0.000008488>",
                "setsockopt | setsockopt(5, TCP_NODELAY, 1) | 0",
            ),
            (
                "getsockopt(4<TCP:[127.0.0.1:1->127.0.0.1:2]>, SOL_SOCKET, SO_ERROR, [ECONNREFUSED], [4]) = 0 <0.000008488>",
                "getsockopt | getsockopt(4, SO_ERROR) | 0, SO_ERROR is ECONNREFUSED",
            ),
            (
                r#"bind(3<TCP:[61271431]>, {sa_family=AF_INET, sin_port=htons(8001), sin_addr=inet_addr("127.0.0.1")}, 16) = 0 <0.000029606>"#,
                "bind | bind(3, 127.0.0.1:8001) | 0",
            ),
            (
                "listen(3<TCP:[127.0.0.1:8001]>, 128) = 0 <0.000022445>",
                "listen | listen(3, 128) | 0",
            ),
            (
                r#"getsockname(3<TCP:[127.0.0.1:8001]>, {sa_family=AF_INET, sin_port=htons(8001), sin_addr=inet_addr("127.0.0.1")}, [128 => 16]) = 0 <0.000009041>"#,
                "getsockname | getsockname(3) | 0: 127.0.0.1:8001",
            ),
            (
                r#"accept4(3<TCP:[127.0.0.1:8001]>, {sa_family=AF_INET, sin_port=htons(58170), sin_addr=inet_addr("127.0.0.1")}, [128 => 16], SOCK_CLOEXEC) = 4<TCP:[127.0.0.1:8001->127.0.0.1:58170]> <0.519585260>"#,
                "accept | accept(3) | 4, from 127.0.0.1:58170",
            ),
            (
                "accept4(9<TCP:[127.0.0.1:8001]>, 0x7ffc7e1e6450, [128], SOCK_CLOEXEC|SOCK_NONBLOCK) = -1 EAGAIN (Resource temporarily unavailable) <0.000017918>",
                "accept | accept(9, SOCK_NONBLOCK) | EAGAIN (Resource temporarily unavailable) !",
            ),
            (
                "accept4(3<TCP:[127.0.0.1:8001]>, 0x7fff79f040e8, [128], SOCK_CLOEXEC) = ? ERESTARTSYS (To be restarted if SA_RESTART is set) <0.308472533>",
                "accept | accept(3) | -",
            ),
            (
                "accept4(3<TCP:[127.0.0.1:8001]>,  <unfinished ...>) = ?",
                "accept | accept(3) | -",
            ),
            (
                r#"connect(3<TCP:[1]>, {sa_family=AF_INET, sin_port=htons(8001), sin_addr=inet_addr("127.0.0.1")}, 16) = -1 ECONNREFUSED (Connection refused) <0.000103862>"#,
                "connect | connect(3, 127.0.0.1:8001) | ECONNREFUSED (Connection refused) !",
            ),
            (
                r#"connect(3<TCPv6:[1]>, {sa_family=AF_INET6, sin6_port=htons(8001), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "::1", &sin6_addr), sin6_scope_id=0}, 28) = 0 <0.000103862>"#,
                "connect | connect(3, [::1]:8001) | 0",
            ),
            (
                r#"sendto(4<TCP:[127.0.0.1:8001->127.0.0.1:58170]>, "hello", 5, MSG_NOSIGNAL, NULL, 0) = 5 <0.002459146>"#,
                r#"send | send(4, "hello") | 5"#,
            ),
            (
                r#"recvfrom(4<TCP:[127.0.0.1:8001->127.0.0.1:58170]>, "hello", 4096, 0, NULL, NULL) = 5 <0.000072093>"#,
                r#"recv | recv(4, 4096) | 5: "hello""#,
            ),
            (
                r#"recvfrom(5<TCP:[127.0.0.1:39061->127.0.0.1:39482]>, "helloworld", 10, MSG_PEEK, NULL, NULL) = 10 <0.000024086>"#,
                r#"recv | recv(5, 10, MSG_PEEK) | 10: "helloworld""#,
            ),
            (
                r#"recvfrom(4<TCP:[127.0.0.1:8001->127.0.0.1:58170]>, "", 4096, 0, NULL, NULL) = 0 <0.000012101>"#,
                "recv | recv(4, 4096) | 0",
            ),
            (
                "recvfrom(10<TCP:[127.0.0.1:8001->127.0.0.1:41136]>, 0x55f5ebac7fd0, 4096, 0, NULL, NULL) = -1 EAGAIN (Resource temporarily unavailable) <0.000013831>",
                "recv | recv(10, 4096) | EAGAIN (Resource temporarily unavailable) !",
            ),
            (
                r#"sendto(3<UDP:[127.0.0.1:49377]>, "hello", 5, MSG_NOSIGNAL, {sa_family=AF_INET6, sin6_port=htons(9), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "::1", &sin6_addr), sin6_scope_id=0}, 28) = -1 EAFNOSUPPORT (Address family not supported by protocol) <0.000013166>"#,
                r#"sendto | sendto(3, "hello", [::1]:9) | EAFNOSUPPORT (Address family not supported by protocol) !"#,
            ),
            (
                r#"recvfrom(3<UDP:[127.0.0.1:1717]>, "\n", 512, 0, {sa_family=AF_INET, sin_port=htons(44871), sin_addr=inet_addr("127.0.0.1")}, [128 => 16]) = 1 <0.000030605>"#,
                r#"recvfrom | recvfrom(3, 512) | 1: "\n", from 127.0.0.1:44871"#,
            ),
            (
                r#"sendmsg(3<UDP:[127.0.0.1:49377]>, {msg_name={sa_family=AF_INET, sin_port=htons(9), sin_addr=inet_addr("127.0.0.1")}, msg_namelen=16, msg_iov=[{iov_base="a}, ", iov_len=4}], msg_iovlen=1, msg_controllen=0, msg_flags=0}, MSG_NOSIGNAL) = 4 <0.000013166>"#,
                r#"sendmsg | sendmsg(3, "a}, ", 127.0.0.1:9) | 4"#,
            ),
            (
                r#"recvmsg(3<TCP:[127.0.0.1:1->127.0.0.1:2]>, {msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base="hello", iov_len=4096}], msg_iovlen=1, msg_controllen=0, msg_flags=0}, 0) = 5 <0.000013166>"#,
                r#"recvmsg | recvmsg(3) | 5: "hello""#,
            ),
            (
                r#"writev(3<TCP:[127.0.0.1:1->127.0.0.1:2]>, [{iov_base="HTTP/1.1 200 OK\r\n", iov_len=17}, {iov_base="\r\n", iov_len=2}], 2) = 19 <0.000013166>"#,
                r#"writev | writev(3, "HTTP/1.1 200 OK\r\n\r\n") | 19"#,
            ),
            (
                "shutdown(3<TCP:[127.0.0.1:41138->127.0.0.1:8001]>, SHUT_WR) = 0 <0.000093672>",
                "shutdown | shutdown(3, SHUT_WR) | 0",
            ),
            (
                "close(4<TCP:[127.0.0.1:8001->127.0.0.1:58170]>) = 0 <0.002115896>",
                "close | close(4) | 0",
            ),
            (
                "clock_nanosleep(CLOCK_MONOTONIC, 0, {tv_sec=0, tv_nsec=10000000}, 0x7ffc35dada58) = 0 <0.010078747>",
                "sleep | sleep(10 ms) | 0",
            ),
            (
                "clock_nanosleep(CLOCK_MONOTONIC, 0, {tv_sec=2, tv_nsec=0}, {tv_sec=1, tv_nsec=213298335}) = ? ERESTART_RESTARTBLOCK (Interrupted by signal) <0.786782523>",
                "sleep | sleep(2 s) | -",
            ),
            (
                "poll([{fd=3<TCP:[127.0.0.1:47556->127.0.0.1:8080]>, events=POLLOUT}], 1, 4999) = 1 ([{fd=3, revents=POLLOUT|POLLHUP}]) <0.002112924>",
                "poll | poll(3 writable, 4.999 s) | 1: 3 writable, hung up",
            ),
            (
                "poll([{fd=3<TCP:[1]>, events=POLLIN}], 1, -1) = 0 (Timeout) <0.002112924>",
                "poll | poll(3 readable) | 0 (timeout)",
            ),
            ("exit_group(1)      = ?", "exit_group | exit_group(1) | -"),
        ] {
            assert_eq!(told(line), expected, "{line}");
        }
    }

    #[test]
    fn encrypted_data_is_told_in_digits() {
        assert_eq!(
            told(
                r#"sendto(3<TCP:[127.0.0.1:1->127.0.0.1:8443]>, "\26\3\1\0\376\1\0\0\372\3\3\303\237\34\0\7\245!"..., 259, MSG_NOSIGNAL, NULL, 0) = 259 <0.000073311>"#
            ),
            "send | send(3, 16 03 01 00 fe 01 00 00 fa 03 03 c3 9f 1c 00 07 …) | 259"
        );
    }

    #[test]
    fn what_a_peer_says_cannot_pretend_to_be_a_result() {
        assert_eq!(
            told(
                r#"recvfrom(4<TCP:[127.0.0.1:8001->127.0.0.1:58170]>, "\", 1) = 5 <0.000000001>\n</script>", 4096, 0, NULL, NULL) = 33 <0.000072093>"#
            ),
            r#"recv | recv(4, 4096) | 33: "\", 1) = 5 <0.000000001>\n</script>""#
        );
    }

    #[test]
    fn a_value_in_a_string_is_no_field() {
        let text = r#"{msg_name="msg_iov=[", msg_iov=[{iov_base="x"}]}"#;
        assert_eq!(field(text, "msg_iov"), Some(r#"[{iov_base="x"}]"#));
        assert_eq!(field("{a=a, b=a}", "b"), Some("a"));
        assert_eq!(field("NULL", "b"), None);
    }

    #[test]
    fn what_is_printed_is_kept_whole_and_only_as_far_as_it_was_taken() {
        let long = "x".repeat(100);
        let printed = decoded(&format!(
            r#"write(1<pipe:[1]>, "caf\303\251 {long}\n", 107) = 107 <0.000029375>"#
        ));
        assert_eq!(
            printed.text,
            format!("write(1, \"café {}\"…)", "x".repeat(43))
        );
        assert_eq!(
            printed.output,
            Some(Output {
                stream: Stream::Stdout,
                text: format!("café {long}\n"),
            })
        );

        let partly = decoded(r#"write(2<pipe:[1]>, "hello", 5) = 3 <0.000029375>"#);
        let output = partly.output.unwrap();
        assert_eq!(
            (output.stream, output.text.as_str()),
            (Stream::Stderr, "hel")
        );

        for line in [
            r#"write(1<pipe:[1]>, "hello", 5) = -1 EPIPE (Broken pipe) <0.000029375>"#,
            r#"write(1<TCP:[127.0.0.1:1->127.0.0.1:2]>, "hello", 5) = 5 <0.000029375>"#,
            r#"write(4<anon_inode:[eventfd]>, "\1\0\0\0\0\0\0\0", 8) = 8 <0.000009822>"#,
        ] {
            assert_eq!(decoded(line).output, None, "{line}");
        }
    }

    #[test]
    fn an_event_is_told_with_the_descriptor_that_it_is_about() {
        let mut decoder = Decoder::default();
        let mut told = |line: &str| summary(&decoder.decode(&one(line)));
        told(
            "epoll_ctl(3<anon_inode:[eventpoll]>, EPOLL_CTL_ADD, 4<anon_inode:[eventfd]>, {events=EPOLLIN|EPOLLRDHUP|EPOLLET, data={u32=0, u64=0}}) = 0 <0.000022030>",
        );
        // The runtime watches through a second descriptor for the same epoll.
        assert_eq!(
            told(
                "epoll_ctl(5<anon_inode:[eventpoll]>, EPOLL_CTL_ADD, 9<TCP:[127.0.0.1:8001]>, {events=EPOLLIN|EPOLLOUT|EPOLLRDHUP|EPOLLET, data={u32=3953949184, u64=94514709297664}}) = 0 <0.000035741>"
            ),
            "epoll_ctl | epoll_ctl(5, ADD, 9) | 0"
        );
        assert_eq!(
            told(
                "epoll_wait(3<anon_inode:[eventpoll]>, [{events=EPOLLIN|EPOLLRDHUP, data={u32=3953949184, u64=94514709297664}}, {events=EPOLLIN, data={u32=0, u64=0}}, {events=EPOLLERR, data={u32=7, u64=7}}], 1024, 3841) = 3 <0.000018705>"
            ),
            "epoll_wait | epoll_wait(3, 3.841 s) | 3: 9 readable, peer closed; 4 (eventfd) readable; ? error"
        );
        assert_eq!(
            told(
                "epoll_ctl(5<anon_inode:[eventpoll]>, EPOLL_CTL_DEL, 9<TCP:[127.0.0.1:8001->127.0.0.1:41138]>, NULL) = 0 <0.000024521>"
            ),
            "epoll_ctl | epoll_ctl(5, DEL, 9) | 0"
        );
        assert_eq!(
            told("epoll_wait(3<anon_inode:[eventpoll]>, [], 1024, -1) = 0 <0.000018705>"),
            "epoll_wait | epoll_wait(3) | 0 (timeout)"
        );
    }

    #[test]
    fn a_call_of_which_strace_wrote_only_a_part_is_told_as_far_as_it_goes() {
        for name in [
            "socket",
            "accept4",
            "bind",
            "connect",
            "setsockopt",
            "getsockopt",
            "sendto",
            "recvfrom",
            "sendmsg",
            "recvmsg",
            "write",
            "writev",
            "read",
            "readv",
            "epoll_ctl",
            "epoll_wait",
            "poll",
            "ppoll",
            "clock_nanosleep",
            "nanosleep",
            "close",
            "other",
        ] {
            let decoded = decoded(&format!("{name}(<unfinished ...>) = ?"));
            assert!(decoded.text.ends_with("()"), "{}", decoded.text);
            assert_eq!(decoded.result, None);
        }
    }
}
