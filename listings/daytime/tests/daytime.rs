mod programs;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use programs::{DEADLINE, Server, closed_port, run};

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

/// The year by the system's clock. A year has 365.2425 days.
fn this_year() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    1970 + since_1970.as_secs() / 31_556_952
}

/// A server that sends `answer` to one client; returns its address.
fn answering(answer: impl AsRef<[u8]> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.write_all(answer.as_ref());
    });
    address
}

#[test]
fn the_server_sends_one_line_in_the_form_of_rfc_867_and_closes() {
    let server = Server::start("server");
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();

    let line = answer.strip_suffix("\r\n").expect("the line ends in CRLF");
    let words: Vec<_> = line.split(' ').collect();
    let [weekday, month, day, year, time] = words[..] else {
        panic!("five words, not {line:?}");
    };
    assert!(weekday.ends_with("day,"), "{line}");
    assert!(month.chars().all(char::is_alphabetic), "{line}");
    assert!(day.trim_end_matches(',').parse::<u8>().is_ok(), "{line}");
    let year: u64 = year.parse().expect("a year");
    assert!(year.abs_diff(this_year()) <= 1, "{line}");
    assert!(time.ends_with("-UTC"), "{line}");
}

#[test]
fn the_client_prints_what_the_server_sent() {
    for name in ["server", "slow-server"] {
        let server = Server::start(name);
        let output = run("client", &[&server.address.to_string()]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(stdout(&output).ends_with("-UTC\n"), "{}", stdout(&output));
    }
}

#[test]
fn the_server_survives_clients_that_vanish_talk_or_say_nothing() {
    let server = Server::start("server");
    drop(TcpStream::connect(server.address).unwrap());
    server.next_log_line();

    let mut talker = TcpStream::connect(server.address).unwrap();
    talker.write_all(&[b'x'; 100_000]).ok();
    server.next_log_line();

    let silent = TcpStream::connect(server.address).unwrap();
    silent.shutdown(Shutdown::Write).ok();
    server.next_log_line();

    let output = run("client", &[&server.address.to_string()]);
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn the_client_puts_an_answer_together_that_comes_in_pieces() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        for byte in b"half past ten\r\n" {
            stream.write_all(&[*byte]).unwrap();
        }
    });
    assert_eq!(stdout(&run("client", &[&address])), "half past ten\n");
}

#[test]
fn an_answer_without_an_end_is_refused() {
    let output = run("client", &[&answering(vec![b'x'; 1_000_000])]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("no end within 4096 bytes"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn an_answer_that_is_no_text_is_printed_all_the_same() {
    let output = run("client", &[&answering(b"half past \xff\r\n")]);
    assert_eq!(stdout(&output), "half past \u{fffd}\n");
}

#[test]
fn one_read_takes_the_first_piece_for_the_whole_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let first_piece = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"half past").unwrap();
        stream // is kept, so that the answer has no end yet
    });
    let output = run("one-read", &[&address]);
    assert_eq!(stdout(&output), "\"half past\"\n");
    assert!(output.status.success(), "{}", stderr(&output));
    drop(first_piece.join().unwrap());
}

#[test]
fn the_slow_server_serves_the_next_client_when_one_leaves_early() {
    let server = Server::start("slow-server");
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.read_exact(&mut [0]).unwrap();
    drop(stream);
    assert!(!server.next_log_line().ends_with("told the time"));

    let output = run("client", &[&server.address.to_string()]);
    assert!(stdout(&output).ends_with("-UTC\n"), "{}", stdout(&output));
}

#[test]
fn a_server_that_says_nothing_costs_the_client_its_timeout() {
    let server = Server::start("silent-server");
    for program in ["client", "one-read"] {
        let output = run(program, &[&server.address.to_string()]);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(stdout(&output), "");
        assert!(
            stderr(&output).contains("Resource temporarily unavailable"),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn nobody_there_is_an_error_with_its_cause() {
    let (address, _held) = closed_port();
    let output = run("client", &[&address]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("cannot connect to 127.0.0.1"),
        "{}",
        stderr(&output)
    );
    assert!(
        stderr(&output).contains("Connection refused"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_taken_address_is_an_error_with_its_cause() {
    let server = Server::start("server");
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

#[test]
fn both_sides_in_one_process_talk_over_sockets_and_end() {
    let output = run("both", &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let (first, answer) = split(stdout(&output), "\n");
    let server = first.strip_prefix("listening on ").expect("an address");
    let seconds = answer.trim_end().strip_prefix("Unix time ").unwrap();
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let ago = since_1970.as_secs().abs_diff(seconds.parse().unwrap());
    assert!(ago <= DEADLINE.as_secs(), "{answer}");

    let (client, logged) = split(stderr(&output), ": ");
    let [server, client] =
        [server, &client].map(|address| address.parse::<SocketAddr>().unwrap());
    assert_eq!(server.ip(), client.ip());
    assert_ne!(server.port(), client.port());
    assert_eq!(logged, "told the time\n");
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
        "slow-server",
        "silent-server",
        "client",
        "one-read",
        "both",
    ] {
        for arguments in [
            &["nonsense"][..],
            &["127.0.0.1:99999"],
            &["::1:13"],
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
