//! Makes a story of what a witness has seen: which lane a call belongs in, which program a packet comes from and goes to, and what of
//! all that is told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;

use crate::capture::{self, Seen as Travelled};
use crate::process::Stream;
use crate::story::{Call, End, Lane, Packet, Program, Protocol, Story};
use crate::trace::{self, Decoder, Kind, RawCall, Symbols, Thread, descriptors, is_told, sockets};
use crate::transcript::Transcript;
use crate::witness::Seen;

/// How many calls of a lane are told: the first and the last.
const CALLS: (usize, usize) = (28, 8);
/// How many packets, likewise.
const PACKETS: (usize, usize) = (50, 16);
/// How many threads of a program have a lane.
const THREADS: usize = 6;
/// Nanoseconds in a microsecond.
const MICROSECOND: u64 = 1000;

/// A program that took part.
pub struct Actor {
    /// `server`
    pub name: String,
    pub transcript: Transcript,
}

/// The story of a scene; `root` is the project's folder.
pub fn story(root: &Path, actors: &[Actor], seen: &Seen) -> Result<Story> {
    let threads = trace::read(seen.traces.path())?;
    let travelled = capture::packets(&seen.captured);
    let told = calls(root, actors.len(), &threads)?;

    let mut programs: Vec<Program> = actors.iter().map(program).collect();
    let mut lanes = Vec::new();
    // The lane of each thread; none if it has none.
    let mut places = vec![None; threads.len()];
    let mut names = BTreeSet::new();
    for (number, thread) in threads.iter().enumerate() {
        let calls = told.iter().filter(|(by, _)| *by == number).count();
        if calls == 0 {
            continue;
        }
        let others = lanes
            .iter()
            .filter(|lane: &&Lane| lane.program == Some(thread.program));
        let others = others.count();
        if others == THREADS {
            programs[thread.program].threads_left_out += 1;
            continue;
        }
        let own = &actors[thread.program].name;
        let name = match executable(thread) {
            Some(other) if other != *own => other,
            _ if others > 0 => format!("{own}-thread-{}", others + 1),
            _ => own.clone(),
        };
        places[number] = Some(lanes.len());
        lanes.push(Lane {
            name: unique(name, &mut names),
            program: Some(thread.program),
            calls_left_out: 0,
        });
    }

    let owners = Owners::new(&threads, &travelled);
    let mut told = told;
    mend_ends(&mut told, &travelled, &owners);
    let starts = told.iter().map(|(_, call)| call.start);
    let sent = travelled.iter().map(|packet| packet.time);
    let origin = starts.chain(sent).min().unwrap_or_default();
    let mut story = Story {
        programs,
        lanes,
        calls: Vec::new(),
        packets: Vec::new(),
        packets_left_out: 0,
    };
    for (thread, mut call) in told {
        if let Some(lane) = places[thread] {
            call.lane = lane;
            story.calls.push(call);
        }
    }
    let times = leave_calls_out(&mut story);

    let nobody = story.lanes.len();
    let mut packets = Vec::new();
    let mut sent = Sent::default();
    for packet in &travelled {
        let again = sent.is_again(packet);
        let lane = |own: SocketAddr, other: SocketAddr| match owners.thread(packet, own, other) {
            Some(thread) => places[thread],
            None => Some(nobody),
        };
        let ends = (lane(packet.from, packet.to), lane(packet.to, packet.from));
        let (Some(from), Some(to)) = ends else {
            continue;
        };
        let is_near = |lane: usize| {
            times
                .get(lane)
                .is_none_or(|gap| !gap.contains(&packet.time))
        };
        if is_near(from) && is_near(to) {
            packets.push(Packet {
                again,
                ..tell(packet, from, to)
            });
        }
    }
    let kept = ends_of(packets.len(), PACKETS);
    let mut number = 0..;
    packets.retain(|_| number.next().is_some_and(|number| kept.contains(&number)));
    // Of a flood, the capture does not keep all; the kernel counts both copies of a packet.
    let not_kept = seen.captured.left_out + seen.captured.dropped as usize / 2;
    story.packets_left_out = travelled.len() - packets.len() + not_kept;
    story.packets = packets;
    let is_met = |packet: &Packet| packet.from.lane == nobody || packet.to.lane == nobody;
    if story.packets.iter().any(is_met) {
        story.lanes.push(Lane {
            // A program may be called so, too.
            name: unique("nobody".into(), &mut names),
            program: None,
            calls_left_out: 0,
        });
    }

    let since = |time: &mut u64| *time = time.saturating_sub(origin) / MICROSECOND;
    for call in &mut story.calls {
        since(&mut call.start);
        call.end.as_mut().map(since);
    }
    story
        .packets
        .iter_mut()
        .for_each(|packet| since(&mut packet.time));
    story.check()?;
    Ok(story)
}

