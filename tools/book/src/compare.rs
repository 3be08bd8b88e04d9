//! Compares two runs of a scene: whether they tell the same story, apart from what no two runs have in common.
//!
//! Times, ephemeral ports and dates differ; so does in which order programs do what does not depend on each other, how often a call has to
//! wait, and into how many pieces a stream is cut. So each lane is compared for itself, and each direction between two lanes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use anyhow::{Result, bail, ensure};
use regex::Regex;

use crate::story::{Call, Lane, Packet, Protocol, Story};

/// What differs in a text: numbers, and the names of days and months.
static VARYING: LazyLock<Regex> = LazyLock::new(|| {
    let names = "(?:Sun|Mon|Tues|Wednes|Thurs|Fri|Satur)day|(?:Sun|Mon|Tue|Wed|Thu|Fri|Sat),|Jan[a-z]*|Feb[a-z]*|Mar[a-z]*|Apr[a-z]*|May|June?|July?|Aug[a-z]*|Sep[a-z]*|Oct[a-z]*|Nov[a-z]*|Dec[a-z]*";
    // Bytes that are no text are written as such: `16 03 01`.
    let bytes = "[0-9a-f]{2}(?: [0-9a-f]{2})+";
    Regex::new(&format!(r"\b(?:{bytes}|{names})|\d+")).expect("the pattern is fixed and valid")
});

/// Fails unless both tell the same story, and says where they part.
pub fn same(old: &Story, new: &Story) -> Result<()> {
    let commands = |story: &Story| -> Vec<(String, Option<i32>)> {
        let programs = story.programs.iter();
        programs
            .map(|program| (program.command.clone(), program.exit_code))
            .collect()
    };
    ensure!(
        commands(old) == commands(new),
        "the programs were {:?}, and are {:?}",
        commands(old),
        commands(new)
    );
    // Where a gap begins and ends depends on how often calls had to wait.
    let gaps: Vec<bool> = (0..old.programs.len())
        .map(|program| has_gap(old, program) || has_gap(new, program))
        .collect();
    same_lines("lane", calls(old, &gaps), calls(new, &gaps))?;
    let has_all_packets = old.packets_left_out == 0 && new.packets_left_out == 0;
    if gaps.contains(&true) || !has_all_packets {
        return Ok(());
    }
    same_lines("packets", packets(old), packets(new))
}

fn has_gap(story: &Story, program: usize) -> bool {
    let is_cut = |lane: &Lane| lane.program == Some(program) && lane.calls_left_out > 0;
    story.programs[program].threads_left_out > 0 || story.lanes.iter().any(is_cut)
}

/// What stands between the items of a sequence.
const BETWEEN: &str = " | ";

/// What each of several sequences has in it, by their names.
type Sequences = BTreeMap<String, Vec<String>>;

fn same_lines(what: &str, old: Sequences, new: Sequences) -> Result<()> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for name in names {
        let (Some(was), Some(is)) = (old.get(name), new.get(name)) else {
            bail!("{what} {name}: only one of the two runs has it");
        };
        let parts = was.iter().zip(is).position(|(was, is)| was != is);
        let position = parts.unwrap_or(was.len().min(is.len()));
        let at = |sequences: &[String]| -> Vec<String> {
            let sequence = sequences.get(position).map(String::as_str);
            let items = sequence.unwrap_or_default().split(BETWEEN);
            items.map(String::from).collect()
        };
        let (before, after) = (at(was), at(is));
        let pairs = before.iter().zip(&after);
        let item = pairs.take_while(|(was, is)| was == is).count();
        let at = |items: &[String]| items.get(item).cloned().unwrap_or("nothing more".into());
        ensure!(
            was == is,
            "{what} {name}, number {}, item {}: it was {:?}, and is {:?}",
            position + 1,
            item + 1,
            at(&before),
            at(&after)
        );
    }
    Ok(())
}

/// The calls of each lane that had an effect, and then where it read. Threads of a program are told apart by what they did, not by
/// their number. Of a program in `gaps` only the beginning of its first lane is certain.
fn calls(story: &Story, gaps: &[bool]) -> Sequences {
    let mut sequences = Sequences::new();
    for (number, lane) in story.lanes.iter().enumerate() {
        let Some(program) = lane.program else {
            continue;
        };
        let all = sequences
            .entry(format!("of program {}", program + 1))
            .or_default();
        if gaps[program] && !all.is_empty() {
            continue;
        }
        let mut timeouts = BTreeSet::new();
        let mut reads = BTreeSet::new();
        let mut effects = Vec::new();
        for call in story.calls.iter().filter(|call| call.lane == number) {
            // A timeout is set again before each attempt to read.
            let is_timeout = call.text.contains("TIMEO");
            if is_timeout && !timeouts.insert((shape(&call.text), call.source.clone())) {
                continue;
            }
            match effect(call) {
                Some(effect) if is_read(call) => drop(reads.insert(effect)),
                effect => effects.extend(effect),
            }
        }
        // What serves many connections serves them in the order in which they are ready, which is chance.
        let mut own = story.calls.iter().filter(|call| call.lane == number);
        if own.any(|call| call.name.starts_with("epoll_")) {
            effects.sort();
        }
        // Neighbours that are the same count as one.
        effects.dedup();
        match gaps[program] {
            true => effects.truncate(CERTAIN),
            false => effects.extend(reads),
        }
        all.push(effects.join(BETWEEN));
    }
    sequences.values_mut().for_each(|lanes| lanes.sort());
    sequences
}

