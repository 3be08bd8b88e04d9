//! The lines of a file that strace wrote about one thread.

use std::path::Path;

use anyhow::{Context, Result, bail};

/// What strace says of a system call, in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawCall {
    /// Nanoseconds since 1970.
    pub start: u64,
    /// Nanoseconds; none if it did not return, or strace did not see how long it took.
    pub duration: Option<u64>,
    /// The kernel's name for it: `accept4`.
    pub name: String,
    /// As they stand there: `3<TCP:[127.0.0.1:8001]>`, `"hello"...`, `{sa_family=AF_INET, …}`.
    pub arguments: Vec<String>,
    /// `-1 EAGAIN (Resource temporarily unavailable)`; none if it never returned, or nobody saw it.
    pub result: Option<String>,
    /// The innermost first.
    pub frames: Vec<Frame>,
}

/// A place in the code: the call itself, or a call on the way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub binary: String,
    /// The function, without the offset in it; empty if unknown.
    pub symbol: String,
    /// Where the call returns to, as an offset in the file: that is not the address at which the file is loaded, nor the one in
    /// its symbols.
    pub offset: u64,
}

/// How a thread ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Exited(i32),
    /// `SIGKILL`
    Killed(String),
}

/// The calls in `text`, and how the thread ended. `path` is what an error names. What the last line says counts only as far as
/// it goes: strace may have been killed while it wrote.
pub fn read(text: &str, path: &Path) -> Result<(Vec<RawCall>, Option<End>)> {
    let mut calls: Vec<RawCall> = Vec::new();
    let mut end = None;
    // A signal's frames are not those of the call before it.
    let mut frames_are_the_calls = false;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let is_whole = line.ends_with('\n');
        let parsed = parse(line.trim_end_matches(['\n', '\r']), is_whole);
        let parsed = match parsed {
            Err(_) if !is_whole => break,
            parsed => parsed.with_context(|| format!("{}:{}: ", path.display(), number + 1))?,
        };
        match parsed {
            Line::Call(call) => {
                calls.push(call);
                frames_are_the_calls = true;
            }
            Line::Frame(frame) => {
                if frames_are_the_calls && let (Some(call), Some(frame)) = (calls.last_mut(), frame)
                {
                    call.frames.push(frame);
                }
            }
            Line::Signal { stops } => {
                frames_are_the_calls = false;
                // A scene is over when its programs are stopped. They do not go on, so that the program never sees the call
                // return.
                if stops
                    && let Some(call) = calls.last_mut()
                    && call
                        .result
                        .as_ref()
                        .is_some_and(|result| result.starts_with("-1 EINTR "))
                {
                    call.result = None;
                    call.duration = None;
                }
            }
            Line::Unknown => frames_are_the_calls = false,
            Line::End(found) => {
                frames_are_the_calls = false;
                end = found;
            }
        }
    }
    Ok((calls, end))
}

enum Line {
    Call(RawCall),
    /// None if strace did not find it.
    Frame(Option<Frame>),
    Signal {
        stops: bool,
    },
    /// A call of which strace knows nothing.
    Unknown,
    /// None if another thread has taken this one's place.
    End(Option<End>),
}

fn parse(line: &str, is_whole: bool) -> Result<Line> {
    if let Some(text) = line.strip_prefix(" > ") {
        return Ok(Line::Frame(is_whole.then(|| frame(text)).flatten()));
    }
    let (time, text) = line.split_once(' ').context("no time")?;
    let start = nanoseconds(time).with_context(|| format!("{time:?} is no time"))?;
    if let Some(text) = text.strip_prefix("--- ") {
        let stops = text.starts_with("SIGSTOP ") || text.starts_with("stopped by ");
        return Ok(Line::Signal { stops });
    }
    if let Some(text) = text.strip_prefix("+++ ") {
        return Ok(Line::End(thread_end(text)?));
    }
    // A process that is killed before strace has looked at what it asks for.
    if text.starts_with("???(") {
        return Ok(Line::Unknown);
    }
    call(start, text, is_whole).map(Line::Call)
}

/// `1795393589.382582362`, or a duration: `0.000012012`.
fn nanoseconds(text: &str) -> Option<u64> {
    let (seconds, fraction) = text.split_once('.')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if fraction.len() != 9 || !digits(seconds) || !digits(fraction) {
        return None;
    }
    let seconds: u64 = seconds.parse().ok()?;
    seconds
        .checked_mul(1_000_000_000)?
        .checked_add(fraction.parse().ok()?)
}

fn thread_end(text: &str) -> Result<Option<End>> {
    if let Some(code) = text.strip_prefix("exited with ") {
        let code = code.trim_end_matches(" +++");
        return Ok(Some(End::Exited(
            code.parse()
                .with_context(|| format!("{code:?} is no exit code"))?,
        )));
    }
    if let Some(signal) = text.strip_prefix("killed by ") {
        let signal = signal.split(' ').next().unwrap_or_default();
        return Ok(Some(End::Killed(signal.to_owned())));
    }
    Ok(None)
}

