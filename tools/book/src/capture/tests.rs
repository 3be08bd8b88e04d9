//! Captures of real connections, and of what no connection would do.

use std::net::SocketAddr;

use super::live::Datagram;
use super::{Captured, Seen, packets};

/// A capture that is kept as text: a line for each packet, its time, its length, and its bytes.
fn sample(text: &str) -> Captured {
    let bytes = |digits: &str| -> Vec<u8> {
        (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
            .collect()
    };
    let mut captured = Captured::default();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<u64>().unwrap();
        captured.push(number(0), number(1) as usize, &bytes(words[2]));
    }
    captured
}

/// Each packet on a line, with the client's port as `c`, the server's as `s`.
fn lines(seen: &[Seen], server: u16) -> Vec<String> {
    let end = |address: SocketAddr| if address.port() == server { "s" } else { "c" };
    seen.iter()
        .map(|seen| {
            let number =
                |number: Option<u32>| number.map_or("-".into(), |number| number.to_string());
            let mut line = format!(
                "{}>{} {:?} {} {} {} {}",
                end(seen.from),
                end(seen.to),
                seen.protocol,
                seen.flags,
                number(seen.sequence),
                number(seen.acknowledgement),
                seen.length,
            );
            for word in [&seen.data[..], &seen.tls.join(",")] {
                if !word.is_empty() {
                    line += &format!(" [{word}]");
                }
            }
            let state = |state: Option<&'static str>| state.unwrap_or("-");
            if seen.state_from.or(seen.state_to).is_some() {
                line += &format!(" {}/{}", state(seen.state_from), state(seen.state_to));
            }
            line
        })
        .collect()
}

#[test]
fn an_exchange_is_read_over_ipv4_and_over_ipv6() {
    for text in [
        include_str!("samples/ipv4.txt"),
        include_str!("samples/ipv6.txt"),
    ] {
        let seen = packets(&sample(text));
        assert_eq!(
            lines(&seen, 8001),
            [
                "c>s Tcp SYN 0 - 0 SYN-SENT/SYN-RECEIVED",
                "s>c Tcp SYN-ACK 0 1 0 -/ESTABLISHED",
                "c>s Tcp ACK 1 1 0 -/ESTABLISHED",
                r"c>s Tcp PSH-ACK 1 1 18 [GET / HTTP/1.1\r\n\r\n]",
                "s>c Tcp ACK 1 19 0",
                r"s>c Tcp PSH-ACK 1 19 25 [hello, GET / HTTP/1.1\r\n\r\n]",
                "c>s Tcp ACK 19 26 0",
                "c>s Tcp FIN-ACK 19 26 0 FIN-WAIT-1/CLOSE-WAIT",
                "s>c Tcp FIN-ACK 26 20 0 LAST-ACK/TIME-WAIT",
                "c>s Tcp ACK 20 27 0 -/CLOSED",
            ]
        );
        assert!(seen.is_sorted_by_key(|seen| seen.time));
    }
    let ipv6 = packets(&sample(include_str!("samples/ipv6.txt")));
    assert_eq!(ipv6[0].to.to_string(), "[::1]:8001");
}

#[test]
fn a_refused_connection_and_a_reset_one_are_read() {
    assert_eq!(
        lines(&packets(&sample(include_str!("samples/refused.txt"))), 8001),
        [
            "c>s Tcp SYN 0 - 0 SYN-SENT/-",
            "s>c Tcp RST-ACK 0 1 0 -/CLOSED"
        ]
    );
    let reset = packets(&sample(include_str!("samples/reset.txt")));
    assert_eq!(
        lines(&reset, 8001).last().unwrap(),
        "c>s Tcp RST-ACK 19 26 0 CLOSED/CLOSED"
    );
}

#[test]
fn data_for_a_socket_that_is_gone_are_read() {
    let gone = packets(&sample(include_str!("samples/gone.txt")));
    assert_eq!(
        lines(&gone, 8001)[3..],
        [
            "s>c Tcp FIN-ACK 1 1 0 FIN-WAIT-1/CLOSE-WAIT",
            "c>s Tcp PSH-ACK 1 2 8 [too late] -/FIN-WAIT-2",
            "s>c Tcp RST 2 - 0 CLOSED/CLOSED",
        ]
    );
}