fn program(actor: &Actor) -> Program {
    Program {
        command: actor.transcript.command.clone(),
        exit_code: actor.transcript.exit,
        threads_left_out: 0,
    }
}

fn unique(name: String, names: &mut BTreeSet<String>) -> String {
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let mut candidates = std::iter::once(name.clone()).chain(numbered);
    candidates
        .find(|candidate| names.insert(candidate.clone()))
        .unwrap_or(name)
}

/// The file name of the program that a thread runs: a program may start another.
fn executable(thread: &Thread) -> Option<String> {
    let mut frames = thread.calls.iter().flat_map(|call| call.frames.iter());
    let own = frames.find(|frame| {
        let name = frame.binary.rsplit('/').next().unwrap_or_default();
        !name.contains(".so")
    })?;
    Some(own.binary.rsplit('/').next()?.to_owned())
}

/// The calls that are told, each with the number of its thread, in the order in which they began. Their times are nanoseconds since
/// 1970, and they have no lane yet.
fn calls(root: &Path, programs: usize, threads: &[Thread]) -> Result<Vec<(usize, Call)>> {
    let mut symbols = Symbols::new(root);
    let mut told: Vec<(usize, Call)> = Vec::new();
    for program in 0..programs {
        let mut raws: Vec<(usize, &RawCall)> = Vec::new();
        for (number, thread) in threads.iter().enumerate() {
            if thread.program == program {
                raws.extend(thread.calls.iter().map(|call| (number, call)));
            }
        }
        raws.sort_by_key(|(_, raw)| raw.start);
        let main = raws
            .first()
            .and_then(|(number, _)| executable(&threads[*number]));
        let mut last = BTreeMap::<usize, usize>::new();
        let mut decoder = Decoder::default();
        for (number, raw) in raws {
            let decoded = decoder.decode(raw);
            let source = symbols.source(raw)?;
            if !is_told(raw, source.as_ref()) {
                continue;
            }
            let is_child = executable(&threads[number]) != main;
            let output = decoded
                .output
                // What a program that was started by another prints on stdout, that one reads.
                .filter(|output| !is_child || output.stream == Stream::Stderr);
            let end = decoded.result.as_ref().and(raw.duration);
            let call = Call {
                lane: 0,
                name: decoded.name,
                text: decoded.text,
                result: decoded.result.filter(|_| end.is_some()),
                failed: decoded.failed,
                start: raw.start,
                end: end.map(|duration| raw.start + duration),
                source,
                output,
            };
            let before = last.get(&number).map(|position| &mut told[*position].1);
            if !before.is_some_and(|before| join(before, &call)) {
                last.insert(number, told.len());
                told.push((number, call));
            }
        }
    }
    told.sort_by_key(|(_, call)| call.start);
    Ok(told)
}

