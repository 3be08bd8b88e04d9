//! Where things are in the picture of a replay. All lengths are CSS pixels, which are the picture's units as well.

use crate::replay::label;
use crate::steps::{Event, Step};
use crate::story::{Call, Packet, Story};

/// What a character of a call or a state takes, at most: a theme's monospaced font is 0.6 em wide, and these have 13 and 12 px.
const CODE: f64 = 7.85;
const STATE: f64 = 7.25;
/// What a character of a packet's label takes, roughly: 14 px, proportional.
const LABEL: f64 = 7.6;

/// From the picture's edge to the end of the steps' numbers.
pub const NUMBERS: i32 = 32;
/// What a character of a lane's name takes, at most: 15 px, proportional; and the box around it.
const NAME: f64 = 8.5;
const BOX: i32 = 24;
/// From one lane's line to the next one's.
const NARROW: i32 = 190;
const WIDE: i32 = 310;
/// To the right of the last one's, for states.
const RIGHT: i32 = 130;

/// Half a bar.
pub const HALF: i32 = 6;
/// From a lane's line to the text beside its bar.
pub const BESIDE: i32 = 14;
/// What is free between a text and the next lane's line.
const FREE: i32 = 14;
/// How far an arrow from a lane to itself reaches.
pub const LOOP: i32 = 44;

/// Above the first row.
const TOP: i32 = 8;
/// A row with one line of text, with two, and with an arrow beneath its text.
pub const ROW: i32 = 26;
const TALL: i32 = 43;
const ARROW: i32 = 36;
/// An arrow that comes back, and has a state at both ends.
const BACK: i32 = 48;

/// Where the lanes and the rows are.
pub struct Layout {
    pub lanes: Vec<Column>,
    /// One for each step.
    pub rows: Vec<Row>,
    pub width: i32,
    /// Where the rows end.
    pub bottom: i32,
}

/// A lane.
pub struct Column {
    /// Its line.
    pub x: i32,
    /// To the next one's line, or to the picture's edge.
    pub width: i32,
}

/// A step.
pub struct Row {
    pub top: i32,
    pub height: i32,
    /// The text beside a call's bar: one line or two.
    pub lines: Vec<String>,
}

impl Layout {
    /// Lanes as wide as their texts need, within limits; rows as high.
    pub fn new(story: &Story, steps: &[Step]) -> Self {
        let lanes = columns(story, steps);
        let mut top = TOP;
        let mut rows = Vec::with_capacity(steps.len());
        for step in steps {
            let (height, lines) = match step.event {
                Event::Packet(packet) if packet.from.lane == packet.to.lane => (BACK, Vec::new()),
                Event::Packet(_) => (ARROW, Vec::new()),
                Event::Call(call) | Event::Begin(call) | Event::Return(call) => {
                    let lines = lines(step, call, lanes[call.lane].room());
                    (if lines.len() > 1 { TALL } else { ROW }, lines)
                }
            };
            rows.push(Row { top, height, lines });
            top += height;
        }
        let width = lanes.last().map_or(NUMBERS, |lane| lane.x + lane.width);
        Self {
            lanes,
            rows,
            width,
            bottom: top,
        }
    }
}

impl Column {
    /// How many characters of a call fit beside the bar.
    fn room(&self) -> usize {
        (f64::from(self.width - BESIDE - FREE) / CODE) as usize
    }
}

fn columns(story: &Story, steps: &[Step]) -> Vec<Column> {
    let count = story.lanes.len();
    let mut widths = vec![NARROW; count];
    if let Some(last) = widths.last_mut() {
        *last = RIGHT;
    }
    for step in steps {
        let (lane, needed) = match step.event {
            Event::Call(call) | Event::Begin(call) | Event::Return(call) => {
                let cells = label::cells(&whole(step, call));
                (call.lane, beside(cells))
            }
            Event::Packet(packet) => {
                let text = width(&label::packet(packet));
                match packet.from.lane == packet.to.lane {
                    true => (packet.from.lane, text + LOOP + BESIDE + FREE),
                    false => (gap(packet), text + 2 * (BESIDE + FREE)),
                }
            }
        };
        widths[lane] = widths[lane].max(needed.min(WIDE));
    }
    let mut x = left(story);
    widths
        .into_iter()
        .map(|width| {
            let column = Column { x, width };
            x += width;
            column
        })
        .collect()
}

