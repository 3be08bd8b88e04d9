//! What a file descriptor is, as `strace -yy` says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use super::syntax::{RawCall, annotation_end};
use crate::story::Protocol;

/// A file descriptor in a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    pub number: u32,
    pub kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An internet socket. Of one that is not bound, or is bound no more, strace knows no address.
    Socket {
        /// TCP or UDP.
        protocol: Protocol,
        local: Option<SocketAddr>,
        remote: Option<SocketAddr>,
    },
    Unix,
    Netlink,
    Pipe,
    Eventfd,
    Epoll,
    /// A path, a terminal, a signalfd, a socket of another kind: what strace says of it. Empty if it says nothing.
    Other(String),
}

impl Kind {
    pub fn is_internet(&self) -> bool {
        matches!(self, Kind::Socket { .. })
    }
}

impl Descriptor {
    /// `3<TCP:[127.0.0.1:8001]>`, or a bare `3`; what follows is left alone.
    pub fn parse(text: &str) -> Option<Descriptor> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let number = text[..digits].parse().ok()?;
        let rest = &text[digits..];
        let kind = match rest.starts_with('<').then(|| annotation_end(rest, 0)) {
            Some(Some(end)) => kind(&rest[1..end - 1]),
            _ if rest.is_empty() => Kind::Other(String::new()),
            _ => return None,
        };
        Some(Descriptor { number, kind })
    }
}

fn kind(text: &str) -> Kind {
    let (name, inside) = text.split_once(':').unwrap_or((text, ""));
    let protocol = match name {
        "TCP" | "TCPv6" => Protocol::Tcp,
        "UDP" | "UDPv6" => Protocol::Udp,
        "pipe" => return Kind::Pipe,
        "NETLINK" => return Kind::Netlink,
        "anon_inode" if inside.starts_with("[eventfd") => return Kind::Eventfd,
        "anon_inode" if inside.starts_with("[eventpoll") => return Kind::Epoll,
        name if name.starts_with("UNIX") => return Kind::Unix,
        _ => return Kind::Other(text.to_owned()),
    };
    let inside = inside
        .strip_prefix('[')
        .and_then(|inside| inside.strip_suffix(']'));
    let inside = inside.unwrap_or_default();
    let (local, remote) = match inside.split_once("->") {
        Some((local, remote)) => (local, remote.parse().ok()),
        None => (inside, None),
    };
    Kind::Socket {
        protocol,
        local: local.parse().ok(),
        remote,
    }
}

/// The descriptors among a call's arguments and its result, also those in lists: `poll([{fd=3<…>, …}], …)`.
pub fn descriptors(call: &RawCall) -> Vec<Descriptor> {
    let mut found = Vec::new();
    for text in call.arguments.iter().chain(&call.result) {
        if let Some(descriptor) = Descriptor::parse(text) {
            found.push(descriptor);
        } else if text.starts_with('[') {
            let parts = text
                .match_indices("{fd=")
                .map(|(begin, mark)| &text[begin + mark.len()..]);
            found.extend(parts.filter_map(listed));
        }
    }
    found
}

/// `3<TCP:[…]>, events=POLLIN}, …`
pub fn listed(text: &str) -> Option<Descriptor> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let end = match text[digits..].starts_with('<') {
        true => annotation_end(text, digits)?,
        false => digits,
    };
    Descriptor::parse(&text[..end])
}

/// What a call has for an address: `{sa_family=AF_INET, sin_port=htons(8001), sin_addr=inet_addr("127.0.0.1")}`. None if it is
/// not IPv4 or IPv6. A scope that has a name only is left out.
pub fn address(text: &str) -> Option<SocketAddr> {
    let text = text.strip_prefix("{sa_family=")?;
    let between = |begin: &str, end: char| Some(text.split_once(begin)?.1.split_once(end)?.0);
    if text.starts_with("AF_INET6,") {
        let ip: Ipv6Addr = between("inet_pton(AF_INET6, \"", '"')?.parse().ok()?;
        let port = between("sin6_port=htons(", ')')?.parse().ok()?;
        let scope = between("sin6_scope_id=", '}').and_then(|scope| scope.parse().ok());
        let address = SocketAddrV6::new(ip, port, 0, scope.unwrap_or(0));
        return Some(address.into());
    }
    let ip: Ipv4Addr = between("sin_addr=inet_addr(\"", '"')?.parse().ok()?;
    let port = between("sin_port=htons(", ')')?.parse().ok()?;
    text.starts_with("AF_INET,")
        .then(|| SocketAddr::from((ip, port)))
}

