//! The texts of a replay: of lanes, calls and packets, as the picture and the words have them. What is returned here is not
//! escaped yet.

use crate::story::{Call, Lane, Packet, Time};
use crate::text;

/// A wait is told from here on, in microseconds: shorter ones are the machine's, not the program's.
const NOTABLE: Time = 10_000;

/// How many characters of a lane's name there is room for above it.
const LANE: usize = 20;

/// `text` in one line, without what cannot be shown.
pub fn plain(text: &str) -> String {
    let shows = |byte: &u8| (b' '..=b'~').contains(byte);
    if text.as_bytes().iter().all(shows) {
        return text.into();
    }
    text::readable(text.as_bytes()).replace(['\n', '\t'], " ")
}

/// How many columns of a terminal `text` takes, or a few more.
pub fn cells(text: &str) -> usize {
    text.chars().map(width).sum()
}

/// How many columns a character takes, or one more.
fn width(character: char) -> usize {
    if character < '\u{1100}' { 1 } else { 2 }
}

/// The beginning of `text` that fits in `room` columns, with an ellipsis if that is not all.
pub fn cut(text: &str, room: usize) -> String {
    if cells(text) <= room {
        return text.into();
    }
    let mut short = String::new();
    let mut used = 1;
    for character in text.chars() {
        used += width(character);
        if used > room {
            break;
        }
        short.push(character);
    }
    short.truncate(short.trim_end().len());
    short.push('…');
    short
}

/// `server`; `server, thread 2`; `no program`.
pub fn lane(lane: &Lane) -> String {
    if lane.program.is_none() {
        return "no program".into();
    }
    plain(&match lane.name.rsplit_once("-thread-") {
        Some((program, number)) => format!("{program}, thread {number}"),
        None => lane.name.clone(),
    })
}

/// The same where there is little room: `writes-in-…, thread 3`.
pub fn short_lane(lane: &Lane) -> String {
    let name = self::lane(lane);
    match name.rsplit_once(", thread ") {
        Some((program, number)) if cells(&name) > LANE => {
            let room = LANE.saturating_sub(cells(number) + ", thread ".len());
            format!("{}, thread {number}", cut(program, room.max(2)))
        }
        _ => name,
    }
}

/// How long a call took, if that is worth telling. Times vary from run to run, so there are two digits.
pub fn wait(call: &Call) -> Option<String> {
    let micros = call.end?.saturating_sub(call.start);
    match micros {
        0..NOTABLE => None,
        NOTABLE..99_500 => Some(format!("{} ms", (micros + 500) / 1_000)),
        99_500..995_000 => Some(format!("{} ms", (micros + 5_000) / 10_000 * 10)),
        _ => Some(format!("{:.1} s", micros as f64 / 1e6)),
    }
}

/// `1 byte`, `5 bytes`
pub fn bytes(length: usize) -> String {
    match length {
        1 => "1 byte".into(),
        length => format!("{length} bytes"),
    }
}

/// The beginning of a packet's data: text in quotes, or hexadecimal digits.
pub fn data(packet: &Packet) -> String {
    let data = plain(&packet.data);
    if data.is_empty() || is_hexadecimal(&data) || data.starts_with('"') {
        return data;
    }
    format!("\"{data}\"")
}

/// `16 03 01 …`
fn is_hexadecimal(data: &str) -> bool {
    data.split(' ').all(|part| {
        part == "…" || part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// What stands at an arrow: `SYN`; `5 bytes "hello"`; `ClientHello, 517 bytes`. A segment with data has PSH and ACK as a matter of
/// course.
pub fn packet(packet: &Packet) -> String {
    if packet.length == 0 && packet.tls.is_empty() && !packet.flags.is_empty() {
        return plain(&packet.flags);
    }
    let flags: Vec<&str> = packet
        .flags
        .split('-')
        .filter(|flag| !matches!(*flag, "" | "PSH" | "ACK"))
        .collect();
    let mut parts = Vec::new();
    if !flags.is_empty() {
        parts.push(flags.join("-"));
    }
    if packet.tls.is_empty() {
        parts.push(format!("{} {}", bytes(packet.length), data(packet)));
    } else {
        parts.extend(packet.tls.iter().cloned());
        parts.push(bytes(packet.length));
    }
    if packet.again {
        parts.push("again".into());
    }
    plain(parts.join(", ").trim_end())
}
