//! The picture of a replay as SVG: a lane for each thread, time going down, a row for each step. A call is a bar on its lane, as
//! long as it lasts; a packet is an arrow.

use std::fmt::Write;

use crate::replay::label;
use crate::replay::layout::{self, BESIDE, Column, HALF, LOOP, Layout, ROW, Row};
use crate::replay::words;
use crate::steps::{Event, Step};
use crate::story::{End, Packet, Protocol, Story};
use crate::text;

/// From a row's top to the base of its first line of text, and from there to the next one.
const BASE: i32 = 17;
const LINE: i32 = 17;
/// From the top of a packet's row to its arrow.
const SHAFT: i32 = 25;
/// From a row's edge to the end of a bar that ends in it.
const INSET: i32 = 4;

/// The lanes' names, which stay in sight while the picture scrolls, and the picture.
pub fn write(page: &mut String, id: &str, story: &Story, steps: &[Step]) {
    let layout = Layout::new(story, steps);
    let waiting = steps.iter().any(|step| is_open(step));
    let broken = story.lanes.iter().any(|lane| lane.calls_left_out > 0);
    let mut height = layout.bottom;
    for foot in [waiting, broken, !words::others(story).is_empty()] {
        height += if foot { ROW } else { 0 };
    }
    height += 8;
    let width = layout.width;

    page.push_str(
        "<div class=\"drawing\" tabindex=\"0\" role=\"group\" aria-label=\"The picture of the replay\">\n",
    );
    let _ = write!(page, "<div class=\"lanes\" style=\"width:{width}px\">");
    for (lane, column) in story.lanes.iter().zip(&layout.lanes) {
        let name = text::html(&label::short_lane(lane));
        let class = if lane.program.is_none() {
            " class=\"nobody\""
        } else {
            ""
        };
        let _ = write!(
            page,
            "<span{class} style=\"left:{:.2}%\">{name}</span>",
            100.0 * f64::from(column.x) / f64::from(width.max(1))
        );
    }
    page.push_str("</div>\n");
    let _ = writeln!(
        page,
        "<svg width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-labelledby=\"{id}-replay-title {id}-replay-desc\">"
    );
    describe(page, id, story, steps);
    for column in &layout.lanes {
        let x = column.x;
        let _ = writeln!(page, "<path class=\"life\" d=\"M{x} 0V{height}\"/>");
    }
    for (step, row) in steps.iter().zip(&layout.rows) {
        draw(page, id, &layout, step, row);
    }
    for step in steps {
        bar(page, &layout, steps.len(), step);
    }
    foot(page, story, &layout, steps);
    page.push_str("</svg></div>\n");
}

/// Whether `step` begins a call that does not return.
fn is_open(step: &Step) -> bool {
    matches!(step.event, Event::Begin(_)) && step.returns.is_none()
}

/// The picture's text alternative.
fn describe(page: &mut String, id: &str, story: &Story, steps: &[Step]) {
    let names: Vec<String> = story.lanes.iter().map(label::lane).collect();
    let _ = writeln!(
        page,
        "<title id=\"{id}-replay-title\">The calls of {0}, and the packets between them</title>\n\
         <desc id=\"{id}-replay-desc\">Time goes down, in {1} steps. There is a line for each of {0}; a call is a bar on it, from its \
         beginning to its return, and a packet is an arrow. All steps follow in words.</desc>",
        text::html(&names.join("; ")),
        steps.len()
    );
}

/// A step: its text or its arrow. Its row and its number are not within its element, so that who scrolls to that finds what happens.
fn draw(page: &mut String, id: &str, layout: &Layout, step: &Step, row: &Row) {
    let kind = match step.event {
        Event::Call(_) => "at-once",
        Event::Begin(_) => "begins",
        Event::Return(_) => "returns",
        Event::Packet(packet) => match packet.protocol {
            Protocol::Tcp if packet.flags.contains("RST") => "packet reset",
            Protocol::Tcp if packet.length > 0 => "packet data",
            Protocol::Tcp => "packet",
            Protocol::Udp => "packet datagram",
            Protocol::Icmp => "packet message",
        },
    };
    let Row { top, height, .. } = row;
    let number = step.number;
    let _ = write!(
        page,
        "<path class=\"row\" d=\"M0 {top}h{}v{height}H0z\"/>\
         <text class=\"count\" x=\"{}\" y=\"{}\">{number}</text>\
         <g class=\"step {kind}\" id=\"{id}-{number}\" data-step=\"{number}\">",
        layout.width,
        layout::NUMBERS - 2,
        top + BASE,
    );
    match step.event {
        Event::Call(call) | Event::Begin(call) | Event::Return(call) => {
            let x = layout.lanes[call.lane].x + BESIDE;
            for (line, text) in row.lines.iter().enumerate() {
                let y = top + BASE + line as i32 * LINE;
                let text = text::html(text);
                let _ = write!(
                    page,
                    "<text class=\"code\" x=\"{x}\" y=\"{y}\">{text}</text>"
                );
            }
        }
        Event::Packet(packet) if packet.from.lane == packet.to.lane => {
            there_and_back(page, layout, packet, *top);
        }
        Event::Packet(packet) => arrow(page, layout, packet, *top),
    }
    page.push_str("</g>\n");
}

