//! The programs, as a reader starts them.

mod programs;
mod sessions;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use https::certificates::{self, AUTHORITY, FILE_LIMIT, HEAD_START, LIFETIME};
use programs::{Server, closed_port, run};
use rustls::crypto::{CryptoProvider, ring};
use rustls::{ServerConfig, ServerConnection};
use sessions::{
    Certified, Folder, GREETINGS, Host, REQUEST, assert_distrusts, assert_fails,
    assert_success, complaint, connect, error, finish, listen, patient_end, program,
    read_head, rest, serving, shake_hands, stderr, stdout, top, wait,
};

/// Every page, and what it brings.
const PAGES: [(&str, &str, &str); 7] = [
    ("/", "200 OK", HOME),
    ("/greetings", "200 OK", GREETINGS),
    ("/slow", "200 OK", GREETINGS),
    ("/chunked", "200 OK", GREETINGS),
    ("/until-close", "200 OK", GREETINGS),
    ("/moved", "301 Moved Permanently", "301 Moved Permanently\n"),
    ("/nowhere", "404 Not Found", "404 Not Found\n"),
];
const HOME: &str =
    "<!doctype html>\n<title>It works</title>\n<p>Hello from the other side.\n";

const CLIENTS: [&str; 3] = ["head", "get", "piecewise"];

/// What `head` says of a session: the value of the line with this name.
#[track_caller]
fn line<'a>(description: &'a str, name: &str) -> &'a str {
    description
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name:<14}")))
        .unwrap_or_else(|| panic!("no {name} in {description}"))
}

#[test]
fn get_prints_the_head_of_every_page_and_the_page() {
    let server = Certified::start();
    for (path, status, content) in PAGES {
        let output = server.ask("get", path);
        assert_success(&output);
        assert_eq!(rest(&output), content, "{path}");
        let head = top(&output);
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status}\nDate: ")),
            "{head}"
        );
        assert!(head.ends_with("Connection: close\n\n"), "{head:?}");
        let log = server.next_log_line();
        assert!(log.ends_with(&format!(": GET {path}: {status}")), "{log}");
    }
}

#[test]
fn head_prints_what_was_agreed_on_and_the_head_of_every_page() {
    let server = Certified::start();
    for (path, status, _) in PAGES {
        let output = server.ask("head", path);
        assert_success(&output);
        let head = rest(&output);
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status}\nDate: ")),
            "{head}"
        );
        assert!(head.ends_with("Connection: close\n"), "{head:?}");
        let of_get = top(&server.ask("get", path));
        let but_date = |head: &str| -> Vec<String> {
            let lines = head.trim().lines().map(String::from);
            lines.filter(|line| !line.starts_with("Date: ")).collect()
        };
        assert_eq!(but_date(&head), but_date(&of_get), "{path}");

        let [first, second] = [server.next_log_line(), server.next_log_line()];
        assert!(
            first.ends_with(&format!(": HEAD {path}: {status}")),
            "{first}"
        );
        assert!(second.contains(&format!(": GET {path}: ")), "{second}");

        let description = top(&output);
        let names: Vec<&str> = description
            .lines()
            .map(|line| line.get(..14).unwrap_or(line).trim_end())
            .collect();
        let expected = [
            "version",
            "cipher suite",
            "key exchange",
            "ALPN",
            "certificate",
            "  names",
            "  valid from",
            "  valid until",
            "  issuer",
            "",
        ];
        assert_eq!(names, expected, "{description}");
        assert_eq!(line(&description, "version"), "TLS 1.3");
        assert_eq!(line(&description, "ALPN"), "http/1.1");
        assert_eq!(line(&description, "certificate"), "CN=localhost");
        assert_eq!(line(&description, "  names"), "localhost, 127.0.0.1, ::1");
        let issuer = format!("CN={AUTHORITY}");
        assert_eq!(line(&description, "  issuer"), issuer);
    }
}

/// The two sides of a handshake have agreed on the same thing: what `head` says is what the
/// other side knows.
#[test]
fn head_says_what_the_two_sides_have_agreed_on_whatever_it_is() {
    let host = Host::new();
    let all = ring::default_provider();
    let with = |suite: usize, group: usize| CryptoProvider {
        cipher_suites: vec![all.cipher_suites[suite]],
        kx_groups: vec![all.kx_groups[group]],
        ..ring::default_provider()
    };
    let offers = (0..all.cipher_suites.len())
        .map(|suite| with(suite, suite % all.kx_groups.len()))
        .filter(|offer| {
            // The authority signs with an elliptic curve.
            !format!("{:?}", offer.cipher_suites[0].suite()).contains("RSA")
        });
    let mut seen = vec![];
    for (number, offer) in offers.enumerate() {
        let version = offer.cipher_suites[0].version();
        let params = certificates::leaf(&["127.0.0.1"]).unwrap();
        let identity = certificates::sign(&params, &host.authority).unwrap();
        let mut config = ServerConfig::builder_with_provider(offer.into())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(identity.chain, identity.key)
            .unwrap();
        let speaks_alpn = number % 2 == 0;
        if speaks_alpn {
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
        }
        let config = Arc::new(config);
        let (listener, address) = listen();
        let served = thread::spawn(move || {
            let mut session = shake_hands(patient_end(&listener), config);
            read_head(&mut session);
            let known = agreed(&session.conn);
            session.write_all(b"HTTP/1.1 204 Fine\r\n\r\n").unwrap();
            finish(session);
            known
        });
        let output = host.ask("head", &address);
        assert_success(&output);
        let said = top(&output);
        let said = ["version", "cipher suite", "key exchange", "ALPN"]
            .map(|name| line(&said, name).to_string());
        let known = served.join().unwrap();
        assert_eq!(said, known);
        assert_eq!(said[3], if speaks_alpn { "http/1.1" } else { "none" });
        seen.push(said[..3].join(" "));
    }
    // In the words of the registry, where everybody can look them up.
    for expected in [
        "TLS 1.3 TLS_AES_256_GCM_SHA384 X25519",
        "TLS 1.3 TLS_AES_128_GCM_SHA256 secp256r1",
        "TLS 1.3 TLS_CHACHA20_POLY1305_SHA256 secp384r1",
        "TLS 1.2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 X25519",
        "TLS 1.2 TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 secp256r1",
        "TLS 1.2 TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 secp384r1",
    ] {
        assert!(seen.iter().any(|known| known == expected), "{seen:?}");
    }
}

