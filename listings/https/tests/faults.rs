//! Servers that do one thing wrong, and bodies that are cut short.

mod programs;
mod sessions;

use std::io::Write;
use std::net::Shutdown;
use std::thread;

use sessions::{
    CLIENTS, Certified, Host, assert_fails, assert_success, complaint, connect, error,
    finish, rest, stderr, stdout,
};

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
