//! Every step as a sentence: for whom the picture says too little, or nothing.

use std::fmt::Write;

use crate::plot::grouped;
use crate::replay::label;
use crate::steps::{Event, Step};
use crate::story::{Call, End, Output, Packet, Protocol, Story};
use crate::text;

use crate::process::Stream;

/// The ordered list, folded.
pub fn write(page: &mut String, story: &Story, steps: &[Step]) {
    let summary = match steps.len() {
        1 => "The one step in words".into(),
        count => format!("All {count} steps in words"),
    };
    let _ = writeln!(
        page,
        "<details class=\"words\"><summary>{summary}</summary>\n<ol>"
    );
    for step in steps {
        let (lane, call) = match step.event {
            Event::Call(call) | Event::Begin(call) | Event::Return(call) => (call.lane, Some(call)),
            Event::Packet(packet) => (packet.from.lane, None),
        };
        let _ = write!(
            page,
            "<li data-step=\"{}\" data-name=\"{}\" data-lane=\"{lane}\"",
            step.number,
            text::html(&label::plain(&step.name))
        );
        let source = call.and_then(|call| call.source.as_ref());
        if let Some(source) = source {
            let file = text::html(&label::plain(&source.file));
            let _ = write!(page, " data-source=\"{file}:{}\"", source.line);
        }
        // The player says the sentence; what is in brackets is for who reads.
        page.push_str("><span>");
        let mut details = sentence(page, story, step);
        page.push_str("</span>");
        if let Some(source) = source {
            let file = text::html(&label::plain(&source.file));
            details.push(format!("{file}, line {}", source.line));
        }
        if !details.is_empty() {
            let _ = write!(page, " ({})", details.join("; "));
        }
        page.push_str("</li>\n");
    }
    page.push_str("</ol>\n");
    left_out(page, story);
    page.push_str("</details>\n");
}

/// What a step is, as escaped HTML; returns the details.
fn sentence(page: &mut String, story: &Story, step: &Step) -> Vec<String> {
    match step.event {
        Event::Call(call) => return at_once(page, story, call),
        Event::Begin(call) => {
            let lane = lane(story, call.lane);
            let code = code(&call.text);
            let _ = match (&call.output, step.returns) {
                (Some(output), _) => {
                    let _ = write!(page, "{lane} writes {}.", printed(output));
                    return vec![code];
                }
                (None, Some(_)) => write!(page, "{lane} calls {code} and waits."),
                (None, None) => write!(
                    page,
                    "{lane} calls {code} and waits; it has not returned when the scene ends."
                ),
            };
        }
        Event::Return(call) => {
            let lane = lane(story, call.lane);
            let code = code(&call.text);
            let _ = match lane.contains(", thread ") {
                true => write!(page, "{code} in {lane}, {}", outcome(call)),
                false => write!(page, "{lane}'s {code} {}", outcome(call)),
            };
            if let Some(wait) = label::wait(call) {
                let _ = write!(page, ", after {wait}");
            }
            page.push('.');
        }
        Event::Packet(packet) => return travels(page, story, packet),
    }
    Vec::new()
}

/// A call during which nothing else happened.
fn at_once(page: &mut String, story: &Story, call: &Call) -> Vec<String> {
    let lane = lane(story, call.lane);
    let code = code(&call.text);
    let outcome = outcome(call);
    if let Some(output) = &call.output {
        let _ = write!(page, "{lane} writes {}.", printed(output));
        return vec![format!("{code} {outcome}")];
    }
    let _ = write!(page, "{lane} calls {code}, which {outcome}");
    if let Some(wait) = label::wait(call) {
        let _ = write!(page, ", after {wait}");
    }
    page.push('.');
    Vec::new()
}

/// `returns 4, from 127.0.0.1:40000`; `fails: ECONNREFUSED (Connection refused)`
fn outcome(call: &Call) -> String {
    let result = call.result.as_deref().unwrap_or_default();
    let verb = if call.failed { "fails:" } else { "returns" };
    format!("{verb} {}", code(result))
}