/// The same, from the server's side.
fn agreed(session: &ServerConnection) -> [String; 4] {
    let version = match session.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2",
        other => panic!("{other:?}"),
    };
    let suite = session.negotiated_cipher_suite().unwrap().suite();
    let group = session.negotiated_key_exchange_group().unwrap().name();
    let protocol = session.alpn_protocol().unwrap_or(b"none");
    [
        version.into(),
        format!("{suite:?}").replace("TLS13_", "TLS_"),
        format!("{group:?}"),
        String::from_utf8(protocol.to_vec()).unwrap(),
    ]
}

#[test]
fn head_prints_the_dates_and_the_names_of_every_certificate_in_the_chain() {
    let host = Host::new();
    let mut params = certificates::leaf(&["example.org", "*.example.org", "192.0.2.1"]);
    let params = params.as_mut().unwrap();
    params.subject_alt_names.push(rcgen::SanType::IpAddress(
        "127.0.0.1".parse().expect("an address"),
    ));
    params.not_before = rcgen::date_time_ymd(2001, 2, 3);
    params.not_after = rcgen::date_time_ymd(2049, 5, 6);
    let mut identity = certificates::sign(params, &host.authority).unwrap();
    identity.chain.push(host.authority.der().clone());
    let config = https::tls::config(identity).unwrap();
    let address = serving(move |stream| {
        let mut session = shake_hands(stream, config);
        read_head(&mut session);
        session.write_all(b"HTTP/1.1 204 Fine\r\n\r\n").unwrap();
        finish(session);
    });
    let output = host.ask("head", &address);
    assert_success(&output);
    let description = top(&output);
    let expected = format!(
        "certificate   CN=example.org\n\
        \x20 names       example.org, *.example.org, 192.0.2.1, 127.0.0.1\n\
        \x20 valid from  2001-02-03T00:00:00Z\n\
        \x20 valid until 2049-05-06T00:00:00Z\n\
        \x20 issuer      CN={AUTHORITY}\n\
        certificate   CN={AUTHORITY}\n\
        \x20 names       none\n\
        \x20 valid from  "
    );
    assert!(description.contains(&expected), "{description}");
    assert!(description.ends_with(&format!("issuer      CN={AUTHORITY}\n\n")));
}

#[test]
fn a_certificate_of_the_server_lasts_a_month_and_has_begun_an_hour_ago() {
    let server = Certified::start();
    let description = top(&server.ask("head", ""));
    let [from, until] = ["  valid from", "  valid until"].map(|name| {
        let words = line(&description, name).replace(['T', 'Z'], " ");
        let (day, time) = words.trim().split_once(' ').unwrap();
        let of_day: u64 = time
            .split(':')
            .zip([3600, 60, 1])
            .map(|(number, seconds)| number.parse::<u64>().unwrap() * seconds)
            .sum();
        (day.to_string(), of_day)
    });
    // The same time of day but for the head start, on another day.
    let lasts = (HEAD_START + LIFETIME).as_secs();
    assert_eq!(
        (until.1 + 86_400 - from.1) % 86_400,
        lasts % 86_400,
        "{description}"
    );
    assert_ne!(from.0, until.0);
}

/// A certificate is written by others.
#[test]
fn what_stands_in_a_certificate_can_do_nothing_to_the_terminal() {
    let host = Host::new();
    for (names, is_trusted) in [(["127.0.0.1"], true), (["192.0.2.1"], false)] {
        let mut params = certificates::leaf(&names).unwrap();
        let hostile = "\x1b[31m\u{9b}2J\nred";
        params
            .distinguished_name
            .push(rcgen::DnType::OrganizationName, hostile);
        let ascii = "\x1b[31m\nred.example".try_into().unwrap();
        params
            .subject_alt_names
            .push(rcgen::SanType::DnsName(ascii));
        let uri = "uri:\x1b[31m\nred".try_into().unwrap();
        params.subject_alt_names.push(rcgen::SanType::URI(uri));
        let identity = certificates::sign(&params, &host.authority).unwrap();
        let config = https::tls::config(identity).unwrap();
        let address = serving(move |mut stream| {
            let mut session = ServerConnection::new(config).unwrap();
            if session.complete_io(&mut stream).is_ok() {
                let mut session = rustls::StreamOwned::new(session, stream);
                read_head(&mut session);
                session.write_all(b"HTTP/1.1 204 Fine\r\n\r\n").unwrap();
                finish(session);
            }
        });
        let output = host.ask("head", &address);
        let said = stdout(&output) + &stderr(&output);
        assert_eq!(output.status.success(), is_trusted, "{said}");
        assert!(said.contains("[31m"), "{said:?}");
        assert!(
            !said.contains(|c: char| c.is_control() && c != '\n'),
            "{said:?}"
        );
        assert!(!said.lines().any(|line| line.starts_with("red")), "{said}");
    }
}

/// What is wrong with a server, where that stops a client, and why.
struct Fault {
    name: &'static str,
    /// What has failed, for `get`. `head` succeeds if it does not get that far.
    what: What,
    cause: &'static str,
    /// What the server logs.
    log: &'static str,
}

#[derive(PartialEq)]
enum What {
    Connection,
    Framing,
    Body,
}

