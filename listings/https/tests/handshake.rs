//! What the two sides agree on, and whom a client trusts.

mod programs;
mod sessions;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;

use https::certificates::{self, AUTHORITY, HEAD_START, LIFETIME};
use programs::{Server, run};
use rustls::crypto::{CryptoProvider, ring};
use rustls::{ServerConfig, ServerConnection};
use sessions::{
    CLIENTS, Certified, Host, assert_distrusts, assert_success, complaint, finish, line,
    listen, patient_end, program, read_head, serving, shake_hands, stderr, stdout, top,
};

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
