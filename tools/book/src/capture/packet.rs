//! Reading one packet: an IP header (RFC 791, RFC 8200), and TCP, UDP or ICMP in it. Checksums are not looked at: on loopback
//! nobody fills them in.

use std::net::SocketAddr;

use etherparse::{
    Icmpv4Slice, Icmpv6Slice, IpNumber, LaxIpSlice, TcpHeaderSlice, UdpHeaderSlice, icmpv4, icmpv6,
};

use super::live::Datagram;

/// A packet from one socket to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Of ICMP, the address that refused, not that of the host.
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub content: Content,
    /// Bytes of data that were sent; none for ICMP, which only quotes.
    pub length: usize,
    /// As many of them as were kept.
    pub data: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    Tcp(Header),
    Udp,
    PortUnreachable,
}

/// What a TCP header says (RFC 9293, section 3.1), with its sequence numbers as sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    pub sequence: u32,
    pub acknowledgement: u32,
    pub syn: bool,
    pub fin: bool,
    pub rst: bool,
    pub psh: bool,
    pub urg: bool,
    pub ack: bool,
}

impl Header {
    /// `SYN-ACK`; ECN's flags are not told.
    pub fn flags(&self) -> String {
        let flags = [
            (self.syn, "SYN"),
            (self.fin, "FIN"),
            (self.rst, "RST"),
            (self.psh, "PSH"),
            (self.urg, "URG"),
            (self.ack, "ACK"),
        ];
        let set: Vec<&str> = flags
            .into_iter()
            .filter_map(|(is_set, name)| is_set.then_some(name))
            .collect();
        set.join("-")
    }
}

/// What `datagram` says; none if it is damaged, a fragment, or of another protocol.
pub fn read(datagram: &Datagram) -> Option<Packet<'_>> {
    let (ip, _) = LaxIpSlice::from_slice(&datagram.bytes).ok()?;
    let payload = ip.payload();
    if payload.fragmented {
        return None;
    }
    let length = length(&ip, datagram.length)?;
    let bytes = payload.payload;
    let address = |port| SocketAddr::new(ip.source_addr(), port);
    let peer = |port| SocketAddr::new(ip.destination_addr(), port);
    match payload.ip_number {
        IpNumber::TCP => {
            let header = TcpHeaderSlice::from_slice(bytes).ok()?;
            let (length, data) = data(bytes, length, header.slice().len())?;
            let content = Content::Tcp(Header {
                sequence: header.sequence_number(),
                acknowledgement: header.acknowledgment_number(),
                syn: header.syn(),
                fin: header.fin(),
                rst: header.rst(),
                psh: header.psh(),
                urg: header.urg(),
                ack: header.ack(),
            });
            Some(Packet {
                from: address(header.source_port()),
                to: peer(header.destination_port()),
                content,
                length,
                data,
            })
        }
        IpNumber::UDP => {
            let header = UdpHeaderSlice::from_slice(bytes).ok()?;
            let said = usize::from(header.length());
            let (length, data) = data(bytes, length.min(said), header.slice().len())?;
            Some(Packet {
                from: address(header.source_port()),
                to: peer(header.destination_port()),
                content: Content::Udp,
                length,
                data,
            })
        }
        IpNumber::ICMP => {
            let icmp = Icmpv4Slice::from_slice(bytes).ok()?;
            let is_port_unreachable = icmp.type_u8() == icmpv4::TYPE_DEST_UNREACH
                && icmp.code_u8() == icmpv4::CODE_DST_UNREACH_PORT;
            is_port_unreachable.then(|| refusal(icmp.payload()))?
        }
        IpNumber::IPV6_ICMP => {
            let icmp = Icmpv6Slice::from_slice(bytes).ok()?;
            let is_port_unreachable = icmp.type_u8() == icmpv6::TYPE_DST_UNREACH
                && icmp.code_u8() == icmpv6::CODE_DST_UNREACH_PORT;
            is_port_unreachable.then(|| refusal(icmp.payload()))?
        }
        _ => None,
    }
}

/// How many bytes follow the IP headers of a packet that had `total` bytes in all.
fn length(ip: &LaxIpSlice, total: usize) -> Option<usize> {
    let (headers, said) = match ip {
        LaxIpSlice::Ipv4(ip) => {
            let extension = ip.extensions().auth.map_or(0, |auth| auth.slice().len());
            let header = ip.header();
            (
                header.slice().len() + extension,
                usize::from(header.total_len()),
            )
        }
        LaxIpSlice::Ipv6(ip) => {
            let header = ip.header().slice().len();
            let said = match usize::from(ip.header().payload_length()) {
                0 => 0,
                payload => header + payload,
            };
            (header + ip.extensions().slice().len(), said)
        }
    };
    // The header says 0 if its sixteen bits do not suffice: segmentation offload makes such packets.
    let total = if said == 0 { total } else { total.min(said) };
    total.checked_sub(headers)
}

/// The data behind a header of `header` bytes, in a segment of `length` bytes: how much there was, and what was kept.
fn data(bytes: &[u8], length: usize, header: usize) -> Option<(usize, &[u8])> {
    let length = length.checked_sub(header)?;
    let kept = bytes.get(header..)?;
    Some((length, &kept[..kept.len().min(length)]))
}

/// What an ICMP message "port unreachable" is about: it quotes the headers of the datagram that it answers.
fn refusal(quoted: &[u8]) -> Option<Packet<'_>> {
    let (ip, _) = LaxIpSlice::from_slice(quoted).ok()?;
    let payload = ip.payload();
    if ![IpNumber::UDP, IpNumber::TCP].contains(&payload.ip_number) {
        return None;
    }
    // UDP and TCP begin with the same two ports.
    let (source, rest) = payload.payload.split_first_chunk()?;
    let destination = rest.first_chunk()?;
    Some(Packet {
        from: SocketAddr::new(ip.destination_addr(), u16::from_be_bytes(*destination)),
        to: SocketAddr::new(ip.source_addr(), u16::from_be_bytes(*source)),
        content: Content::PortUnreachable,
        length: 0,
        data: &[],
    })
}