const FAULTS: [Fault; 14] = [
    Fault {
        name: "unknown-issuer",
        what: What::Connection,
        cause: "invalid peer certificate: UnknownIssuer",
        log: "received fatal alert: UnknownCA",
    },
    Fault {
        name: "other-key",
        what: What::Connection,
        cause: "invalid peer certificate: BadSignature",
        log: "received fatal alert: DecryptError",
    },
    Fault {
        name: "expired",
        what: What::Connection,
        cause: "invalid peer certificate: certificate expired: verification time # (UNIX), \
                but certificate is not valid after # (# seconds ago)",
        log: "received fatal alert: CertificateExpired",
    },
    Fault {
        name: "not-yet-valid",
        what: What::Connection,
        cause: "invalid peer certificate: certificate not valid yet: verification time # \
                (UNIX), but certificate is not valid before # (# seconds in future)",
        log: "received fatal alert: CertificateExpired",
    },
    Fault {
        name: "wrong-host",
        what: What::Connection,
        cause: "invalid peer certificate: certificate not valid for name \"127.0.0.1\"; \
                certificate is only valid for DnsName(\"example.org\")",
        log: "received fatal alert: BadCertificate",
    },
    Fault {
        name: "leaf-as-ca",
        what: What::Connection,
        cause: "invalid peer certificate: Other(OtherError(EndEntityUsedAsCa))",
        log: "received fatal alert: CertificateUnknown",
    },
    Fault {
        name: "ca-as-leaf",
        what: What::Connection,
        cause: "invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))",
        log: "received fatal alert: CertificateUnknown",
    },
    Fault {
        name: "plain-http",
        what: What::Connection,
        cause: "received corrupt message of type InvalidContentType",
        log: "is told, in plain HTTP, that its request is bad",
    },
    Fault {
        name: "tls-1.1",
        what: What::Connection,
        cause: "peer is incompatible: ServerDoesNotSupportTls12Or13",
        log: "offers TLS 1.1",
    },
    Fault {
        name: "cut",
        what: What::Body,
        cause: "peer closed connection without sending TLS close_notify: https://docs.rs/\
                rustls/latest/rustls/manual/_03_howto/index.html#unexpected-eof",
        log: "sends a part of the answer",
    },
    Fault {
        name: "short",
        what: What::Body,
        cause: "the body was cut short: 22 bytes are missing",
        log: "sends a part of the answer",
    },
    Fault {
        name: "stall",
        what: What::Body,
        cause: "nothing came for 2s",
        log: "sends a part of the answer",
    },
    Fault {
        name: "huge",
        what: What::Framing,
        cause: "the body has more than 10485760 bytes",
        log: "sends a part of the answer",
    },
    Fault {
        name: "hang",
        what: What::Connection,
        cause: "nothing came for 2s",
        log: "says nothing",
    },
];

/// With `#` for every number that tells the time.
fn without_times(text: &str, cause: &str) -> String {
    if !cause.contains('#') {
        return text.into();
    }
    let mut parts = text.split("certificate");
    let mut all = parts.next().unwrap_or_default().to_string();
    for part in parts {
        all += "certificate";
        for c in part.chars() {
            match c {
                '0'..='9' if all.ends_with('#') => {}
                '0'..='9' => all.push('#'),
                other => all.push(other),
            }
        }
    }
    all
}

#[test]
fn each_fault_has_its_error_for_each_client_and_costs_the_server_one_line() {
    thread::scope(|scope| {
        for fault in &FAULTS {
            for client in CLIENTS {
                scope.spawn(move || meets(client, fault));
            }
        }
    });
}

fn meets(client: &str, fault: &Fault) {
    let Fault {
        name, cause, log, ..
    } = *fault;
    let server = Certified::faulty(name);
    let output = server.ask(client, "");
    match fault.what {
        What::Connection => {
            let what = format!("no secure connection to {}", server.address);
            let said = without_times(&complaint(&output), cause);
            assert_eq!(said, error(&what, cause), "{client}, {name}");
            assert!(stderr(&output).starts_with("Error: "), "{client}, {name}");
            assert_eq!(stdout(&output), "", "{client}, {name}");
        }
        What::Framing | What::Body if client == "head" => {
            assert_success(&output);
            assert!(rest(&output).starts_with("HTTP/1.1 200 OK\n"), "{name}");
        }
        What::Framing => {
            assert_fails(&output, "the body cannot be read", cause);
            assert_eq!(rest(&output), "", "{client}, {name}");
        }
        What::Body => {
            assert_fails(&output, "the body did not arrive whole", cause);
            assert_eq!(rest(&output), "Pay 100 to Alice.\n", "{client}, {name}");
        }
    }
    let said = server.next_log_line();
    assert!(
        said.ends_with(&format!(": {log}")),
        "{client}, {name}: {said}"
    );
    // That was all about this client: the next line is about the next one.
    let mut stream = connect(&server);
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let next = stream.local_addr().unwrap();
    let said = server.next_log_line();
    assert!(
        said.starts_with(&format!("{next}: ")),
        "{client}, {name}: {said}"
    );
}