#[test]
fn a_refused_datagram_is_answered_by_the_port_that_refuses_it() {
    let udp = packets(&sample(include_str!("samples/udp.txt")));
    assert_eq!(
        lines(&udp, 8001),
        [
            "c>s Udp  - - 7 [00 01 6b 6e 6f 63 6b]",
            "s>c Icmp port-unreachable - - 0",
            "c>s Udp  - - 7 [00 01 6b 6e 6f 63 6b]",
            "s>c Icmp port-unreachable - - 0",
        ]
    );
    assert_eq!((udp[1].from, udp[1].to), (udp[0].to, udp[0].from));
    assert_eq!((udp[3].from, udp[3].to), (udp[2].to, udp[2].from));
}

/// The TLS messages of each packet that has some, and who sent it.
fn tls(text: &str) -> Vec<String> {
    packets(&sample(text))
        .iter()
        .filter(|seen| !seen.tls.is_empty())
        .map(|seen| {
            let end = if seen.from.port() == 8001 { "s" } else { "c" };
            format!("{end} {}", seen.tls.join(", "))
        })
        .collect()
}

#[test]
fn the_messages_of_tls_1_3_are_named() {
    assert_eq!(
        tls(include_str!("samples/tls-1.3.txt"))[..4],
        [
            "c ClientHello",
            "s ServerHello, ChangeCipherSpec, ApplicationData ×4",
            "c ChangeCipherSpec, ApplicationData",
            "s ApplicationData",
        ]
    );
}

#[test]
fn the_messages_of_tls_1_2_are_named() {
    assert_eq!(
        tls(include_str!("samples/tls-1.2.txt")),
        [
            "c ClientHello",
            "s ServerHello, Certificate, ServerKeyExchange, ServerHelloDone",
            "c ClientKeyExchange, ChangeCipherSpec, Finished",
            "s NewSessionTicket, ChangeCipherSpec, Finished",
            "c ApplicationData",
            "s ApplicationData",
            "c Alert",
            "s Alert",
        ]
    );
}

#[test]
fn a_second_hello_of_tls_1_3_is_named() {
    assert_eq!(
        tls(include_str!("samples/tls-retry.txt"))[..4],
        [
            "c ClientHello",
            "s HelloRetryRequest, ChangeCipherSpec",
            "c ChangeCipherSpec, ClientHello",
            "s ServerHello, ApplicationData ×4",
        ]
    );
}

const SAMPLES: [&str; 9] = [
    include_str!("samples/gone.txt"),
    include_str!("samples/ipv4.txt"),
    include_str!("samples/ipv6.txt"),
    include_str!("samples/refused.txt"),
    include_str!("samples/reset.txt"),
    include_str!("samples/tls-1.2.txt"),
    include_str!("samples/tls-1.3.txt"),
    include_str!("samples/tls-retry.txt"),
    include_str!("samples/udp.txt"),
];

#[test]
fn a_packet_that_is_cut_anywhere_keeps_its_true_length_or_is_left_out() {
    for text in SAMPLES {
        let whole = sample(text);
        for keep in 0..600 {
            let mut cut = whole.clone();
            for datagram in &mut cut.datagrams {
                datagram.bytes.truncate(keep);
            }
            let lengths =
                |seen: &[Seen]| -> Vec<usize> { seen.iter().map(|seen| seen.length).collect() };
            let seen = packets(&cut);
            if seen.len() == whole.datagrams.len() {
                assert_eq!(lengths(&seen), lengths(&packets(&whole)), "kept {keep}");
            }
        }
    }
}