/// A packet from one lane to another.
fn arrow(page: &mut String, layout: &Layout, packet: &Packet, top: i32) {
    let (from, to) = (
        layout.lanes[packet.from.lane].x,
        layout.lanes[packet.to.lane].x,
    );
    let right = (to - from).signum();
    let y = top + SHAFT;
    let tip = to - right * (HALF + 2);
    let _ = write!(
        page,
        "<path class=\"arrow\" d=\"M{} {y}H{}\"/>",
        from + right * (HALF + 2),
        tip - right * 6
    );
    head(page, tip, y, right);
    let _ = write!(
        page,
        "<text class=\"label\" x=\"{}\" y=\"{}\">{}</text>",
        layout::middle(layout, packet),
        y - 7,
        text::html(&layout::fit(layout, packet))
    );
    state(page, &packet.from, from, -right, y);
    state(page, &packet.to, to, right, y);
}

/// A packet between two sockets of one lane.
fn there_and_back(page: &mut String, layout: &Layout, packet: &Packet, top: i32) {
    let Column { x, .. } = layout.lanes[packet.from.lane];
    let (out, back) = (top + 13, top + 35);
    let _ = write!(
        page,
        "<path class=\"arrow\" d=\"M{} {out}H{}V{back}H{}\"/>",
        x + HALF + 2,
        x + LOOP,
        x + HALF + 8
    );
    head(page, x + HALF + 2, back, -1);
    let _ = write!(
        page,
        "<text class=\"label loop\" x=\"{}\" y=\"{}\">{}</text>",
        x + LOOP + 8,
        (out + back) / 2 + 5,
        text::html(&layout::fit(layout, packet))
    );
    state(page, &packet.from, x, -1, out);
    state(page, &packet.to, x, -1, back);
}

/// An arrow's head.
fn head(page: &mut String, tip: i32, y: i32, right: i32) {
    let _ = write!(
        page,
        "<path class=\"head\" d=\"M{tip} {y}l{0} -5v10z\"/>",
        -9 * right
    );
}

/// The state of a connection, beside the lane at `x`: to its right if `right` is 1, to its left if it is -1.
fn state(page: &mut String, end: &End, x: i32, right: i32, y: i32) {
    let Some(state) = &end.state else {
        return;
    };
    let state = label::cut(&label::plain(state), layout::STATE_CELLS);
    let width = layout::state(&state);
    let left = match right {
        1 => x + HALF + 4,
        _ => x - HALF - 4 - width,
    };
    let _ = write!(
        page,
        "<rect class=\"pill\" x=\"{left}\" y=\"{}\" width=\"{width}\" height=\"18\" rx=\"4\"/>\
         <text class=\"state\" x=\"{}\" y=\"{}\">{}</text>",
        y - 9,
        left + width / 2,
        y + 4,
        text::html(&state)
    );
}

/// The bar of the call that `step` begins, if it begins one.
fn bar(page: &mut String, layout: &Layout, last: usize, step: &Step) {
    let (Event::Call(call) | Event::Begin(call)) = step.event else {
        return;
    };
    let (from, x) = (step.number, layout.lanes[call.lane].x);
    let open = step.returns.is_none();
    let to = step.returns.unwrap_or(last);
    let mut class = String::from("call");
    if open {
        class.push_str(" open");
    }
    if call.failed {
        class.push_str(" failed");
    }
    let top = layout.rows[from - 1].top + INSET;
    let end = &layout.rows[to - 1];
    let _ = write!(
        page,
        "<g class=\"{class}\" data-from=\"{from}\" data-to=\"{to}\" data-lane=\"{}\">",
        call.lane
    );
    if open {
        // It goes on: its end is open, and the wait is told below the last row.
        let bottom = layout.bottom + ROW - INSET;
        let _ = write!(
            page,
            "<path class=\"bar\" d=\"M{0} {bottom}V{top}H{1}V{bottom}\"/>",
            x - HALF,
            x + HALF
        );
    } else {
        let bottom = end.top + end.height - INSET;
        let _ = write!(
            page,
            "<path class=\"bar\" d=\"M{} {top}h{2}v{1}h-{2}z\"/>",
            x - HALF,
            bottom - top,
            2 * HALF
        );
        if call.failed {
            let _ = write!(
                page,
                "<path class=\"cross\" d=\"M{0} {1}l6 6m0 -6l-6 6\"/>",
                x - 3,
                bottom - 9
            );
        }
    }
    page.push_str("</g>\n");
}

/// Below the last row: who is still waiting, and what has been left out.
fn foot(page: &mut String, story: &Story, layout: &Layout, steps: &[Step]) {
    let mut y = layout.bottom;
    let note = |page: &mut String, x: i32, y: i32, text: &str| {
        let _ = write!(
            page,
            "<text class=\"note\" x=\"{x}\" y=\"{}\">{text}</text>",
            y + BASE
        );
    };
    let mut waiting = vec![false; story.lanes.len()];
    for step in steps.iter().filter(|step| is_open(step)) {
        if let Event::Begin(call) = step.event {
            waiting[call.lane] = true;
        }
    }
    for (column, _) in layout
        .lanes
        .iter()
        .zip(&waiting)
        .filter(|(_, waits)| **waits)
    {
        note(page, column.x + BESIDE, y, "still waiting");
    }
    if waiting.contains(&true) {
        y += ROW;
    }
    let broken = || {
        layout
            .lanes
            .iter()
            .zip(&story.lanes)
            .filter(|(_, lane)| lane.calls_left_out > 0)
    };
    for (column, lane) in broken() {
        let x = column.x;
        let _ = write!(
            page,
            "<path class=\"gap\" d=\"M{} {}l12 -5m-12 11l12 -5\"/>",
            x - 6,
            y + 12
        );
        note(page, x + BESIDE, y, &words::calls(lane.calls_left_out));
    }
    if broken().next().is_some() {
        y += ROW;
    }
    let others = words::others(story);
    if !others.is_empty() {
        let x = layout.lanes.first().map_or(0, |lane| lane.x);
        note(page, x + BESIDE, y, &others);
    }
}