/// The end is in the body itself. Nobody could have cut anything off.
#[test]
fn a_body_that_knows_its_end_needs_no_close_notify_and_any_other_does() {
    let host = Host::new();
    for (framing, body, is_safe) in [
        ("Content-Length: 4\r\n", "body", true),
        (
            "Transfer-Encoding: chunked\r\n",
            "4\r\nbody\r\n0\r\n\r\n",
            true,
        ),
        ("Transfer-Encoding: chunked\r\n", "4\r\nbody\r\n", false),
        ("", "body", false),
        ("", "", false),
    ] {
        for is_notified in [true, false] {
            let answer = format!("HTTP/1.1 200 OK\r\n{framing}\r\n{body}");
            let address = host.serving(move |mut session| {
                session.write_all(answer.as_bytes()).unwrap();
                match is_notified {
                    true => finish(session),
                    false => session.sock.shutdown(Shutdown::Both).unwrap(),
                }
            });
            let output = host.ask("get", &address);
            let is_whole = is_safe || is_notified && framing.is_empty();
            let context = format!("{framing:?}, {is_notified}: {}", stderr(&output));
            assert_eq!(output.status.success(), is_whole, "{context}");
            if !is_whole {
                let said = complaint(&output);
                let expected = match is_notified {
                    true => "its last chunk is missing",
                    false => "without sending TLS close_notify",
                };
                assert!(said.contains(expected), "{context}");
                assert!(
                    said.starts_with("Error: the body did not arrive whole\n"),
                    "{said}"
                );
            }
            let printed = if body.is_empty() { "" } else { "body" };
            assert_eq!(rest(&output), printed, "{context}");
        }
    }
}

#[test]
fn the_programs_send_these_bytes_and_a_proper_end() {
    let host = Host::new();
    for (client, method) in [("head", "HEAD"), ("get", "GET"), ("piecewise", "GET")] {
        let (listener, address) = listen();
        let config = Arc::clone(&host.config);
        let served = thread::spawn(move || {
            let mut session = shake_hands(patient_end(&listener), config);
            let head = read_head(&mut session);
            let name = session.conn.server_name().map(String::from);
            session.write_all(b"HTTP/1.1 204 Fine\r\n\r\n").unwrap();
            session.conn.send_close_notify();
            session.flush().unwrap();
            let mut more = vec![];
            // An error without the client's close_notify.
            session.read_to_end(&mut more).expect("a proper end");
            (head, more, name)
        });
        let port = address.rsplit_once(':').unwrap().1;
        let target = format!("localhost:{port}/a?b=c");
        let output = host.ask(client, &target);
        assert_success(&output);
        let (head, more, name) = served.join().unwrap();
        let expected = format!(
            "{method} /a?b=c HTTP/1.1\r\nHost: localhost:{port}\r\n\
             User-Agent: sockets-in-rust\r\nAccept: text/html\r\n\
             Connection: close\r\n\r\n"
        );
        assert_eq!(head, expected);
        assert_eq!(more, b"");
        assert_eq!(name.as_deref(), Some("localhost"), "SNI");
    }
}

/// The name is sent in the clear, so that a server with several certificates can choose. An
/// address is no name (RFC 6066, section 3).
#[test]
fn an_address_is_not_sent_as_a_name() {
    let host = Host::new();
    let (listener, address) = listen();
    let config = Arc::clone(&host.config);
    let served = thread::spawn(move || {
        let mut session = shake_hands(patient_end(&listener), config);
        read_head(&mut session);
        let name = session.conn.server_name().map(String::from);
        session.write_all(b"HTTP/1.1 204 Fine\r\n\r\n").unwrap();
        finish(session);
        name
    });
    assert_success(&host.ask("head", &address));
    assert_eq!(served.join().unwrap(), None);
}

#[test]
fn piecewise_breaks_the_characters_that_get_puts_together() {
    let server = Certified::start();
    let pieces = rest(&server.ask("piecewise", "/slow"));
    assert_ne!(pieces, GREETINGS);
    assert!(pieces.contains('\u{fffd}'), "{pieces}");
    // What is one byte long cannot be broken.
    let ascii = |text: &str| text.replace(|c: char| !c.is_ascii(), "");
    assert_eq!(ascii(&pieces), ascii(GREETINGS));
    assert_eq!(rest(&server.ask("get", "/slow")), GREETINGS);
    assert_eq!(rest(&server.ask("piecewise", "/greetings")), GREETINGS);
}

#[test]
fn get_prints_what_comes_as_it_comes() {
    let host = Host::new();
    let (listener, address) = listen();
    let config = Arc::clone(&host.config);
    let mut client = program("get")
        .args([&address, "--ca", &host.ca])
        .spawn()
        .unwrap();
    let mut session = shake_hands(patient_end(&listener), config);
    read_head(&mut session);
    session
        .write_all(b"HTTP/1.1 200 OK\r\n\r\nfirst\xf0\x9f")
        .unwrap();
    let mut stdout = client.stdout.take().unwrap();
    // Before the end of a line, even.
    let mut first = [0; b"HTTP/1.1 200 OK\n\nfirst".len()];
    stdout.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK\n\nfirst");
    session.write_all(b"\xa6\x80\n\xf0\x9f").unwrap();
    finish(session);
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "🦀\n\u{fffd}", "half a character is not lost");
    assert!(client.wait().unwrap().success());
}

#[test]
fn what_a_server_sends_can_do_nothing_to_the_terminal() {
    let host = Host::new();
    for client in ["get", "piecewise"] {
        let answer = "HTTP/1.1 200 OK\r\nX: \u{9b}31m\r\nContent-Length: 11\r\n\r\n\
                      \x1b[2J\u{9b}\x07 red";
        let output = host.ask(client, &host.answering(answer));
        assert_success(&output);
        assert_eq!(rest(&output), "\u{fffd}[2J\u{fffd}\u{fffd} red");
        assert!(top(&output).contains("X: \u{fffd}31m\n"));
    }
}

#[test]
fn an_answer_without_content_has_no_body_to_wait_for() {
    let host = Host::new();
    let address = host.serving(|mut session| {
        let answer = b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n";
        session.write_all(answer).unwrap();
        wait(session.sock);
    });
    let output = host.ask("get", &address);
    assert_success(&output);
    assert_eq!(rest(&output), "");
}