/// strace notes when it stops a call, and then how long that took once it let it go on; what lies between, it spends looking at the
/// stack. So a call ends later than its beginning and its duration say: by as much as the packets that it sends are late.
fn mend_ends(told: &mut [(usize, Call)], packets: &[Travelled], owners: &Owners) {
    // When, and whether only a call that connects can have to do with it.
    let mut sent = BTreeMap::<usize, Vec<(u64, bool)>>::new();
    for packet in packets {
        if let Some(thread) = owners.thread(packet, packet.from, packet.to) {
            let is_answer = packet.flags == "ACK" && packet.length == 0;
            sent.entry(thread)
                .or_default()
                .push((packet.time, is_answer));
        }
        // What ends an attempt to connect.
        let is_refusal = packet.flags.contains("RST");
        if let Some(thread) = owners
            .thread(packet, packet.to, packet.from)
            .filter(|_| is_refusal)
        {
            sent.entry(thread).or_default().push((packet.time, true));
        }
    }
    // The beginnings of the calls that come next.
    let mut nexts = vec![u64::MAX; told.len()];
    let mut last = BTreeMap::<usize, u64>::new();
    for (number, (thread, call)) in told.iter().enumerate().rev() {
        nexts[number] = last.insert(*thread, call.start).unwrap_or(u64::MAX);
    }
    let own = |number: usize, thread: usize, call: &Call| -> Vec<u64> {
        let sends = [
            "connect", "send", "sendto", "write", "writev", "shutdown", "close",
        ];
        if !sends.contains(&call.name.as_str()) || call.output.is_some() {
            return Vec::new();
        }
        let is_own = |(time, is_answer): &&(u64, bool)| {
            let is_within = call.start <= *time && *time < nexts[number];
            // A kernel acknowledges by itself, but for the end of a handshake; and a refusal is for who connects.
            is_within && (!is_answer || call.name == "connect")
        };
        let all = sent.get(&thread).into_iter().flatten();
        all.filter(is_own).map(|(time, _)| *time).collect()
    };
    let packets: Vec<Vec<u64>> = told
        .iter()
        .enumerate()
        .map(|(number, (thread, call))| own(number, *thread, call))
        .collect();
    let mut delays: Vec<u64> = packets
        .iter()
        .zip(&*told)
        .filter_map(|(packets, (_, call))| Some(packets.first()? - call.start))
        .collect();
    delays.sort_unstable();
    let usual = delays.get(delays.len() / 2).copied().unwrap_or_default();
    for (number, (_, call)) in told.iter_mut().enumerate() {
        if let Some(end) = &mut call.end {
            let last = packets[number].last().copied().unwrap_or_default();
            *end = (*end + usual).max(last + MICROSECOND).min(nexts[number]);
        }
    }
}

/// Joins two calls that print one line together, and says whether they do: stderr is not buffered, and a line is many calls.
fn join(first: &mut Call, next: &Call) -> bool {
    let (Some(begun), Some(more)) = (&mut first.output, &next.output) else {
        return false;
    };
    let is_one = begun.stream == more.stream
        && first.source == next.source
        && !begun.text.ends_with('\n')
        && first.end.is_some()
        && next.end.is_some();
    if is_one {
        begun.text.push_str(&more.text);
        first.end = next.end;
        let descriptor = match begun.stream {
            Stream::Stdout => 1,
            Stream::Stderr => 2,
        };
        first.text = format!("write({descriptor}, {:?})", begun.text);
        first.result = Some(format!("{}, in several calls", begun.text.len()));
    }
    is_one
}

/// Leaves out what is in the middle of long lanes; returns the time that is left out of each.
fn leave_calls_out(story: &mut Story) -> Vec<std::ops::Range<u64>> {
    let mut gaps = Vec::new();
    let mut kept = BTreeSet::new();
    for (lane, told) in story.lanes.iter_mut().enumerate() {
        let positions: Vec<usize> = (0..story.calls.len())
            .filter(|position| story.calls[*position].lane == lane)
            .collect();
        let ends = ends_of(positions.len(), CALLS);
        told.calls_left_out = positions.len() - ends.len();
        gaps.push(match told.calls_left_out {
            0 => 0..0,
            _ => {
                let last = positions.len() - CALLS.1;
                story.calls[positions[CALLS.0]].start..story.calls[positions[last]].start
            }
        });
        kept.extend(ends.iter().map(|end| positions[*end]));
    }
    let mut number = 0..;
    story
        .calls
        .retain(|_| number.next().is_some_and(|number| kept.contains(&number)));
    gaps
}

/// The numbers from 0 to `length` that are kept: so many of the first, and so many of the last.
fn ends_of(length: usize, (first, last): (usize, usize)) -> BTreeSet<usize> {
    let is_kept = |number: &usize| *number < first || *number + last >= length;
    (0..length).filter(is_kept).collect()
}

fn tell(packet: &Travelled, from: usize, to: usize) -> Packet {
    let end = |lane, address: SocketAddr, state: Option<&str>| End {
        lane,
        address: address.to_string(),
        state: state.map(String::from),
    };
    Packet {
        time: packet.time,
        from: end(from, packet.from, packet.state_from),
        to: end(to, packet.to, packet.state_to),
        protocol: packet.protocol,
        flags: packet.flags.clone(),
        sequence: packet.sequence,
        acknowledgement: packet.acknowledgement,
        length: packet.length,
        again: false,
        data: packet.data.clone(),
        tls: packet.tls.clone(),
    }
}

/// How much of each stream has been sent: by its two ends, the sequence number that comes next.
#[derive(Default)]
struct Sent(BTreeMap<(SocketAddr, SocketAddr), u32>);

