//! What travels over the loopback interface while a scene plays, and what it means.
//!
//! `live` keeps the bytes, `packet` reads one packet, `tcp` follows connections, `tls` names the messages in them.

use std::net::SocketAddr;

use crate::story::Protocol;

mod live;
mod packet;
mod preview;
mod tcp;
mod tls;

pub use live::{Capture, Captured};
use packet::{Content, Packet};
use tls::Streams;

/// One packet that was sent, and what it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Nanoseconds since the Unix epoch; never less than that of the packet before.
    pub time: u64,
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub protocol: Protocol,
    /// As `story::Packet` has them.
    pub flags: String,
    pub sequence: Option<u32>,
    pub acknowledgement: Option<u32>,
    /// Bytes of data.
    pub length: usize,
    /// The first bytes of data, as text or as hexadecimal digits; ends with `…` if there are more.
    pub data: String,
    /// `ClientHello`, `ApplicationData ×3`
    pub tls: Vec<String>,
    /// The state of each TCP after the packet, if it changed that.
    pub state_from: Option<&'static str>,
    pub state_to: Option<&'static str>,
}

/// All TCP segments, UDP datagrams and ICMP messages "port unreachable", in the order in which they were sent. What cannot be read
/// is left out.
pub fn packets(captured: &Captured) -> Vec<Seen> {
    let packets: Vec<(u64, Packet)> = captured
        .datagrams
        .iter()
        .filter_map(|datagram| Some((datagram.time, packet::read(datagram)?)))
        .collect();
    let segments: Vec<tcp::Segment> = packets
        .iter()
        .filter_map(|(_, packet)| match packet.content {
            Content::Tcp(header) => Some(tcp::Segment {
                from: packet.from,
                to: packet.to,
                header,
                length: packet.length,
            }),
            _ => None,
        })
        .collect();

    let mut told = tcp::follow(&segments).into_iter();
    let mut streams = Streams::default();
    packets
        .iter()
        .map(|(time, packet)| {
            let mut seen = Seen {
                time: *time,
                from: packet.from,
                to: packet.to,
                protocol: Protocol::Udp,
                flags: String::new(),
                sequence: None,
                acknowledgement: None,
                length: packet.length,
                data: preview::preview(packet.data, packet.length),
                tls: Vec::new(),
                state_from: None,
                state_to: None,
            };
            match packet.content {
                Content::Udp => {}
                Content::PortUnreachable => {
                    seen.protocol = Protocol::Icmp;
                    seen.flags = "port-unreachable".into();
                }
                Content::Tcp(header) => {
                    seen.protocol = Protocol::Tcp;
                    seen.flags = header.flags();
                    // There is one of these for each segment.
                    if let Some(told) = told.next() {
                        seen.sequence = Some(told.sequence);
                        seen.acknowledgement = told.acknowledgement;
                        seen.state_from = told.state_from;
                        seen.state_to = told.state_to;
                        seen.tls = streams.names(
                            (told.connection, told.side),
                            told.sequence,
                            packet.data,
                            packet.length,
                        );
                    }
                }
            }
            seen
        })
        .collect()
}

#[cfg(test)]
mod tests;