#[test]
fn a_connection_serves_one_request_after_another_until_the_client_has_had_enough() {
    let server = Certified::start();
    let mut session = server.session();
    for path in ["/", "/greetings", "/moved", "/nowhere"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        session.write_all(request.as_bytes()).unwrap();
        let head = read_head(&mut session);
        assert!(head.contains("\r\nConnection: keep-alive\r\n"), "{head}");
        let (_, rest) = head.split_once("Content-Length: ").unwrap();
        let length = rest.split_once("\r\n").unwrap().0.parse().unwrap();
        session.read_exact(&mut vec![0; length]).unwrap();
        assert!(server.next_log_line().contains(&format!(": GET {path}: ")));
    }
    // Two at once, the last of which is the end.
    let open = "GET /moved HTTP/1.1\r\nHost: localhost\r\n\r\n";
    session
        .write_all(format!("{open}{REQUEST}").as_bytes())
        .unwrap();
    let mut rest = String::new();
    session
        .read_to_string(&mut rest)
        .expect("a close_notify at the end");
    assert!(rest.starts_with("HTTP/1.1 301 "), "{rest}");
    assert!(rest.ends_with(HOME), "{rest}");
}

#[test]
fn without_the_file_nobody_trusts_the_server_which_serves_all_the_same() {
    let server = Server::start("server");
    assert_eq!(
        server.next_log_line(),
        "without --ca FILE, no client has a reason to trust this server"
    );
    let other = Certified::start();
    let address = server.address.to_string();
    let cause = "invalid peer certificate: UnknownIssuer";
    for client in CLIENTS {
        let output = run(client, &[&address]);
        assert_distrusts(&output, &address, cause);
        let log = server.next_log_line();
        let expected = "no secure connection: received fatal alert: UnknownCA";
        assert!(log.ends_with(expected), "{log}");
        // Another authority of the same name is another authority.
        let output = run(client, &[&address, "--ca", &other.ca]);
        assert_eq!(output.status.code(), Some(1));
        assert!(complaint(&output).contains("invalid peer certificate: BadSignature"));
        server.next_log_line();
    }
    // Nor is a server trusted that has written the file, but to somebody who has not read it.
    let address = other.address.to_string();
    assert_distrusts(&run("head", &[&address]), &address, cause);
}

#[test]
fn no_switch_turns_verification_off() {
    let server = Server::start("server");
    let address = server.address.to_string();
    for switch in [
        "--insecure",
        "-k",
        "--no-check-certificate",
        "--no-verify",
        "--verify=no",
        "--ca=",
        "--ca-none",
        "-",
        "--",
    ] {
        for client in CLIENTS {
            for arguments in [[switch, &address], [&address, switch]] {
                let output = run(client, &arguments);
                assert_eq!(output.status.code(), Some(2), "{client} {arguments:?}");
                assert_eq!(stdout(&output), "");
            }
        }
    }
    for client in CLIENTS {
        let output = program(client)
            .arg(&address)
            .envs([
                ("SSL_CERT_FILE", "/dev/null"),
                ("SSL_NO_VERIFY", "1"),
                ("PYTHONHTTPSVERIFY", "0"),
                ("NODE_TLS_REJECT_UNAUTHORIZED", "0"),
            ])
            .output()
            .unwrap();
        let cause = "invalid peer certificate: UnknownIssuer";
        assert_distrusts(&output, &address, cause);
    }
}

/// What rustls calls it when somebody else decides whether to trust a certificate.
#[test]
fn the_sources_know_no_dangerous_configuration() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let text = fs::read_to_string(&path).unwrap().to_lowercase();
            for word in ["dangerous", "verifier", "insecure"] {
                assert!(!text.contains(word), "{word} in {}", path.display());
            }
        }
    }
    assert!(files > 10, "{files}");
}

/// Two would make a program that leaves the choice to rustls panic.
#[test]
fn there_is_one_tls_provider_and_it_is_ring() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--edges", "normal,build"])
        .args(["--prefix", "none", "--manifest-path"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .args(["--package", "https"])
        .output()
        .unwrap();
    assert_success(&output);
    let tree = stdout(&output);
    let has = |name: &str| {
        tree.lines()
            .any(|line| line.split(' ').next() == Some(name))
    };
    assert!(has("https") && has("rustls") && has("ring"), "{tree}");
    for other in [
        "aws-lc-rs",
        "aws-lc-sys",
        "aws-lc-fips-sys",
        "openssl",
        "openssl-sys",
        "native-tls",
        "boring",
        "rustls-graviola",
        "rustls-rustcrypto",
        "rustls-symcrypt",
    ] {
        assert!(!has(other), "{other} in\n{tree}");
    }
    let features = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--edges", "normal,features"])
        .args(["--prefix", "none", "--manifest-path"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .args(["--package", "https", "--invert", "rustls"])
        .output()
        .unwrap();
    assert_success(&features);
    let features = stdout(&features);
    assert!(features.contains("rustls feature \"ring\""), "{features}");
    assert!(!features.contains("aws"), "{features}");
}

#[test]
fn a_file_without_a_proper_certificate_is_an_error() {
    let folder = Folder::new();
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let good = certificates::authority("somebody").unwrap().pem();
    let broken = good.replace("MII", "!!!");
    let no_certificate =
        "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
    let huge = " ".repeat(FILE_LIMIT as usize);
    for (name, content, expected) in [
        ("empty", "", "no certificate in FILE"),
        ("notes", "not PEM at all\n", "no certificate in FILE"),
        ("key", &key, "no certificate in FILE"),
        ("huge", &huge, "FILE has no end within 4194304 bytes"),
        ("broken", &broken, "no proper certificate in FILE"),
        ("hello", no_certificate, "no proper certificate in FILE"),
        ("half", &good[..200], "no proper certificate in FILE"),
        (
            "second",
            &(good.clone() + no_certificate),
            "no proper certificate in FILE",
        ),
    ] {
        let file = folder.with(name, content);
        assert_unusable(&file, &expected.replace("FILE", &file));
    }
    let folder = folder.path().to_str().unwrap();
    assert_unusable(folder, &format!("cannot read {folder}"));
    let missing = format!("{folder}/missing.pem");
    assert_unusable(&missing, &format!("cannot read {missing}"));
    let below = format!("{folder}/notes/file.pem");
    assert_unusable(&below, &format!("cannot read {below}"));
    if cfg!(unix) {
        assert_unusable("/dev/null", "no certificate in /dev/null");
    }
    if cfg!(target_os = "linux") {
        let endless = "/dev/zero has no end within 4194304 bytes";
        assert_unusable("/dev/zero", endless);
    }
}

/// Asserts that the clients do not even connect, but say what is wrong with the file.
#[track_caller]
fn assert_unusable(file: &str, expected: &str) {
    let (address, _held) = closed_port();
    for client in CLIENTS {
        let said = complaint(&run(client, &[&address, "--ca", file]));
        let said = said.strip_prefix("Error: ").unwrap();
        assert!(said.starts_with(&format!("{expected}\n")), "{said}");
        let has_cause = said.contains("\n\nCaused by:\n");
        let needs_cause =
            expected.starts_with("cannot read") || expected.starts_with("no proper");
        assert_eq!(has_cause, needs_cause, "{said}");
    }
}

/// Nobody is kept from reading by that who is root.
#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_read_is_an_error_and_stays_as_it_is() {
    use std::os::unix::fs::PermissionsExt;

    let folder = Folder::new();
    let file = folder.with("ca.pem", "");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o0)).unwrap();
    if fs::read(&file).is_ok() {
        return;
    }
    assert_unusable(&file, &format!("cannot read {file}"));
    let output = run("server", &["127.0.0.1:0", "--ca", &file]);
    assert_fails(
        &output,
        &format!("cannot read {file}"),
        "Permission denied (os error 13)",
    );
    assert_eq!(folder.names(), ["ca.pem"]);
}