/// The addresses of a program's own sockets; TCP and UDP have ports of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sockets {
    pub tcp: BTreeSet<SocketAddr>,
    pub udp: BTreeSet<SocketAddr>,
    /// The calls of `connect` that got an address which strace never saw: the connection was refused, or the program did nothing
    /// more with it. The first packet to `to` after `start` has it.
    pub unknown: Vec<Attempt>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub protocol: Protocol,
    pub to: SocketAddr,
    /// Nanoseconds since 1970.
    pub start: u64,
}

impl Sockets {
    fn add(&mut self, protocol: Protocol, address: SocketAddr) {
        if address.port() == 0 {
            return;
        }
        // In packets, an IPv4 address is one, also if the socket has IPv6.
        let ip = match address.ip() {
            IpAddr::V6(ip) => ip.to_canonical(),
            ip => ip,
        };
        let address = match ip {
            IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
            IpAddr::V6(_) => address,
        };
        match protocol {
            Protocol::Tcp => self.tcp.insert(address),
            _ => self.udp.insert(address),
        };
    }
}

/// The local addresses that `calls` used, which are those of a program or of a thread, in order. One that stands for all,
/// `0.0.0.0`, is among them as it is. Of a thread alone, `unknown` may have what another thread knows.
pub fn sockets(calls: &[RawCall]) -> Sockets {
    let mut sockets = Sockets::default();
    let mut attempts = BTreeMap::<u32, Attempt>::new();
    for call in calls.iter().filter(|call| !is_look_up(call)) {
        let descriptors = descriptors(call);
        for descriptor in &descriptors {
            if let Kind::Socket {
                protocol,
                local: Some(local),
                ..
            } = descriptor.kind
            {
                sockets.add(protocol, local);
                attempts.remove(&descriptor.number);
            }
        }
        let Some(Descriptor {
            number,
            kind: Kind::Socket {
                protocol, local, ..
            },
        }) = descriptors.first()
        else {
            continue;
        };
        let Some(address) = call.arguments.get(1).and_then(|text| address(text)) else {
            continue;
        };
        match call.name.as_str() {
            "bind" | "getsockname" if call.result.as_deref() == Some("0") => {
                sockets.add(*protocol, address);
            }
            "connect" if local.is_none() => {
                let attempt = Attempt {
                    protocol: *protocol,
                    to: address,
                    start: call.start,
                };
                // A socket that has the number of one that is closed.
                sockets.unknown.extend(attempts.insert(*number, attempt));
            }
            _ => {}
        }
    }
    sockets.unknown.extend(attempts.into_values());
    sockets.unknown.sort_by_key(|attempt| attempt.start);
    sockets
}

/// Whether the system makes it to look up a name: it asks the kernel for its interfaces, tries which addresses could be reached,
/// talks to a name service cache.
pub fn is_look_up(call: &RawCall) -> bool {
    call.frames
        .iter()
        .any(|frame| frame.symbol == "getaddrinfo")
}

#[cfg(test)]
mod tests {
    use super::super::syntax::tests::one;
    use super::*;

    fn kind_of(text: &str) -> Kind {
        Descriptor::parse(text).unwrap().kind
    }

    #[test]
    fn sockets_have_a_protocol_and_addresses() {
        let socket = |protocol, local: &str, remote: &str| Kind::Socket {
            protocol,
            local: local.parse().ok(),
            remote: remote.parse().ok(),
        };
        for (text, kind) in [
            ("3<TCP:[61270982]>", socket(Protocol::Tcp, "", "")),
            (
                "3<TCP:[127.0.0.1:8001]>",
                socket(Protocol::Tcp, "127.0.0.1:8001", ""),
            ),
            (
                "3<TCP:[127.0.0.1:8001->127.0.0.1:58170]>",
                socket(Protocol::Tcp, "127.0.0.1:8001", "127.0.0.1:58170"),
            ),
            (
                "3<TCPv6:[[::1]:8001->[::1]:58170]>",
                socket(Protocol::Tcp, "[::1]:8001", "[::1]:58170"),
            ),
            (
                "3<UDPv6:[[::1]:53500]>",
                socket(Protocol::Udp, "[::1]:53500", ""),
            ),
        ] {
            assert_eq!(kind_of(text), kind, "{text}");
        }
    }

