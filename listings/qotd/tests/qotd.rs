mod programs;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;

use programs::{DEADLINE, Server, run};

/// More than fits into any quote.
const ROOM: usize = 2048;

fn stdout(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What is before and behind the first `separator`.
fn split(text: String, separator: &str) -> (String, String) {
    let (before, behind) = text.split_once(separator).expect("two parts");
    (before.into(), behind.into())
}

/// A socket on a free port that waits long, but not for ever.
fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

/// Sends `question` from `socket` to `server` and returns what comes back.
fn ask(socket: &UdpSocket, server: SocketAddr, question: &[u8]) -> String {
    socket.send_to(question, server).unwrap();
    let mut datagram = [0; ROOM];
    let (length, peer) = socket.recv_from(&mut datagram).unwrap();
    assert_eq!(peer, server);
    String::from_utf8(datagram[..length].to_vec()).unwrap()
}

/// A server that answers its first question with `answers`, one datagram each; returns its
/// address.
fn answering<const N: usize>(answers: [Vec<u8>; N]) -> String {
    let socket = socket();
    let address = socket.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let (_, peer) = socket.recv_from(&mut [0; ROOM]).unwrap();
        for answer in answers {
            socket.send_to(&answer, peer).unwrap();
        }
    });
    address
}

/// An address where nobody receives, and where nobody can as long as the socket is kept: it
/// has the port, and takes datagrams from itself alone.
fn closed_port() -> (String, UdpSocket) {
    let socket = socket();
    let address = socket.local_addr().unwrap();
    socket.connect(address).unwrap();
    (address.to_string(), socket)
}

#[test]
fn an_empty_datagram_is_answered_with_a_quote_as_rfc_865_recommends_it() {
    let server = Server::start("server");
    let socket = socket();
    let first = ask(&socket, server.address, b"");
    let mut quote = first.clone();
    let mut quotes = 0;
    while quotes == 0 || quote != first {
        quotes += 1;
        assert!(quotes < 100, "the first quote never comes again");
        assert!(quote.len() < 512, "{quote}");
        assert!(quote.ends_with("\r\n"), "{quote:?}");
        assert!(
            quote
                .bytes()
                .all(|byte| matches!(byte, b' '..=b'~' | b'\r' | b'\n')),
            "{quote:?}"
        );
        quote = ask(&socket, server.address, b"");
    }
    assert!(quotes > 1, "there is a choice of quotes");
}

#[test]
fn a_server_begins_with_the_same_quote_whenever_it_starts() {
    let [first, second] = [Server::start("server"), Server::start("server")]
        .map(|server| ask(&socket(), server.address, b""));
    assert_eq!(first, second);
}

#[test]
fn a_datagram_is_answered_with_one_datagram_whatever_it_says_and_however_long_it_is() {
    let server = Server::start("server");
    let socket = socket();
    for question in [&b""[..], b"?", b"\0\xff\x1b[2J<!--", &[b'x'; 9_000]] {
        assert!(!ask(&socket, server.address, question).is_empty());
        assert!(server.next_log_line().ends_with(": asked for a quote"));
    }

    // Once somebody else has been answered, a second answer would be here.
    ask(&self::socket(), server.address, b"");
    socket.set_nonblocking(true).unwrap();
    let error = socket.recv_from(&mut [0; ROOM]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

#[test]
fn the_server_survives_clients_that_are_gone_before_they_are_answered() {
    let server = Server::start("server");
    for _ in 0..10 {
        socket().send_to(b"", server.address).unwrap();
        server.next_log_line();
    }
    assert!(!ask(&socket(), server.address, b"").is_empty());
}

#[test]
#[cfg(target_os = "linux")] // Elsewhere 127.0.0.2 is not there without being asked for.
fn an_answer_of_another_server_is_not_answered() {
    let server = Server::start("server");
    let other =
        UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 2), server.address.port())).unwrap();
    other.send_to(b"a quote", server.address).unwrap();
    assert_eq!(
        server.next_log_line(),
        format!(
            "{}: not answered, this is a server's port",
            other.local_addr().unwrap()
        )
    );

    ask(&socket(), server.address, b"");
    other.set_nonblocking(true).unwrap();
    let error = other.recv_from(&mut [0; ROOM]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_datagram_from_a_privileged_port_is_not_answered() {
    let Some(other) =
        (512..1024).find_map(|port| UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).ok())
    else {
        return; // An ordinary user has no such port.
    };
    let server = Server::start("server");
    other.send_to(b"", server.address).unwrap();
    let line = server.next_log_line();
    assert!(line.contains("not answered"), "{line}");
}

#[test]
fn the_client_prints_what_the_server_sent() {
    let server = Server::start("server");
    let address = server.address.to_string();
    let quotes: Vec<_> = (0..2)
        .map(|_| {
            let output = run("client", &[&address]);
            assert!(output.status.success(), "{}", stderr(&output));
            stdout(&output)
        })
        .collect();
    assert!(quotes[0].ends_with("Hamlet, act 2\n"), "{}", quotes[0]);
    assert_ne!(quotes[0], quotes[1]);
}