impl Sent {
    /// Whether all of the packet's data had been sent before.
    fn is_again(&mut self, packet: &Travelled) -> bool {
        let Some(sequence) = packet.sequence else {
            return false;
        };
        let next = self.0.entry((packet.from, packet.to)).or_default();
        if packet.flags.starts_with("SYN") {
            *next = 1;
            return false;
        }
        let end = sequence.saturating_add(packet.length.try_into().unwrap_or(u32::MAX));
        let again = packet.length > 0 && end <= *next;
        *next = end.max(*next);
        again
    }
}

/// Whose sockets they are.
struct Owners {
    /// When the first packet of each TCP connection was sent, by its ends, both ways round.
    begun: BTreeMap<(SocketAddr, SocketAddr), u64>,
    /// By protocol and address, which thread used it at which time, and who was at the other end.
    uses: BTreeMap<(bool, SocketAddr), Vec<Use>>,
}

struct Use {
    thread: usize,
    start: u64,
    remote: Option<SocketAddr>,
    is_end: bool,
}

impl Owners {
    fn new(threads: &[Thread], packets: &[Travelled]) -> Owners {
        let mut begun = BTreeMap::new();
        for packet in packets.iter().filter(|each| each.protocol == Protocol::Tcp) {
            for ends in [(packet.from, packet.to), (packet.to, packet.from)] {
                begun.entry(ends).or_insert(packet.time);
            }
        }
        let mut uses = BTreeMap::<_, Vec<Use>>::new();
        for (thread, calls) in threads.iter().map(|thread| &thread.calls).enumerate() {
            for call in calls {
                for descriptor in descriptors(call) {
                    let Kind::Socket {
                        protocol,
                        local: Some(local),
                        remote,
                    } = descriptor.kind
                    else {
                        continue;
                    };
                    let key = (protocol == Protocol::Tcp, canonical(local));
                    let remote = remote.map(canonical);
                    uses.entry(key).or_default().push(Use {
                        thread,
                        start: call.start,
                        remote,
                        is_end: call.name == "close",
                    });
                }
            }
        }
        for (thread, calls) in threads.iter().map(|thread| &thread.calls).enumerate() {
            let own = sockets(calls);
            let known = own.tcp.iter().map(|address| (true, *address));
            for key in known.chain(own.udp.iter().map(|address| (false, *address))) {
                uses.entry(key).or_insert_with(|| {
                    vec![Use {
                        thread,
                        start: 0,
                        remote: None,
                        is_end: false,
                    }]
                });
            }
            for attempt in own.unknown {
                let is_tcp = attempt.protocol == Protocol::Tcp;
                let first = packets.iter().find(|packet| {
                    packet.to == attempt.to
                        && packet.time >= attempt.start
                        && (packet.protocol == Protocol::Tcp) == is_tcp
                        && !uses.contains_key(&(is_tcp, packet.from))
                });
                if let Some(packet) = first {
                    let only = Use {
                        thread,
                        start: attempt.start,
                        remote: Some(attempt.to),
                        is_end: false,
                    };
                    uses.insert((is_tcp, packet.from), vec![only]);
                }
            }
        }
        for uses in uses.values_mut() {
            uses.sort_by_key(|each| each.start);
        }
        Owners { begun, uses }
    }

    /// The thread to which `packet`, one of whose ends is `own`, belongs there: the one that used the connection last.
    fn thread(&self, packet: &Travelled, own: SocketAddr, other: SocketAddr) -> Option<usize> {
        let is_tcp = packet.protocol == Protocol::Tcp;
        let everywhere = [
            own,
            SocketAddr::new([0, 0, 0, 0].into(), own.port()),
            SocketAddr::new([0; 8].into(), own.port()),
        ];
        let uses = everywhere
            .iter()
            .find_map(|address| self.uses.get(&(is_tcp, *address)))?;
        let before = |each: &&Use| each.start <= packet.time;
        let is_this = |each: &&Use| each.remote == Some(other);
        let is_open = |each: &&Use| each.remote.is_none();
        let last = uses.iter().rev();
        // A connection that nobody has accepted yet is the listening socket's.
        let found = last.clone().find(|each| before(each) && is_this(each));
        let open = || last.clone().find(|each| before(each) && is_open(each));
        let found = found.or_else(open);
        // Whoever comes when that is closed meets nobody.
        let begun = self.begun.get(&(own, other));
        if found.is_some_and(|each| is_open(&each) && each.is_end && begun > Some(&each.start)) {
            return None;
        }
        found.or_else(|| uses.first()).map(|each| each.thread)
    }
}

/// In packets, an IPv4 address is one, also if the socket has IPv6.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
