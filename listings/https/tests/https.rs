//! The programs, as a reader starts them.

mod programs;
mod sessions;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::Arc;
use std::thread;

use https::certificates::AUTHORITY;
use programs::{closed_port, run};
use sessions::{
    CLIENTS, Certified, Folder, GREETINGS, HOME, Host, REQUEST, assert_fails,
    assert_success, complaint, connect, finish, line, listen, patient_end, program,
    read_head, rest, shake_hands, stderr, stdout, top, wait,
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

/// The reader of a pipe may have left: `get localhost:8443 | true`.
#[cfg(unix)]
#[test]
fn output_that_nobody_reads_is_an_error_and_no_panic() {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    // What is shut down is as good as a pipe without a reader. A pipe might have one for a
    // moment more: another test that starts a program, which has all that is open here until
    // it runs.
    let unread = || {
        let (stdout, reader) = UnixStream::pair().unwrap();
        (OwnedFd::from(stdout.try_clone().unwrap()), stdout, reader)
    };
    let host = Host::new();
    for client in CLIENTS {
        let (listener, address) = listen();
        let (stdout, end, _reader) = unread();
        let process = program(client)
            .args([&address, "--ca", &host.ca])
            .stdout(stdout)
            .spawn()
            .unwrap();
        let mut session = shake_hands(patient_end(&listener), Arc::clone(&host.config));
        read_head(&mut session);
        // The answer comes only when nobody reads any more.
        end.shutdown(Shutdown::Write).unwrap();
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
    let (stdout, end, _reader) = unread();
    end.shutdown(Shutdown::Write).unwrap();
    let process = program("roots").stdout(stdout).spawn().unwrap();
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