#[test]
fn the_client_asks_again_when_a_datagram_is_lost() {
    let socket = socket();
    let address = socket.local_addr().unwrap().to_string();
    thread::spawn(move || {
        socket.recv_from(&mut [0; ROOM]).unwrap();
        let (_, peer) = socket.recv_from(&mut [0; ROOM]).unwrap();
        socket.send_to(b"at last\r\n", peer).unwrap();
    });
    let output = run("client", &[&address]);
    assert_eq!(stdout(&output), "at last\n");
    assert!(
        stderr(&output).contains(&format!("{address}: no answer within 1s")),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_server_that_never_answers_is_asked_twice_and_given_up() {
    let server = Server::start("silent-server");
    let output = run("client", &[&server.address.to_string()]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output).matches("no answer within 1s").count(), 2);
    assert!(
        stderr(&output).contains("no quote from 127.0.0.1"),
        "{}",
        stderr(&output)
    );
    for _ in 0..2 {
        assert!(server.next_log_line().ends_with(": not answered"));
    }
}

#[test]
fn the_client_takes_no_answer_from_a_stranger_but_the_trusting_client_does() {
    let server = Server::start("stranger-server");
    let address = server.address.to_string();
    let output = run("trusting-client", &[&address]);
    assert_eq!(stdout(&output), "Believe everything you read.\n");
    let output = run("client", &[&address]);
    assert_eq!(stdout(&output), "Look who is talking.\n");
}

#[test]
fn the_longest_quote_that_rfc_865_allows_is_printed_and_a_longer_one_refused() {
    let output = run("client", &[&answering([vec![b'x'; 511]])]);
    assert_eq!(stdout(&output), format!("{}\n", "x".repeat(511)));

    for length in [512, 9_000] {
        let output = run("client", &[&answering([vec![b'x'; length]])]);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(stdout(&output), "");
        assert!(
            stderr(&output).contains("longer than 511 bytes"),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn an_answer_may_be_empty_or_not_be_text_at_all() {
    let output = run("client", &[&answering([vec![]])]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output), "\n");

    let output = run("client", &[&answering([vec![b'c', b'a', b'f', 0xe9]])]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output), "caf\u{fffd}\n");
}

#[test]
fn a_second_datagram_is_not_taken_for_the_rest_of_the_first() {
    let output = run(
        "client",
        &[&answering([b"one\r\n".to_vec(), b"two\r\n".to_vec()])],
    );
    assert_eq!(stdout(&output), "one\n");
}

#[test]
fn what_does_not_fit_into_the_buffer_is_gone() {
    let server = Server::start("server");
    let output = run("small-buffer", &[&server.address.to_string()]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stdout(&output),
        "the first piece: Therefore, since brevity\n"
    );
    assert!(
        stderr(&output).contains("the rest did not come"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_connected_socket_hears_that_nobody_is_there_and_another_does_not() {
    let (address, _held) = closed_port();
    let output = run("client", &[&address]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("Connection refused"),
        "{}",
        stderr(&output)
    );
    assert!(
        stderr(&output).contains(&format!("no quote from {address}")),
        "{}",
        stderr(&output)
    );

    let output = run("trusting-client", &[&address]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("no answer came"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn the_client_tries_each_address_of_a_name() {
    let server = Server::start("server");
    // Where `localhost` is ::1 as well, nobody is there.
    let output = run("client", &[&format!("localhost:{}", server.address.port())]);
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn the_client_speaks_ipv6_where_there_is_ipv6() {
    let Ok(socket) = UdpSocket::bind("[::1]:0") else {
        return;
    };
    let address = socket.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let (_, peer) = socket.recv_from(&mut [0; ROOM]).unwrap();
        socket.send_to(b"six\r\n", peer).unwrap();
    });
    let output = run("client", &[&address]);
    assert_eq!(stdout(&output), "six\n", "{}", stderr(&output));
}

#[test]
fn an_ipv4_socket_cannot_send_to_an_ipv6_address() {
    let output = run("trusting-client", &["[::1]:1717"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("Address family not supported"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_name_that_cannot_exist_is_an_error_with_its_cause() {
    // No label of a name may be that long, so nobody is asked for it.
    let address = format!("{}:17", "x".repeat(64));
    let output = run("client", &[&address]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains(&format!("cannot resolve {address}")),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_taken_address_is_an_error_with_its_cause() {
    for program in ["server", "silent-server", "stranger-server"] {
        let server = Server::start(program);
        let output = run("server", &[&server.address.to_string()]);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            stderr(&output).contains("cannot listen on 127.0.0.1"),
            "{}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains("Address already in use"),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn both_sides_in_one_process_talk_over_sockets_and_end() {
    let output = run("both", &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let (first, answer) = split(stdout(&output), "\n");
    let server = first.strip_prefix("listening on ").expect("an address");
    assert_eq!(answer, "The rest is silence.\r\n-- Hamlet, act 5\n");

    let (client, logged) = split(stderr(&output), ": ");
    let [server, client] =
        [server, &client].map(|address| address.parse::<SocketAddr>().unwrap());
    assert_eq!(server.ip(), client.ip());
    assert_ne!(server.port(), client.port());
    assert_eq!(logged, "asked for a quote\n");
}

#[test]
fn both_runs_many_times_at_once() {
    let runs: Vec<_> = (0..8).map(|_| thread::spawn(|| run("both", &[]))).collect();
    for run in runs {
        let output = run.join().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    }
}

#[test]
fn wrong_arguments_are_one_line_and_exit_code_2() {
    for program in [
        "server",
        "silent-server",
        "stranger-server",
        "client",
        "trusting-client",
        "small-buffer",
        "both",
    ] {
        for arguments in [
            &["nonsense"][..],
            &["127.0.0.1:99999"],
            &["::1:17"],
            &["--help"],
            &["127.0.0.1:0", "more"],
            &["two\nlines"],
        ] {
            let output = run(program, arguments);
            assert_eq!(output.status.code(), Some(2), "{program} {arguments:?}");
            assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
            assert_eq!(stdout(&output), "");
        }
    }
}
