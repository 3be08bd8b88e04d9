//! TCP connections as their packets show them: relative sequence numbers, and the state of each end (RFC 9293, section 3.3.2).
//!
//! A capture shows when a packet was sent. On loopback it also arrives then, with few exceptions; what the receiver sends next shows
//! these: it does not acknowledge a FIN that has not reached it, and it repeats a SYN-ACK whose answer it had no room for.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::packet::Header;

/// A TCP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub header: Header,
    /// Bytes of data.
    pub length: usize,
}

/// What is to be told about a segment besides what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Which of the connections, and which end of it sent this.
    pub connection: usize,
    pub side: usize,
    /// Since the beginning of the connection: a SYN has 0.
    pub sequence: u32,
    pub acknowledgement: Option<u32>,
    /// What became of the sender and of the receiver, if that changed.
    pub state_from: Option<&'static str>,
    pub state_to: Option<&'static str>,
}

/// Follows all connections of `segments`, which are in order. There is one answer for each.
pub fn follow(segments: &[Segment]) -> Vec<Told> {
    let mut told = number(segments);
    let next = next(&told, segments);
    let mut connections = HashMap::<usize, [End; 2]>::new();
    for (index, segment) in segments.iter().enumerate() {
        let one = &mut told[index];
        let ends = connections.entry(one.connection).or_default();
        let packet = Relative {
            header: segment.header,
            end: one
                .sequence
                .wrapping_add(u32::try_from(segment.length).unwrap_or(u32::MAX))
                .wrapping_add(u32::from(segment.header.syn))
                .wrapping_add(u32::from(segment.header.fin)),
            acknowledgement: one.acknowledgement,
        };
        let receiver = if segment.from == segment.to {
            one.side
        } else {
            1 - one.side
        };
        let before = ends[one.side].state;
        ends[one.side].send(packet, ends[receiver].fin);
        one.state_from = changed(before, ends[one.side].state);
        let before = ends[receiver].state;
        let peer_fin = ends[one.side].fin;
        ends[receiver].receive(packet, next[index], peer_fin);
        one.state_to = changed(before, ends[receiver].state);
    }
    told
}

fn changed(before: Option<State>, after: Option<State>) -> Option<&'static str> {
    after.filter(|_| before != after).map(|after| after.name())
}

/// The initial sequence numbers of a connection, as far as they are known.
#[derive(Clone, Copy, Default)]
struct Numbers {
    connection: usize,
    initial: [Option<u32>; 2],
    has_spoken: [bool; 2],
}

/// Tells the connections apart and numbers their segments. A SYN begins another connection, unless it repeats the one before it, or
/// crosses that of its peer.
fn number(segments: &[Segment]) -> Vec<Told> {
    let mut connections = 0;
    let mut current = HashMap::<(SocketAddr, SocketAddr), Numbers>::new();
    segments
        .iter()
        .map(|segment| {
            let side = usize::from(segment.from > segment.to);
            let header = segment.header;
            let key = (segment.from.min(segment.to), segment.from.max(segment.to));
            let known = current.get(&key).copied().filter(|known| {
                let repeats = known.initial[side] == Some(header.sequence);
                !header.syn || header.ack || repeats || !known.has_spoken[side]
            });
            let mut numbers = known.unwrap_or_else(|| {
                connections += 1;
                Numbers {
                    connection: connections - 1,
                    ..Numbers::default()
                }
            });
            if header.syn {
                numbers.initial[side] = Some(header.sequence);
            } else if !header.rst {
                // A connection that began before the capture: as if it had begun with this.
                numbers.initial[side].get_or_insert(header.sequence.wrapping_sub(1));
            }
            numbers.has_spoken[side] = true;
            let other = if segment.from == segment.to {
                side
            } else {
                1 - side
            };
            let acknowledgement = header.ack.then(|| {
                let first = header.acknowledgement.wrapping_sub(1);
                let initial = *numbers.initial[other].get_or_insert(first);
                header.acknowledgement.wrapping_sub(initial)
            });
            // Whoever refuses has no numbers of its own: it sends 0, or the number that it was asked for.
            let initial = numbers.initial[side].unwrap_or(header.sequence);
            current.insert(key, numbers);
            Told {
                connection: numbers.connection,
                side,
                sequence: header.sequence.wrapping_sub(initial),
                acknowledgement,
                state_from: None,
                state_to: None,
            }
        })
        .collect()
}