/// How much of a lane with a gap in it is compared.
const CERTAIN: usize = 6;

/// What a call did; nothing if it did nothing but wait.
fn effect(call: &Call) -> Option<String> {
    let result = call.result.as_deref().unwrap_or("-");
    let waits = ["epoll_wait", "poll", "ppoll"].contains(&call.name.as_str());
    if waits || result.starts_with("EAGAIN") || result.starts_with("EINTR") {
        return None;
    }
    let source = call.source.as_ref();
    let source = source.map_or_else(String::new, |line| format!("{}:{}", line.file, line.line));
    let (text, result) = match (is_read(call), call.output.as_ref()) {
        (true, _) => (call.name.clone(), String::new()),
        (false, Some(output)) => (call.name.clone(), shape(&output.text)),
        (false, None) => (shape(&call.text), shape(result)),
    };
    Some(format!("{text} = {result} {source}"))
}

/// Into how many pieces a stream comes is chance, and so is how often it is read.
fn is_read(call: &Call) -> bool {
    !call.failed && ["recv", "read", "readv", "recvmsg"].contains(&call.name.as_str())
}

/// Which packets programs sent to each other on each connection, but for acknowledgements, which the kernel sends when it likes.
fn packets(story: &Story) -> Sequences {
    let mut connections = BTreeMap::<_, Vec<String>>::new();
    let who = |lane: usize| match story.lanes[lane].program {
        Some(program) => format!("program {}", program + 1),
        None => "nobody".into(),
    };
    for packet in &story.packets {
        let name = format!("from {} to {}", who(packet.from.lane), who(packet.to.lane));
        let connection = (name, &packet.from.address, &packet.to.address);
        // Whether a datagram comes before its receiver has closed, and nobody hears of it, is chance.
        if packet.protocol != Protocol::Icmp || is_heard(story, packet) {
            connections
                .entry(connection)
                .or_default()
                .extend(kind(packet));
        }
    }
    let mut sequences = Sequences::new();
    for ((name, ..), mut kinds) in connections {
        kinds.dedup();
        if !kinds.is_empty() {
            sequences.entry(name).or_default().push(kinds.join(BETWEEN));
        }
    }
    sequences
        .values_mut()
        .for_each(|connections| connections.sort());
    sequences
}

/// Whether a call of the program that an ICMP message is for has failed of it.
fn is_heard(story: &Story, message: &Packet) -> bool {
    let program = |lane: usize| story.lanes[lane].program;
    story.calls.iter().any(|call| {
        let result = call.result.as_deref().unwrap_or_default();
        result.starts_with("ECONNREFUSED") && program(call.lane) == program(message.to.lane)
    })
}

fn kind(packet: &Packet) -> Option<String> {
    Some(match packet.protocol {
        Protocol::Udp => format!("a datagram: {}", shape(&packet.data)),
        Protocol::Icmp => packet.flags.clone(),
        Protocol::Tcp if packet.has("SYN") => packet.flags.clone(),
        Protocol::Tcp if packet.has("RST") => "RST".into(),
        Protocol::Tcp if packet.has("FIN") => "FIN".into(),
        // Whether an acknowledgement comes in time is chance.
        Protocol::Tcp if packet.again => return None,
        Protocol::Tcp if packet.length > 0 => "data".into(),
        Protocol::Tcp => return None,
    })
}

/// `text` without what differs from one run to the next.
fn shape(text: &str) -> String {
    VARYING.replace_all(text, "#").into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::Program;

    #[test]
    fn numbers_that_no_scene_has_can_be_compared() {
        let lane = |name: &str| Lane {
            name: name.into(),
            program: Some(0),
            calls_left_out: usize::MAX,
        };
        let story = Story {
            programs: vec![Program {
                command: "cargo run".into(),
                exit_code: None,
                threads_left_out: 0,
            }],
            lanes: vec![lane("server"), lane("server-thread-2")],
            calls: Vec::new(),
            packets: Vec::new(),
            packets_left_out: usize::MAX,
        };
        same(&story, &story).unwrap();
    }
}