    #[test]
    fn other_descriptors_are_told_apart() {
        assert_eq!(kind_of("1<pipe:[61407538]>"), Kind::Pipe);
        assert_eq!(kind_of("4<anon_inode:[eventfd]>"), Kind::Eventfd);
        assert_eq!(kind_of("3<anon_inode:[eventpoll]>"), Kind::Epoll);
        assert_eq!(kind_of("6<UNIX-STREAM:[61412434->61412435]>"), Kind::Unix);
        assert_eq!(kind_of("3<NETLINK:[ROUTE:123]>"), Kind::Netlink);
        assert_eq!(
            kind_of("0</dev/null<char 1:3>>"),
            Kind::Other("/dev/null<char 1:3>".to_owned())
        );
        assert_eq!(kind_of("7"), Kind::Other(String::new()));
        assert_eq!(Descriptor::parse("-1 EBADF (Bad file descriptor)"), None);
        assert_eq!(Descriptor::parse("0 (Timeout)"), None);
        assert_eq!(Descriptor::parse("\"3<TCP:[127.0.0.1:8001]>\""), None);
    }

    #[test]
    fn a_programs_own_addresses_are_known_from_its_calls() {
        let calls = [
            one(
                "bind(3<TCP:[1]>, {sa_family=AF_INET, sin_port=htons(8001), sin_addr=inet_addr(\"127.0.0.1\")}, 16) = 0 <0.000029606>",
            ),
            one(
                "bind(3<TCP:[2]>, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr(\"127.0.0.1\")}, 16) = -1 EACCES (Permission denied) <0.000029606>",
            ),
            one(
                "bind(3<UDPv6:[3]>, {sa_family=AF_INET6, sin6_port=htons(0), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, \"::1\", &sin6_addr), sin6_scope_id=0}, 28) = 0 <0.000028293>",
            ),
            one("close(3<UDPv6:[[::1]:53500]>) = 0 <0.000024965>"),
            one(
                "accept4(3<TCPv6:[[::]:9]>, {sa_family=AF_INET6}, [128 => 28], SOCK_CLOEXEC) = 4<TCPv6:[[::ffff:127.0.0.1]:9->[::ffff:127.0.0.1]:58170]> <0.519585260>",
            ),
            one(
                "poll([{fd=3<TCP:[127.0.0.1:47556->127.0.0.1:8080]>, events=POLLOUT}], 1, 4999) = 1 ([{fd=3, revents=POLLOUT}]) <0.002112924>",
            ),
        ];

        let sockets = sockets(&calls);

        let text = |addresses: &BTreeSet<SocketAddr>| {
            let addresses: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
            addresses.join(" ")
        };
        assert_eq!(
            text(&sockets.tcp),
            "127.0.0.1:9 127.0.0.1:8001 127.0.0.1:47556 [::]:9"
        );
        assert_eq!(text(&sockets.udp), "[::1]:53500");
    }

    #[test]
    fn a_connection_whose_address_strace_never_saw_is_said_to_be_one() {
        let connect = |start, port| RawCall {
            start,
            ..one(&format!(
                "connect(3<TCP:[{start}]>, {{sa_family=AF_INET, sin_port=htons({port}), sin_addr=inet_addr(\"127.0.0.1\")}}, 16) = 0 <0.000103862>"
            ))
        };
        let calls = [
            connect(1, 8001),
            one("close(3<TCP:[1]>) = 0 <0.000024965>"),
            connect(2, 8002),
            one("close(3<TCP:[127.0.0.1:40000->127.0.0.1:8002]>) = 0 <0.000024965>"),
            connect(3, 8003),
        ];

        let found = sockets(&calls);

        let unknown: Vec<_> = found
            .unknown
            .iter()
            .map(|each| (each.start, each.to.port()))
            .collect();
        assert_eq!(unknown, [(1, 8001), (3, 8003)]);
        assert_eq!(found.tcp.len(), 1);
    }
}