#[test]
fn several_certificates_in_one_file_are_all_trusted_and_so_are_those_among_other_things() {
    let [one, two] = [Certified::start(), Certified::start()];
    let folder = Folder::new();
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let [first, second] =
        [&one, &two].map(|server| fs::read_to_string(&server.ca).unwrap());
    let both = folder.with("both.pem", format!("# one\n{first}{key}# two\n{second}"));
    for server in [&one, &two] {
        let output = run("get", &[&server.address.to_string(), "--ca", &both]);
        assert_success(&output);
        assert_eq!(rest(&output), HOME);
    }
    let output = run("get", &[&one.address.to_string(), &format!("--ca={both}")]);
    assert_success(&output);
    let output = run("get", &["--ca", &both, &one.address.to_string()]);
    assert_success(&output);
}

#[test]
fn the_server_replaces_what_it_has_written_itself_and_nothing_else() {
    let folder = Folder::new();
    let ours = certificates::authority(AUTHORITY).unwrap().pem();
    let others = certificates::authority("Somebody").unwrap().pem();
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let like_ours = ours.replace("MII", "MIJ");
    for (content, is_replaced) in [
        ("", true),
        (" \n", true),
        (&ours[..], true),
        (&format!("\n{ours}\n"), true),
        ("notes", false),
        ("\0", false),
        (&others, false),
        (&key, false),
        (&format!("{ours}{ours}"), false),
        (&format!("{ours}{others}"), false),
        (&format!("{ours}{key}"), false),
        (&format!("{key}{ours}"), false),
        (&format!("notes\n{ours}"), false),
        (&format!("{ours}notes\n"), false),
        (&ours[..200], false),
        (&like_ours, false),
    ] {
        let file = folder.with("ca.pem", content);
        if is_replaced {
            let server = Server::start_with("server", &["--ca", &file]);
            let output = run("head", &[&server.address.to_string(), "--ca", &file]);
            assert_success(&output);
            assert_ne!(fs::read_to_string(&file).unwrap(), content);
        } else {
            assert_stays(&file);
            assert_eq!(fs::read_to_string(&file).unwrap(), content);
        }
        assert_eq!(folder.names(), ["ca.pem"]);
    }
    let huge = " ".repeat(FILE_LIMIT as usize);
    let file = folder.with("ca.pem", &huge);
    let output = run("server", &["127.0.0.1:0", "--ca", &file]);
    assert!(complaint(&output).contains("has no end within"));
    assert_eq!(fs::read_to_string(&file).unwrap(), huge);
}

/// Asserts that the server does not start because of what stands in this place.
#[track_caller]
fn assert_stays(file: &str) {
    for (name, arguments) in [("server", &[][..]), ("faulty", &["cut"])] {
        let arguments = [&["127.0.0.1:0"], arguments, &["--ca", file]].concat();
        let output = run(name, &arguments);
        let expected = format!("Error: {file} is something else, and stays as it is\n");
        assert_eq!(complaint(&output), expected);
        assert_eq!(stdout(&output), "");
    }
}

#[cfg(unix)]
#[test]
fn the_server_replaces_no_folder_no_device_and_no_link_that_leads_nowhere() {
    let folder = Folder::new();
    let inner = folder.file("folder");
    fs::create_dir(&inner).unwrap();
    assert_stays(&inner);
    assert_stays("/dev/null");
    assert_eq!(folder.names(), ["folder"]);

    let link = folder.file("link");
    std::os::unix::fs::symlink("elsewhere", &link).unwrap();
    assert_stays(&link);
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("elsewhere"));
    assert_eq!(folder.names(), ["folder", "link"]);
}

