//! The steps of a replay: a story's events, one after another, with the names by which chapters call them.

use std::collections::BTreeMap;

use crate::story::{Call, Packet, Protocol, Story};

/// One event of a story.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A call during which nothing else happened.
    Call(&'a Call),
    /// A call begins; other things happen before it returns, if it does.
    Begin(&'a Call),
    /// It returns.
    Return(&'a Call),
    Packet(&'a Packet),
}

/// One step of a replay.
#[derive(Clone, Debug)]
pub struct Step<'a> {
    /// The first one is 1.
    pub number: usize,
    /// `server:accept`, `server:accept:returns`, `client:SYN`, `server:data`: no other step has it.
    pub name: String,
    pub event: Event<'a>,
    /// If it begins a call: the number of the step at which that returns, which is this one if nothing else happens before; none if
    /// the scene ends before.
    pub returns: Option<usize>,
}

/// The steps of `story`, in order.
pub fn steps(story: &Story) -> Vec<Step<'_>> {
    // What happens at the same time: returns come first, then packets, then calls.
    let mut events = Vec::new();
    for (number, call) in story.calls.iter().enumerate() {
        events.push((call.start, 2, number, Event::Begin(call)));
        if let Some(end) = call.end {
            let order = if end == call.start { 3 } else { 0 };
            events.push((end, order, number, Event::Return(call)));
        }
    }
    for (number, packet) in story.packets.iter().enumerate() {
        events.push((packet.time, 1, number, Event::Packet(packet)));
    }
    events.sort_by_key(|(time, order, number, _)| (*time, *order, *number));

    let mut steps: Vec<Step> = Vec::new();
    let mut open = BTreeMap::<usize, usize>::new();
    let mut names = BTreeMap::<String, usize>::new();
    for (_, _, number, event) in events {
        if let Event::Return(call) = event
            && let Some(begin) = open.remove(&number)
        {
            if begin + 1 == steps.len() {
                steps[begin].event = Event::Call(call);
                steps[begin].returns = Some(begin + 1);
                continue;
            }
            steps[begin].returns = Some(steps.len() + 1);
            let name = format!("{}:returns", steps[begin].name);
            push(&mut steps, name, event);
            continue;
        }
        let base = name(story, event);
        let count = names.entry(base.clone()).or_default();
        *count += 1;
        let name = match *count {
            1 => base,
            count => format!("{base}-{count}"),
        };
        if let Event::Begin(_) = event {
            open.insert(number, steps.len());
        }
        push(&mut steps, name, event);
    }
    steps
}

fn push<'a>(steps: &mut Vec<Step<'a>>, name: String, event: Event<'a>) {
    steps.push(Step {
        number: steps.len() + 1,
        name,
        event,
        returns: None,
    });
}

/// `server:accept`, `client:SYN`, `client:data`; not yet told apart from others of the kind.
fn name(story: &Story, event: Event) -> String {
    match event {
        Event::Call(call) | Event::Begin(call) | Event::Return(call) => {
            format!("{}:{}", story.lanes[call.lane].name, call.name)
        }
        Event::Packet(packet) => {
            let lane = &story.lanes[packet.from.lane].name;
            let what = match packet.protocol {
                Protocol::Udp => "datagram",
                Protocol::Icmp => &packet.flags,
                Protocol::Tcp if packet.has("SYN") && packet.has("ACK") => "SYN-ACK",
                Protocol::Tcp if packet.has("SYN") => "SYN",
                Protocol::Tcp if packet.has("RST") => "RST",
                Protocol::Tcp if packet.has("FIN") => "FIN",
                Protocol::Tcp if packet.length == 0 => "ACK",
                Protocol::Tcp if packet.again => "again",
                // Of several alike, one: `ApplicationData ×3`.
                Protocol::Tcp => match packet.tls.first() {
                    Some(message) => message.split(" ×").next().unwrap_or("data"),
                    None => "data",
                },
            };
            format!("{lane}:{what}")
        }
    }
}