/// What follows a segment in its connection, which shows what became of it.
#[derive(Clone, Copy, Default)]
struct Next {
    /// From whichever end.
    any: Option<Relative>,
    /// Whether that comes from the receiver.
    is_answer: bool,
    /// From the receiver.
    answer: Option<Relative>,
}

fn next(told: &[Told], segments: &[Segment]) -> Vec<Next> {
    let mut all = vec![Next::default(); told.len()];
    let mut from = HashMap::<(usize, SocketAddr), Relative>::new();
    let mut any = HashMap::<usize, (SocketAddr, Relative)>::new();
    for index in (0..told.len()).rev() {
        let (one, segment) = (&told[index], &segments[index]);
        let following = any.get(&one.connection);
        all[index] = Next {
            any: following.map(|(_, packet)| *packet),
            is_answer: following.is_some_and(|(sender, _)| *sender == segment.to),
            answer: from.get(&(one.connection, segment.to)).copied(),
        };
        let packet = Relative {
            header: segment.header,
            end: one.sequence,
            acknowledgement: one.acknowledgement,
        };
        from.insert((one.connection, segment.from), packet);
        any.insert(one.connection, (segment.from, packet));
    }
    all
}

/// A segment with its connection's own numbers.
#[derive(Clone, Copy)]
struct Relative {
    header: Header,
    /// The number after its last one; SYN and FIN count as one each.
    end: u32,
    acknowledgement: Option<u32>,
}

impl Relative {
    /// Whether it acknowledges everything before `number`. They go round.
    fn covers(&self, number: u32) -> bool {
        self.acknowledgement
            .is_some_and(|acknowledged| acknowledged.wrapping_sub(number) < 1 << 31)
    }

    fn is_syn_ack(&self) -> bool {
        self.header.syn && self.header.ack
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Listen,
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
    Closed,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            State::Listen => "LISTEN",
            State::SynSent => "SYN-SENT",
            State::SynReceived => "SYN-RECEIVED",
            State::Established => "ESTABLISHED",
            State::FinWait1 => "FIN-WAIT-1",
            State::FinWait2 => "FIN-WAIT-2",
            State::CloseWait => "CLOSE-WAIT",
            State::Closing => "CLOSING",
            State::LastAck => "LAST-ACK",
            State::TimeWait => "TIME-WAIT",
            State::Closed => "CLOSED",
        }
    }
}

/// One end of a connection.
#[derive(Clone, Copy, Default)]
struct End {
    /// None as long as nothing is known: it listens, or there is no such socket, or the connection is older than the capture.
    state: Option<State>,
    /// Whether it was called, and did not call.
    is_passive: bool,
    /// What acknowledges the FIN that it has sent.
    fin: Option<u32>,
    /// A FIN has been sent to it that has not reached it yet.
    awaits_fin: bool,
}

impl End {
    /// It sends `packet`; `peer_fin` is what acknowledges the FIN that its peer has sent.
    fn send(&mut self, packet: Relative, peer_fin: Option<u32>) {
        if packet.header.rst {
            self.abort();
            return;
        }
        if self.awaits_fin && peer_fin.is_some_and(|fin| packet.covers(fin)) {
            self.finish();
        }
        if packet.is_syn_ack() {
            if matches!(self.state, None | Some(State::Listen)) {
                self.is_passive = true;
                self.state = Some(State::SynReceived);
            }
        } else if packet.header.syn && self.state.is_none() {
            self.state = Some(State::SynSent);
        }
        if packet.header.fin {
            self.fin = Some(packet.end);
            self.state = match self.state {
                Some(State::SynReceived | State::Established) => Some(State::FinWait1),
                Some(State::CloseWait) => Some(State::LastAck),
                other => other,
            };
        }
    }