/// A full disk, say. Here the system lets the server write 0 bytes.
#[cfg(unix)]
#[test]
fn a_file_that_cannot_be_written_whole_is_not_there_at_all() {
    let folder = Folder::new();
    let ours = certificates::authority(AUTHORITY).unwrap().pem();
    let [new, old] = [folder.file("new.pem"), folder.with("old.pem", &ours)];
    let missing = folder.file("missing/ca.pem");
    for (file, script) in [
        (&new, "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\""),
        (&old, "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\""),
        (&missing, "exec \"$0\" \"$@\""),
    ] {
        let output = Command::new("sh")
            .args(["-c", script])
            .arg(program("server").get_program())
            .args(["127.0.0.1:0", "--ca", file])
            .env_remove("RUST_BACKTRACE")
            .output()
            .unwrap();
        let said = complaint(&output);
        assert!(
            said.starts_with(&format!("Error: cannot write {file}\n\nCaused by:\n")),
            "{said}"
        );
        assert_eq!(stdout(&output), "");
        assert_eq!(folder.names(), ["old.pem"]);
        assert_eq!(fs::read_to_string(&old).unwrap(), ours);
    }
}

/// It writes to a file beside it first, which has its process's number in its name.
#[cfg(unix)]
#[test]
fn a_file_of_somebody_else_that_is_in_the_way_stays_as_it_is() {
    let folder = Folder::new();
    let file = folder.file("ca.pem");
    let output = Command::new("sh")
        .args(["-c", "printf notes > \"$3.$$\"; exec \"$0\" \"$@\""])
        .arg(program("server").get_program())
        .args(["127.0.0.1:0", "--ca", &file])
        .env_remove("RUST_BACKTRACE")
        .output()
        .unwrap();
    let what = format!("cannot write {file}");
    assert_fails(&output, &what, "File exists (os error 17)");
    let names = folder.names();
    assert_eq!(names.len(), 1);
    assert_eq!(fs::read(folder.file(&names[0])).unwrap(), b"notes");
}

#[test]
fn the_certificate_is_all_that_the_server_leaves_on_the_disk() {
    let folder = Folder::new();
    let mut server = program("server")
        .args(["127.0.0.1:0", "--ca", "ca.pem"])
        .current_dir(folder.path())
        .envs(["HOME", "TMPDIR", "TMP", "TEMP"].map(|name| (name, folder.path())))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address = line.trim().strip_prefix("listening on ").unwrap();
    let ca = folder.file("ca.pem");
    assert_success(&run("get", &[address, "--ca", &ca]));

    assert_eq!(folder.names(), ["ca.pem"]);
    let pem = fs::read_to_string(&ca).unwrap();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"), "{pem}");
    assert_eq!(pem.matches("-----BEGIN").count(), 1, "{pem}");
    assert!(!pem.contains("KEY"), "{pem}");
    #[cfg(target_os = "linux")]
    for entry in fs::read_dir(format!("/proc/{}/fd", server.id())).unwrap() {
        let target = fs::read_link(entry.unwrap().path()).unwrap();
        assert!(
            ["socket:", "pipe:", "/dev/null"]
                .iter()
                .any(|known| target.to_string_lossy().starts_with(known)),
            "{}",
            target.display()
        );
    }
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(folder.names(), ["ca.pem"]);
}

#[test]
fn the_certificate_is_there_when_the_server_says_that_it_listens_and_not_if_it_does_not() {
    let server = Certified::start();
    assert!(Path::new(&server.ca).exists());
    let folder = Folder::new();
    let file = folder.file("ca.pem");
    let address = server.address.to_string();
    for (name, arguments) in [("server", &[][..]), ("faulty", &["cut"])] {
        let arguments = [&[&address[..]], arguments, &["--ca", &file]].concat();
        let output = run(name, &arguments);
        assert_fails(
            &output,
            &format!("cannot listen on {address}"),
            "Address already in use (os error 98)",
        );
        assert_eq!(stdout(&output), "");
        assert!(folder.names().is_empty(), "{:?}", folder.names());
    }
}

#[test]
fn a_host_may_be_a_name_or_an_address() {
    let server = Certified::start();
    let port = server.address.port();
    for host in ["127.0.0.1", "localhost", "LOCALHOST"] {
        let target = format!("{host}:{port}/greetings");
        let output = run("get", &[&target, "--ca", &server.ca]);
        assert_success(&output);
        assert_eq!(rest(&output), GREETINGS);
    }
    if TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let folder = Folder::new();
    let ca = folder.file("ca.pem");
    let mut server = program("server")
        .args(["[::1]:0", "--ca", &ca])
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address = line.trim().strip_prefix("listening on ").unwrap();
    assert!(address.starts_with("[::1]:"), "{address}");
    let output = run("get", &[&format!("{address}/greetings"), "--ca", &ca]);
    server.kill().unwrap();
    server.wait().unwrap();
    assert_success(&output);
    assert_eq!(rest(&output), GREETINGS);
}

/// Both lead to the same server, and its certificate is proper. But it is for one of them.
#[test]
fn a_server_is_trusted_by_the_name_in_its_certificate_and_by_no_other() {
    let host = Host::new();
    for (name, other) in [("localhost", "127.0.0.1"), ("127.0.0.1", "localhost")] {
        let params = certificates::leaf(&[name]).unwrap();
        let identity = certificates::sign(&params, &host.authority).unwrap();
        let config = https::tls::config(identity).unwrap();
        let (listener, address) = listen();
        let served = thread::spawn(move || {
            for _ in 0..2 {
                let mut stream = patient_end(&listener);
                let mut session = ServerConnection::new(Arc::clone(&config)).unwrap();
                if session.complete_io(&mut stream).is_ok() {
                    let mut session = rustls::StreamOwned::new(session, stream);
                    read_head(&mut session);
                    session.write_all(b"HTTP/1.1 204 Fine\r\n\r\n").unwrap();
                    finish(session);
                }
            }
        });
        let port = address.rsplit_once(':').unwrap().1;
        assert_success(&host.ask("head", &format!("{name}:{port}")));
        let address = format!("{other}:{port}");
        let said = complaint(&host.ask("head", &address));
        let expected =
            format!("invalid peer certificate: certificate not valid for name \"{other}\"");
        assert!(said.contains(&expected), "{said}");
        served.join().unwrap();
    }
}