/// `"listening on 127.0.0.1:8001" to stdout`
fn printed(output: &Output) -> String {
    let stream = match output.stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    };
    let text = label::plain(output.text.trim_end_matches('\n'));
    match text.is_empty() {
        true => format!("the end of a line to {stream}"),
        false => format!("\"{}\" to {stream}", text::html(&text)),
    }
}

/// What travels, from where, and what its TCP makes of it; returns its numbers.
fn travels(page: &mut String, story: &Story, packet: &Packet) -> Vec<String> {
    let _ = write!(
        page,
        "{} → {}: ",
        end(story, &packet.from),
        end(story, &packet.to)
    );
    match packet.protocol {
        Protocol::Tcp => page.push_str(&text::html(&label::plain(&packet.flags))),
        Protocol::Udp => page.push_str("datagram"),
        Protocol::Icmp => {
            let _ = write!(page, "ICMP {}", text::html(&label::plain(&packet.flags)));
        }
    }
    for message in &packet.tls {
        let _ = write!(page, ", {}", text::html(&label::plain(message)));
    }
    if packet.length > 0 || packet.protocol == Protocol::Udp {
        let _ = write!(page, ", {}", label::bytes(packet.length));
    }
    if packet.again {
        page.push_str(", sent again");
    }
    let data = label::data(packet);
    if !data.is_empty() {
        let _ = write!(page, " {}", code(&data));
    }
    for end in [&packet.from, &packet.to] {
        if let Some(state) = &end.state {
            let state = text::html(&label::plain(state));
            let _ = write!(page, "; {} is now {state}", lane(story, end.lane));
        }
    }
    page.push('.');
    let sequence = packet.sequence.map(|number| format!("sequence {number}"));
    let acknowledgement = packet
        .acknowledgement
        .map(|number| format!("acknowledgement {number}"));
    sequence.into_iter().chain(acknowledgement).collect()
}

/// `client, 127.0.0.1:40000`
fn end(story: &Story, end: &End) -> String {
    let address = text::html(&label::plain(&end.address));
    format!("{} ({address})", lane(story, end.lane))
}

fn lane(story: &Story, number: usize) -> String {
    text::html(&label::lane(&story.lanes[number]))
}

fn code(text: &str) -> String {
    format!("<code>{}</code>", text::html(&label::plain(text)))
}

/// What is not told.
fn left_out(page: &mut String, story: &Story) {
    let mut parts = Vec::new();
    for lane in story.lanes.iter().filter(|lane| lane.calls_left_out > 0) {
        let name = text::html(&label::lane(lane));
        parts.push(format!("{} of {name}", calls(lane.calls_left_out)));
    }
    let others = others(story);
    if !others.is_empty() {
        parts.push(text::html(&others));
    }
    if !parts.is_empty() {
        let _ = writeln!(
            page,
            "<p>Between these, not told: {}.</p>",
            parts.join("; ")
        );
    }
}

/// `1 more call`, `1,234 more calls`
pub fn calls(count: usize) -> String {
    more(count, "call")
}

/// What is left out besides calls: `17 more packets; 5 more threads of server`. Empty if that is nothing.
pub fn others(story: &Story) -> String {
    let mut parts = Vec::new();
    if story.packets_left_out > 0 {
        parts.push(more(story.packets_left_out, "packet"));
    }
    for (number, program) in story.programs.iter().enumerate() {
        let first = story.lanes.iter().find(|lane| lane.program == Some(number));
        if let (Some(lane), 1..) = (first, program.threads_left_out) {
            let threads = more(program.threads_left_out, "thread");
            parts.push(format!("{threads} of {}", label::lane(lane)));
        }
    }
    parts.join("; ")
}

fn more(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 more {what}"),
        count => format!("{} more {what}s", grouped(count as u64)),
    }
}