/// `/path/to/server(server::main+0x6e) [0x2a2ce]`. Paths and symbols may have parentheses; symbols have no slash.
fn frame(text: &str) -> Option<Frame> {
    let (place, offset) = text.strip_suffix(']')?.rsplit_once(" [0x")?;
    let offset = u64::from_str_radix(offset, 16).ok()?;
    let name = place.rfind('/')?;
    let (binary, symbol) = match place[name..].split_once('(') {
        Some((file, symbol)) => (&place[..name + file.len()], symbol),
        None => (place, ""),
    };
    let symbol = symbol.strip_suffix(')').unwrap_or(symbol);
    let symbol = symbol
        .rsplit_once("+0x")
        .map_or(symbol, |(symbol, _)| symbol);
    Some(Frame {
        binary: binary.to_owned(),
        symbol: symbol.to_owned(),
        offset,
    })
}

/// `accept4(3<TCP:[127.0.0.1:8001]>, …) = 4<TCP:[…]> <0.519585260>`
fn call(start: u64, text: &str, is_whole: bool) -> Result<RawCall> {
    let (name, rest) = text
        .split_once('(')
        .context("neither a call nor an event")?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || !name.bytes().all(is_name) {
        bail!("{name:?} is no system call");
    }
    if let Some(seen) = before_the_end_of_the_thread(rest) {
        // The comma after the last argument may be there or not.
        let (mut arguments, _) = split(&format!("{seen})"), ',');
        arguments.retain(|argument| !argument.is_empty());
        return Ok(RawCall {
            start,
            duration: None,
            name: name.to_owned(),
            arguments,
            result: None,
            frames: Vec::new(),
        });
    }
    let (arguments, end) = split(rest, ',');
    let rest = end.map(|end| &rest[end + 1..]);
    let mut result = rest.and_then(|rest| rest.trim_start().strip_prefix("= "));
    if result.is_none() && is_whole {
        bail!("the call does not end");
    }
    let mut duration = None;
    if let Some((before, time)) = result.and_then(|result| result.rsplit_once(" <"))
        && let Some(time) = time.strip_suffix('>').and_then(nanoseconds)
    {
        duration = Some(time);
        result = Some(before);
    }
    // Half a number is another number.
    let returned = is_whole || duration.is_some();
    // `?` is what the program never sees: it is gone, or the kernel makes the call once more (ERESTARTSYS and the like).
    let result = result.filter(|result| returned && !result.starts_with('?'));
    Ok(RawCall {
        start,
        duration: result.and(duration),
        name: name.to_owned(),
        arguments,
        result: result.map(|result| result.trim_end().to_owned()),
        frames: Vec::new(),
    })
}

/// What strace had written of a call's arguments when it saw that the thread is gone: what is before `<unfinished ...>`.
fn before_the_end_of_the_thread(text: &str) -> Option<&str> {
    let text = text
        .trim_end()
        .strip_suffix("= ?")
        .unwrap_or(text)
        .trim_end();
    let text = text.strip_suffix(')').unwrap_or(text);
    let marks = ["<unfinished ...>", "<detached ...>"];
    marks.iter().find_map(|mark| text.strip_suffix(mark))
}

/// What is between the separators at the top level of `text`, up to the closing parenthesis, bracket or brace that nothing has
/// opened; and where that stands. Without one, what is after the last separator is left out.
pub fn split(text: &str, separator: char) -> (Vec<String>, Option<usize>) {
    let bytes = text.as_bytes();
    let mut parts = Vec::new();
    let mut begin = 0;
    let mut depth = 0_usize;
    let mut position = 0;
    while position < bytes.len() {
        match bytes[position] {
            b'"' => match string_end(text, position) {
                Some(end) => position = end - 1,
                None => break,
            },
            // A comment: `htons(0 /* ETH_P_??? */)`.
            b'/' if bytes[position..].starts_with(b"/*") => match text[position + 2..].find("*/") {
                Some(length) => position += length + 3,
                None => break,
            },
            // What a descriptor is: `3<TCP:[127.0.0.1:8001->127.0.0.1:58170]>`.
            b'<' if position > 0 && bytes[position - 1].is_ascii_digit() => {
                match annotation_end(text, position) {
                    Some(end) => position = end - 1,
                    None => break,
                }
            }
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' if depth > 0 => depth -= 1,
            b')' | b']' | b'}' => {
                let last = text[begin..position].trim();
                if !last.is_empty() || !parts.is_empty() {
                    parts.push(last.to_owned());
                }
                return (parts, Some(position));
            }
            byte if depth == 0 && char::from(byte) == separator => {
                parts.push(text[begin..position].trim().to_owned());
                begin = position + 1;
            }
            _ => {}
        }
        position += 1;
    }
    (parts, None)
}