#[test]
fn the_server_answers_plain_http_with_an_alert_and_one_line() {
    let server = Certified::start();
    let mut stream = connect(&server);
    stream.write_all(REQUEST.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = vec![];
    stream.read_to_end(&mut answer).unwrap();
    // A record with a fatal alert: decode_error (RFC 8446, sections 5.1 and 6).
    assert_eq!(answer[0], 21, "{answer:?}");
    assert_eq!(answer[5], 2, "{answer:?}");
    let log = server.next_log_line();
    let cause = "received corrupt message of type InvalidContentType";
    assert!(
        log.ends_with(&format!(": no secure connection: {cause}")),
        "{log}"
    );
    server.assert_serves();
}

#[test]
fn nobody_there_is_an_error_with_its_cause() {
    let (address, _held) = closed_port();
    for client in CLIENTS {
        assert_fails(
            &run(client, &[&address]),
            &format!("cannot connect to {address}"),
            "Connection refused (os error 111)",
        );
    }
}

#[test]
fn a_name_without_an_address_is_an_error_with_its_cause() {
    // A label of more than 63 characters is refused without asking anybody.
    let host = "a".repeat(64);
    for client in CLIENTS {
        let said = complaint(&run(client, &[&host]));
        assert!(said.contains(&format!("cannot connect to {host}:443\n")));
        assert!(said.contains("failed to lookup address"), "{said}");
    }
}

#[test]
fn wrong_arguments_are_one_line_and_exit_code_2() {
    for program in ["server", "faulty", "head", "get", "piecewise"] {
        for arguments in [
            &["127.0.0.1:99999"][..],
            &["::1:13"],
            &["--help"],
            &["--help:80"],
            &["--ca"],
            &["--ca="],
            &["--ca", ""],
            &["--ca", "--ca"],
            &["--ca", "-"],
            &["--ca", "one", "--ca", "two"],
            &["--ca=one", "--ca", "one"],
            &["--cat", "one"],
            &["127.0.0.1:0", "more"],
            &["127.0.0.1:0", "--ca", "one", "more"],
            &["two\nlines"],
            &["--ca", "-two\nlines"],
        ] {
            assert_refused(program, arguments);
        }
    }
    for arguments in [
        &[][..],
        &["127.0.0.1:0"],
        &["none"],
        &["127.0.0.1:0", "none"],
        &["cut", "127.0.0.1:0"],
        &["--help:80", "cut"],
        &["cut", "short"],
        &["127.0.0.1:0", "cut", "short"],
        &["CUT"],
    ] {
        assert_refused("faulty", arguments);
    }
    for client in CLIENTS {
        for argument in [
            "https://localhost/",
            "localhost/a path",
            "localhost/\r\nX: y",
            "localhost\r\n",
            "user@localhost",
            "localhost/#fragment",
            "[127.0.0.1]",
        ] {
            assert_refused(client, &[argument]);
        }
    }
    let output = run("roots", &["more"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(stderr(&output), "expected no arguments, got: \"more\"\n");
}

#[track_caller]
fn assert_refused(program: &str, arguments: &[&str]) {
    let output = run(program, arguments);
    assert_eq!(output.status.code(), Some(2), "{program} {arguments:?}");
    let said = stderr(&output);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("expected "), "{said}");
    assert!(said.contains("--ca FILE"), "{said}");
    assert!(!said.contains('\r'), "{said:?}");
    assert_eq!(stdout(&output), "");
}

#[cfg(unix)]
#[test]
fn a_file_may_have_a_name_that_is_not_utf_8_and_nothing_else_may() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let strange = OsStr::from_bytes(b"strange\xff");
    for name in ["server", "faulty", "head", "get", "piecewise", "roots"] {
        let output = program(name).arg(strange).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
    }
    let server = Certified::start();
    let folder = Folder::new();
    let file = folder.path().join(strange);
    if fs::copy(&server.ca, &file).is_err() {
        // Not every file system takes it.
        return;
    }
    let output = program("head")
        .arg(server.address.to_string())
        .arg("--ca")
        .arg(file)
        .output()
        .unwrap();
    assert_success(&output);
}

/// The reader of a pipe may have left: `get localhost:8443 | true`.
#[test]
fn output_that_nobody_reads_is_an_error_and_no_panic() {
    let host = Host::new();
    for client in CLIENTS {
        let (listener, address) = listen();
        let mut process = program(client)
            .args([&address, "--ca", &host.ca])
            .spawn()
            .unwrap();
        let mut session = shake_hands(patient_end(&listener), Arc::clone(&host.config));
        read_head(&mut session);
        // The answer comes only when nobody reads any more.
        drop(process.stdout.take());
        session
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody")
            .unwrap();
        let output = process.wait_with_output().unwrap();
        assert_fails(
            &output,
            "the answer could not be printed",
            "Broken pipe (os error 32)",
        );
    }
    let mut process = program("roots").spawn().unwrap();
    drop(process.stdout.take());
    let output = process.wait_with_output().unwrap();
    let said = stderr(&output);
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn roots_names_authorities_that_browsers_trust() {
    let output = run("roots", &[]);
    assert_success(&output);
    let printed = stdout(&output);
    let mut lines = printed.lines();
    let first = lines.next().expect("a line");
    let count = first.strip_suffix(" authorities, among them:").unwrap();
    assert_eq!(
        count.parse::<usize>().unwrap(),
        webpki_roots::TLS_SERVER_ROOTS.len()
    );
    let names: Vec<&str> = lines.collect();
    assert_eq!(names.len(), 5, "{printed}");
    for name in names {
        assert!(name.starts_with("  ") && name.contains("O="), "{printed}");
    }
    assert_eq!(stderr(&output), "");
}