#[test]
fn damaged_packets_and_garbage_never_panic() {
    // A small linear congruential generator: the same damage every time.
    let mut random = 1_u64;
    let mut next = move || {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33) as usize
    };
    for _ in 0..300 {
        for text in SAMPLES {
            let mut damaged = sample(text);
            for datagram in &mut damaged.datagrams {
                for _ in 0..next() % 4 {
                    let at = next() % datagram.bytes.len().min(80);
                    datagram.bytes[at] = next() as u8;
                }
                if next().is_multiple_of(4) {
                    datagram.length = next() % 100;
                }
            }
            for seen in packets(&damaged) {
                assert!(seen.length <= 65_535);
                assert!(seen.tls.len() <= 17);
                assert!(!seen.data.contains(char::is_control));
            }
        }
        let garbage = (0..next() % 120).map(|_| next() as u8).collect();
        let datagram = Datagram {
            time: 0,
            length: next(),
            bytes: garbage,
        };
        let mut captured = Captured::default();
        captured.datagrams.push(datagram);
        packets(&captured);
    }
}

#[test]
fn lengths_that_lie_are_not_believed() {
    let mut long = sample(include_str!("samples/ipv4.txt"));
    // The IP header of the request says that it is longer than what was sent.
    long.datagrams[3].bytes[2..4].copy_from_slice(&[0xff, 0xff]);
    assert_eq!(packets(&long)[3].length, 18);
    // It says that it is shorter than its own headers.
    long.datagrams[3].bytes[2..4].copy_from_slice(&[0, 30]);
    assert_eq!(packets(&long).len(), 9);
}

/// Runs the test of this name once more, as the command that `unshare` and its `options` start. True inside.
#[cfg(target_os = "linux")]
fn is_inside(name: &str, options: &[&str]) -> bool {
    const INSIDE: &str = "BOOK_TEST_IS_IN_NAMESPACES";
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let status = std::process::Command::new("unshare")
        .args(options)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("capture::tests::{name}")])
        .args(["--include-ignored", "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success());
    false
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs namespaces"]
fn a_capture_that_is_not_permitted_says_so() {
    // In a user namespace that maps nobody, not even root may do anything.
    if is_inside("a_capture_that_is_not_permitted_says_so", &["--user"]) {
        let error = super::Capture::start().err().unwrap();
        let text = format!("{error:#}");
        assert!(
            text.starts_with("cannot capture packets: that needs CAP_NET_RAW"),
            "{text}"
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs namespaces"]
fn loopback_is_captured_in_namespaces_of_its_own() {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::{SystemTime, UNIX_EPOCH};

    let options = ["--user", "--map-root-user", "--net", "sh", "-c"];
    let up = ["ip link set lo up && exec \"$@\"", "sh"];
    let name = "loopback_is_captured_in_namespaces_of_its_own";
    if !is_inside(name, &[&options[..], &up[..]].concat()) {
        return;
    }

    let before = SystemTime::now();
    let capture = super::Capture::start().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    // More than one segment, and more than a kernel's buffer holds of them.
    let sent = 40_000_000;
    let writer = std::thread::spawn(move || {
        client.write_all(&vec![b'x'; sent]).unwrap();
    });
    let mut received = Vec::new();
    server.read_to_end(&mut received).unwrap();
    writer.join().unwrap();
    drop(server);
    let captured = capture.end().unwrap();

    assert_eq!(received.len(), sent);
    let seen = packets(&captured);
    assert_eq!(captured.left_out, 0);
    let lines = lines(&seen, address.port());
    assert_eq!(lines[0], "c>s Tcp SYN 0 - 0 SYN-SENT/SYN-RECEIVED");
    assert_eq!(lines[1], "s>c Tcp SYN-ACK 0 1 0 -/ESTABLISHED");
    assert!(lines.last().unwrap().ends_with("-/CLOSED"), "{lines:?}");
    let after = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_nanos();
    let before = before.duration_since(UNIX_EPOCH).unwrap().as_nanos();
    assert!(
        seen.iter()
            .all(|seen| (before..after).contains(&seen.time.into()))
    );
    if captured.dropped == 0 {
        let data: usize = seen
            .iter()
            .filter(|seen| seen.to == address)
            .map(|seen| seen.length)
            .sum();
        // TCP sends a little of it again when this machine is busy.
        let once = sent..sent + sent / 10;
        assert!(once.contains(&data), "each packet is there once: {data}");
    }
}