    /// It is sent `packet`; `peer_fin` as with `send`.
    fn receive(&mut self, packet: Relative, next: Next, peer_fin: Option<u32>) {
        if packet.header.rst {
            // RFC 9293, section 3.10.7.4: who was called goes on listening.
            if self.state == Some(State::SynReceived) && self.is_passive {
                self.state = Some(State::Listen);
            } else {
                self.abort();
            }
            return;
        }
        if packet.header.syn && !packet.header.ack {
            let is_accepted = next.is_answer && next.any.is_some_and(|next| next.is_syn_ack());
            match self.state {
                None | Some(State::Listen) if is_accepted => {
                    self.is_passive = true;
                    self.state = Some(State::SynReceived);
                }
                Some(State::SynSent) => self.state = Some(State::SynReceived),
                _ => {}
            }
        }
        let has_fin_arrived = next.answer.is_none_or(|answer| {
            let is_silent = answer.header.rst || !answer.header.ack;
            is_silent || peer_fin.is_some_and(|fin| answer.covers(fin))
        });
        if self.awaits_fin && has_fin_arrived {
            self.finish();
        }
        self.acknowledge(packet, next);
        if packet.header.fin {
            if has_fin_arrived {
                self.finish();
            } else {
                self.awaits_fin = true;
            }
        }
    }

    /// What it has sent is acknowledged.
    fn acknowledge(&mut self, packet: Relative, next: Next) {
        match self.state {
            Some(State::SynSent) if packet.header.syn && packet.covers(1) => {
                self.state = Some(State::Established);
            }
            Some(State::SynReceived) if packet.covers(1) => {
                // With a full backlog, Linux drops this and sends its SYN-ACK again.
                let is_dropped =
                    self.is_passive && next.answer.is_some_and(|answer| answer.is_syn_ack());
                if !is_dropped {
                    self.state = Some(State::Established);
                }
            }
            _ => {}
        }
        if self.fin.is_some_and(|fin| packet.covers(fin)) {
            self.state = match self.state {
                Some(State::FinWait1) => Some(State::FinWait2),
                Some(State::Closing) => Some(State::TimeWait),
                Some(State::LastAck) => Some(State::Closed),
                other => other,
            };
        }
    }

    /// Its peer's FIN arrives.
    fn finish(&mut self) {
        self.awaits_fin = false;
        self.state = match self.state {
            Some(State::SynReceived | State::Established) => Some(State::CloseWait),
            Some(State::FinWait1) => Some(State::Closing),
            Some(State::FinWait2) => Some(State::TimeWait),
            other => other,
        };
    }