/// Where the string ends that begins at `begin`, after its quotation mark.
pub fn string_end(text: &str, begin: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut position = begin + 1;
    while position < bytes.len() {
        match bytes[position] {
            b'\\' => position += 1,
            b'"' => return Some(position + 1),
            _ => {}
        }
        position += 1;
    }
    None
}

/// Where the annotation ends that begins at `begin`, after its `>`. Another may be in it: `0</dev/null<char 1:3>>`.
pub fn annotation_end(text: &str, begin: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    let mut position = begin;
    while position < bytes.len() {
        match bytes[position] {
            b'\\' => position += 1,
            b'"' => position = string_end(text, position)? - 1,
            b'<' => depth += 1,
            b'>' if bytes[position - 1] == b'-' => {}
            b'>' if depth == 1 => return Some(position + 1),
            b'>' => depth -= 1,
            _ => {}
        }
        position += 1;
    }
    None
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// The only call in `line`, which has no time.
    pub fn one(line: &str) -> RawCall {
        let (mut calls, _) = read(&format!("1.000000000 {line}\n"), Path::new("0.1")).unwrap();
        assert_eq!(calls.len(), 1);
        calls.remove(0)
    }

    fn calls(text: &str) -> Vec<RawCall> {
        read(text, Path::new("0.1")).unwrap().0
    }

    #[test]
    fn a_call_has_a_start_a_duration_arguments_a_result_and_frames() {
        let (calls, end) = read(
            "1795393589.343723322 connect(3<TCP:[61270982]>, {sa_family=AF_INET, sin_port=htons(8001), \
             sin_addr=inet_addr(\"127.0.0.1\")}, 16) = 0 <0.000103862>\n \
             > /usr/lib/x86_64-linux-gnu/libc.so.6(__connect+0x10) [0x10a7c0]\n \
             > /tmp/a (copy)/client(<std::sys::net::TcpStream>::connect::{{closure}}(()) as fn()+0xdc) [0x6577c]\n \
             > unexpected_backtracing_error [0x55010000000a]\n\
             1795393589.4000000001 +++ exited with 0 +++"
                .replace("4000000001", "400000001")
                .as_str(),
            Path::new("0.1"),
        )
        .unwrap();

        assert_eq!(end, Some(End::Exited(0)));
        let [call] = calls.as_slice() else {
            panic!("{calls:?}")
        };
        assert_eq!(call.start, 1_795_393_589_343_723_322);
        assert_eq!(call.duration, Some(103_862));
        assert_eq!(call.name, "connect");
        assert_eq!(call.arguments.len(), 3);
        assert_eq!(call.arguments[0], "3<TCP:[61270982]>");
        assert_eq!(
            call.arguments[1],
            "{sa_family=AF_INET, sin_port=htons(8001), sin_addr=inet_addr(\"127.0.0.1\")}"
        );
        assert_eq!(call.result.as_deref(), Some("0"));
        assert_eq!(call.frames.len(), 2);
        assert_eq!(call.frames[0].symbol, "__connect");
        assert_eq!(call.frames[1].binary, "/tmp/a (copy)/client");
        assert_eq!(
            call.frames[1].symbol,
            "<std::sys::net::TcpStream>::connect::{{closure}}(()) as fn()"
        );
        assert_eq!(call.frames[1].offset, 0x6577c);
    }

    #[test]
    fn what_programs_send_cannot_be_taken_for_the_end_of_a_call() {
        let call = one(
            r#"sendto(4<TCP:[127.0.0.1:8001->127.0.0.1:58170]>, "\") = 5 <0.000000001>\n\\", 18, MSG_NOSIGNAL, NULL, 0) = 18 <0.002459146>"#,
        );

        assert_eq!(call.arguments[1], r#""\") = 5 <0.000000001>\n\\""#);
        assert_eq!(call.arguments.len(), 6);
        assert_eq!(call.result.as_deref(), Some("18"));
        assert_eq!(call.duration, Some(2_459_146));
    }

    #[test]
    fn annotations_may_hold_arrows_annotations_and_strings() {
        let call = one(
            r#"poll([{fd=0</dev/null<char 1:3>>, events=0}, {fd=4<UNIX-STREAM:[6->7,") = 1 >"]>, events=POLLIN}], 2, 0) = 0 (Timeout) <0.000008057>"#,
        );

        assert_eq!(call.arguments.len(), 3);
        assert_eq!(call.arguments[1], "2");
        assert_eq!(call.result.as_deref(), Some("0 (Timeout)"));
    }

    #[test]
    fn a_call_that_strace_could_not_read_is_none() {
        let (calls, end) = read(
            "1.000000000 ???( <unfinished ...>\n1.000000001 +++ killed by SIGKILL +++\n",
            Path::new("0.1"),
        )
        .unwrap();
        assert_eq!(calls, []);
        assert_eq!(end, Some(End::Killed("SIGKILL".into())));
    }

    #[test]
    fn comments_are_no_arguments() {
        let call = one(
            "socket(AF_PACKET, SOCK_DGRAM|SOCK_CLOEXEC, htons(0 /* a, b) */)) = 3<socket:[61406478]> <0.000026877>",
        );

        assert_eq!(call.arguments[2], "htons(0 /* a, b) */)");
        assert_eq!(call.result.as_deref(), Some("3<socket:[61406478]>"));
    }

    #[test]
    fn a_call_that_waits_at_the_end_of_the_scene_has_not_returned() {
        for line in [
            "accept4(3<TCP:[127.0.0.1:8001]>, 0x7fff79f040e8, [128], SOCK_CLOEXEC) = ? ERESTARTSYS (To be restarted if SA_RESTART is set) <0.308472533>",
            "accept4(3<TCP:[127.0.0.1:8001]>,  <unfinished ...>) = ?",
            "accept4(3<TCP:[127.0.0.1:8001]>,  <unfinished ...>",
            "accept4(3<TCP:[127.0.0.1:8001]>,  <detached ...>",
            "accept4(3<TCP:[127.0.0.1:8001]> <unfinished ...>",
            "accept4(3<TCP:[127.0.0.1:8001]> <unfinished ...>) = ?",
            "exit_group(0)      = ?",
        ] {
            let call = one(line);
            assert_eq!((&call.result, call.duration), (&None, None), "{line}");
            assert!(!call.arguments[0].starts_with('<'), "{line}");
        }
    }

    #[test]
    fn a_call_that_the_end_of_the_scene_interrupts_has_not_returned() {
        let calls = calls(
            "1.000000000 recvfrom(3<TCP:[127.0.0.1:41136->127.0.0.1:8001]>, 0x7ffd1c43e6df, 1, 0, NULL, NULL) = -1 EINTR (Interrupted system call) <0.959912639>\n \
             > /usr/lib/libc.so.6(recv+0x10) [0x10a7c0]\n\
             2.000000000 --- SIGSTOP {si_signo=SIGSTOP, si_code=SI_USER, si_pid=28823, si_uid=0} ---\n \
             > /usr/lib/libc.so.6(recv+0x10) [0x10a7c0]\n\
             2.000000001 --- stopped by SIGSTOP ---\n\
             2.000000002 +++ killed by SIGKILL +++\n",
        );

        assert_eq!(calls.len(), 1);
        assert_eq!(calls[0].result, None);
        assert_eq!(
            calls[0].frames.len(),
            1,
            "a signal's frames are not the call's"
        );
    }

    #[test]
    fn another_signal_leaves_an_interrupted_call_as_it_is() {
        let calls = calls(
            "1.000000000 poll([], 0, 5) = -1 EINTR (Interrupted system call) <0.000000001>\n\
             2.000000000 --- SIGINT {si_signo=SIGINT, si_code=SI_USER, si_pid=1, si_uid=0} ---\n",
        );

        assert_eq!(
            calls[0].result.as_deref(),
            Some("-1 EINTR (Interrupted system call)")
        );
    }

    #[test]
    fn a_last_line_that_is_cut_anywhere_is_no_error_and_has_no_result() {
        let line = "1.000000000 recvfrom(3<UDP:[127.0.0.1:17]>, \"a, b\", 512, 0, NULL, NULL) = 12 <0.000000009>";
        for end in 0..line.len() {
            let calls = calls(&format!(
                "0.000000001 close(3) = 0 <0.000000001>\n{}",
                &line[..end]
            ));
            assert_eq!(calls[0].result.as_deref(), Some("0"));
            if let Some(call) = calls.get(1) {
                assert_eq!(
                    (&call.result, call.duration),
                    (&None, None),
                    "{}",
                    &line[..end]
                );
            }
        }
        assert_eq!(calls(line)[0].result.as_deref(), Some("12"));
        let cut = calls(&line[..50]);
        assert_eq!(cut[0].arguments, ["3<UDP:[127.0.0.1:17]>"]);
    }

    #[test]
    fn a_line_that_cannot_be_understood_is_an_error() {
        for line in [
            "",
            "1.000000000",
            "x close(3) = 0",
            "1.000000000 close(3",
            "1.0 close(3) = 0",
            "1.000000000 <script>(3) = 0",
        ] {
            assert!(
                read(&format!("{line}\n"), Path::new("0.1")).is_err(),
                "{line:?}"
            );
        }
    }
}