/// Where the first lane's line is: there must be room for its name, and on its left for the steps' numbers and its connections'
/// states.
fn left(story: &Story) -> i32 {
    let name = story.lanes.first().map_or(0, |lane| {
        (label::cells(&label::lane(lane)) as f64 * NAME) as i32 + BOX
    });
    let ends = story
        .packets
        .iter()
        .flat_map(|packet| [&packet.from, &packet.to]);
    let states = ends.filter(|end| end.lane == 0);
    let states = states.filter_map(|end| end.state.as_deref());
    let widest = states
        .map(|text| state(&label::cut(text, STATE_CELLS)))
        .max();
    let beside = widest.map_or(BESIDE, |widest| widest + HALF + 12);
    (NUMBERS + beside).max(name.min(NARROW) / 2)
}

/// What a column needs for so many characters of a call.
fn beside(cells: usize) -> i32 {
    (cells as f64 * CODE).ceil().min(1e6) as i32 + BESIDE + FREE
}

/// Roughly how wide a packet's label is.
fn width(label: &str) -> i32 {
    (label::cells(label) as f64 * LABEL).ceil().min(1e6) as i32
}

/// How wide the box around a state is.
pub fn state(state: &str) -> i32 {
    (label::cells(state) as f64 * STATE).ceil() as i32 + 10
}

/// The longest state that there is room for.
pub const STATE_CELLS: usize = 12;

/// The lane to the right of whose line a packet's label stands: at the arrow's beginning, since a bar may be in its middle.
fn gap(packet: &Packet) -> usize {
    match packet.from.lane < packet.to.lane {
        true => packet.from.lane,
        false => packet.from.lane.saturating_sub(1),
    }
}

/// Where the middle of a packet's label is.
pub fn middle(layout: &Layout, packet: &Packet) -> i32 {
    let lane = &layout.lanes[gap(packet)];
    lane.x + lane.width / 2
}

/// A packet's label, cut so that it fits between two lanes.
pub fn fit(layout: &Layout, packet: &Packet) -> String {
    let room = match packet.from.lane == packet.to.lane {
        true => layout.lanes[packet.from.lane].width - LOOP - BESIDE - FREE,
        false => layout.lanes[gap(packet)].width - 2 * BESIDE,
    };
    label::cut(
        &label::packet(packet),
        (f64::from(room) / LABEL).max(1.0) as usize,
    )
}

/// What a call's step says, in one line.
fn whole(step: &Step, call: &Call) -> String {
    match step.event {
        Event::Begin(_) => label::plain(&call.text),
        Event::Return(_) => outcome(call),
        Event::Call(_) | Event::Packet(_) => {
            format!("{} {}", label::plain(&call.text), outcome(call))
        }
    }
}

/// `= 4, from 127.0.0.1:40000 after 1.0 s`
fn outcome(call: &Call) -> String {
    let (result, wait) = parts(call);
    format!("{result}{wait}")
}

fn parts(call: &Call) -> (String, String) {
    let result = call.result.as_deref().unwrap_or("?");
    let wait = label::wait(call).map_or_else(String::new, |wait| format!(" after {wait}"));
    (format!("= {}", label::plain(result)), wait)
}

/// The same in lines of at most `room` characters. How long it took is always told.
fn lines(step: &Step, call: &Call, room: usize) -> Vec<String> {
    let whole = whole(step, call);
    if label::cells(&whole) <= room {
        return vec![whole];
    }
    let (result, wait) = parts(call);
    match step.event {
        Event::Begin(_) | Event::Packet(_) => vec![label::cut(&whole, room)],
        Event::Return(_) if wait.is_empty() => vec![label::cut(&whole, room)],
        Event::Return(_) => vec![label::cut(&result, room), wait.trim_start().into()],
        Event::Call(_) => {
            let left = room.saturating_sub(label::cells(&wait)).max(1);
            let result = label::cut(&result, left);
            vec![
                label::cut(&label::plain(&call.text), room),
                format!("{result}{wait}"),
            ]
        }
    }
}