    fn abort(&mut self) {
        if !matches!(self.state, None | Some(State::Listen)) {
            self.state = Some(State::Closed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::{Header, Segment, Told, follow};

    const CLIENT: u32 = u32::MAX - 1;
    const SERVER: u32 = 7000;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    /// `c SYN 0 - 0`: who sends, flags, relative sequence and acknowledgement numbers, length.
    fn segment(text: &str) -> Segment {
        let words: Vec<&str> = text.split(' ').collect();
        let is_client = words[0] == "c";
        let (from, to) = if is_client {
            (40000, 8001)
        } else {
            (8001, 40000)
        };
        let (own, other) = if is_client {
            (CLIENT, SERVER)
        } else {
            (SERVER, CLIENT)
        };
        let has = |flag| words[1].split('-').any(|found| found == flag);
        Segment {
            from: address(from),
            to: address(to),
            header: Header {
                sequence: own.wrapping_add(words[2].parse().unwrap()),
                acknowledgement: words[3]
                    .parse()
                    .map_or(0, |number| other.wrapping_add(number)),
                syn: has("SYN"),
                fin: has("FIN"),
                rst: has("RST"),
                psh: has("PSH"),
                urg: false,
                ack: has("ACK"),
            },
            length: words[4].parse().unwrap(),
        }
    }

    fn told(texts: &[&str]) -> Vec<Told> {
        let segments: Vec<Segment> = texts.iter().map(|text| segment(text)).collect();
        follow(&segments)
    }

    /// `SYN-SENT/SYN-RECEIVED`: what became of the sender and of the receiver.
    fn states(texts: &[&str]) -> Vec<String> {
        let name = |state: Option<&'static str>| state.unwrap_or("-");
        told(texts)
            .iter()
            .map(|told| format!("{}/{}", name(told.state_from), name(told.state_to)))
            .collect()
    }

    const OPEN: [&str; 3] = ["c SYN 0 - 0", "s SYN-ACK 0 1 0", "c ACK 1 1 0"];

    /// The states after OPEN and then `rest`, the first three being as they should.
    fn after_open(rest: &[&str]) -> Vec<String> {
        let all = states(&[&OPEN[..], rest].concat());
        assert_eq!(
            all[..3],
            ["SYN-SENT/SYN-RECEIVED", "-/ESTABLISHED", "-/ESTABLISHED"]
        );
        all[3..].to_vec()
    }

    #[test]
    fn a_connection_opens_and_closes_as_in_figures_6_and_12_of_rfc_9293() {
        assert_eq!(
            after_open(&[
                "c FIN-ACK 1 1 0",
                "s ACK 1 2 0",
                "s FIN-ACK 1 2 0",
                "c ACK 2 2 0"
            ]),
            [
                "FIN-WAIT-1/CLOSE-WAIT",
                "-/FIN-WAIT-2",
                "LAST-ACK/TIME-WAIT",
                "-/CLOSED"
            ]
        );
    }

    #[test]
    fn a_fin_that_acknowledges_a_fin_closes_in_three_packets() {
        assert_eq!(
            after_open(&["s FIN-PSH-ACK 1 1 5", "c FIN-ACK 1 7 0", "s ACK 7 2 0"]),
            ["FIN-WAIT-1/CLOSE-WAIT", "LAST-ACK/TIME-WAIT", "-/CLOSED"]
        );
    }

    #[test]
    fn an_acknowledgement_of_the_data_before_a_fin_is_not_one_of_the_fin() {
        assert_eq!(
            after_open(&["c FIN-ACK 1 1 5", "s ACK 1 6 0", "s ACK 1 7 0"]),
            ["FIN-WAIT-1/-", "-/-", "CLOSE-WAIT/FIN-WAIT-2"]
        );
    }

    #[test]
    fn both_ends_may_close_at_the_same_time_as_in_figure_13() {
        let fins = ["c FIN-ACK 1 1 0", "s FIN-ACK 1 1 0"];
        let acks = ["s ACK 2 2 0", "c ACK 2 2 0"];
        assert_eq!(
            after_open(&[fins, acks].concat()),
            [
                "FIN-WAIT-1/-",
                "FIN-WAIT-1/CLOSING",
                "CLOSING/TIME-WAIT",
                "-/TIME-WAIT"
            ]
        );
        let acks = ["c ACK 2 2 0", "s ACK 2 2 0"];
        assert_eq!(
            after_open(&[fins, acks].concat()),
            [
                "FIN-WAIT-1/-",
                "FIN-WAIT-1/CLOSING",
                "-/TIME-WAIT",
                "-/TIME-WAIT"
            ]
        );
    }

    #[test]
    fn a_refused_syn_leaves_nobody_listening() {
        let texts = ["c SYN 0 - 0", "s RST-ACK 0 1 0"];
        assert_eq!(states(&texts), ["SYN-SENT/-", "-/CLOSED"]);
        assert_eq!(told(&texts)[1].sequence, 0);
        assert_eq!(told(&texts)[1].acknowledgement, Some(1));
    }

    #[test]
    fn a_reset_closes_both_ends() {
        assert_eq!(after_open(&["c RST-ACK 1 1 0"]), ["CLOSED/CLOSED"]);
    }

    #[test]
    fn data_for_a_connection_that_is_gone_are_answered_by_a_reset() {
        assert_eq!(
            after_open(&[
                "s FIN-ACK 1 1 0",
                "c ACK 1 2 0",
                "c PSH-ACK 1 2 3",
                "s RST 2 - 0"
            ]),
            [
                "FIN-WAIT-1/CLOSE-WAIT",
                "-/FIN-WAIT-2",
                "-/-",
                "CLOSED/CLOSED"
            ]
        );
    }

    #[test]
    fn a_syn_that_found_the_backlog_full_is_repeated() {
        assert_eq!(
            states(&[
                "c SYN 0 - 0",
                "c SYN 0 - 0",
                "s SYN-ACK 0 1 0",
                "c ACK 1 1 0"
            ]),
            [
                "SYN-SENT/-",
                "-/SYN-RECEIVED",
                "-/ESTABLISHED",
                "-/ESTABLISHED"
            ]
        );
    }

    #[test]
    fn an_acknowledgement_that_found_the_backlog_full_is_asked_for_again() {
        assert_eq!(
            states(&[
                "c SYN 0 - 0",
                "s SYN-ACK 0 1 0",
                "c ACK 1 1 0",
                "s SYN-ACK 0 1 0",
                "c ACK 1 1 0"
            ]),
            [
                "SYN-SENT/SYN-RECEIVED",
                "-/ESTABLISHED",
                "-/-",
                "-/-",
                "-/ESTABLISHED"
            ]
        );
    }

    #[test]
    fn a_half_opened_connection_that_is_reset_leaves_a_listener() {
        assert_eq!(
            states(&["c SYN 0 - 0", "s SYN-ACK 0 1 0", "c RST 1 - 0"]),
            ["SYN-SENT/SYN-RECEIVED", "-/ESTABLISHED", "CLOSED/LISTEN"]
        );
    }

    #[test]
    fn another_syn_on_the_same_ports_begins_another_connection() {
        let mut again = segment("c SYN 0 - 0");
        again.header.sequence = 12345;
        let all = follow(&[segment("c SYN 0 - 0"), segment("s RST-ACK 0 1 0"), again]);
        assert_eq!(all[1].connection, 0);
        assert_eq!(all[2].connection, 1);
        assert_eq!(all[2].sequence, 0);
        assert_eq!(all[2].state_from, Some("SYN-SENT"));
    }

    #[test]
    fn sequence_numbers_go_round() {
        let all = told(&[&OPEN[..], &["c PSH-ACK 1 1 100", "s ACK 1 101 0"]].concat());
        assert_eq!(all[3].sequence, 1);
        assert_eq!(all[4].acknowledgement, Some(101));
        assert!(CLIENT.checked_add(101).is_none(), "they did go round");
    }

    #[test]
    fn of_a_connection_that_is_older_than_the_capture_no_states_are_told() {
        let texts = [
            "c PSH-ACK 500 300 5",
            "s FIN-ACK 300 505 0",
            "c RST 505 - 0",
        ];
        assert_eq!(states(&texts), ["-/-", "-/-", "-/-"]);
        let all = told(&texts);
        assert_eq!((all[0].sequence, all[0].acknowledgement), (1, Some(1)));
        assert_eq!((all[1].sequence, all[1].acknowledgement), (1, Some(6)));
    }

    #[test]
    fn a_socket_may_connect_to_itself() {
        let one = |flags: &str, acknowledgement| {
            let mut segment = segment(&format!("c {flags} 0 - 0"));
            segment.to = segment.from;
            segment.header.acknowledgement = acknowledgement;
            segment
        };
        let all = follow(&[one("SYN", 0), one("SYN-ACK", CLIENT.wrapping_add(1))]);
        assert_eq!(all[0].state_to, Some("SYN-RECEIVED"));
        assert_eq!(all[1].state_to, Some("ESTABLISHED"));
    }
}
