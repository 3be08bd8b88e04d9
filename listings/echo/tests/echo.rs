mod programs;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

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

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// What comes back until the server closes.
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    rest
}

fn assert_serves(server: &Server) {
    let output = run("client", &[&server.address.to_string(), "still there?"]);
    assert_eq!(stdout(&output), "still there?\n", "{}", stderr(&output));
    assert!(server.next_log_line().ends_with(": echoed 12 bytes"));
}

/// A server that reads a whole message and sends `answer` to one client; returns its
/// address.
fn answering(answer: impl AsRef<[u8]> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
        let _ = stream.write_all(answer.as_ref());
    });
    address
}

#[test]
fn the_client_prints_the_message_that_came_back() {
    for name in ["server", "one-client"] {
        for message in ["hello", "zwölf Boxkämpfer ☃", "", "10:", "--help"] {
            let server = Server::start(name);
            let output = run("client", &[&server.address.to_string(), message]);
            assert!(output.status.success(), "{}", stderr(&output));
            assert_eq!(stdout(&output), format!("{message}\n"));
        }
    }
}

#[test]
fn without_a_message_the_client_says_hello_there() {
    let server = Server::start("server");
    let output = run("client", &[&server.address.to_string()]);
    assert_eq!(stdout(&output), "hello there\n", "{}", stderr(&output));
}

#[test]
fn the_server_serves_one_client_after_another_and_logs_each_before_it_closes() {
    let server = Server::start("server");
    for length in 1..=3 {
        let mut stream = connect(&server);
        let own_address = stream.local_addr().unwrap();
        stream.write_all(&b"abc"[..length]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest(&mut stream), b"abc"[..length]);
        assert_eq!(
            server.next_log_line(),
            format!("{own_address}: echoed {length} bytes")
        );
    }
}

#[test]
fn one_client_serves_one_client_and_then_nobody() {
    let server = Server::start("one-client");
    let mut stream = connect(&server);
    stream.write_all(b"hello").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut stream), b"hello");

    let output = run("client", &[&server.address.to_string()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("Connection refused"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn every_byte_is_echoed_at_once_even_half_a_character() {
    let server = Server::start("server");
    let mut stream = connect(&server);
    for byte in 0..=u8::MAX {
        let mut echo = [0];
        stream.write_all(&[byte]).unwrap();
        stream.read_exact(&mut echo).unwrap();
        assert_eq!(echo, [byte]);
    }
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut stream), b"");
    assert!(server.next_log_line().ends_with(": echoed 256 bytes"));
}

#[test]
fn a_message_far_longer_than_the_buffer_comes_back_whole() {
    let server = Server::start("server");
    let message: Vec<u8> = (0..10_000_000_u32).map(|i| (i % 251) as u8).collect();
    let mut stream = connect(&server);
    let mut sender = stream.try_clone().unwrap();
    let sent = message.clone();
    thread::spawn(move || {
        sender.write_all(&sent).unwrap();
        sender.shutdown(Shutdown::Write).unwrap();
    });
    assert!(rest(&mut stream) == message, "the echo differs");
    assert!(server.next_log_line().ends_with(": echoed 10000000 bytes"));
}

#[test]
fn the_server_survives_a_client_that_vanishes() {
    let server = Server::start("server");
    drop(connect(&server));
    assert!(server.next_log_line().ends_with(": echoed 0 bytes"));
    assert_serves(&server);
}

#[test]
fn the_server_survives_a_client_that_resets_the_connection() {
    let server = Server::start("server");
    let mut stream = connect(&server);
    stream.write_all(b"hello").unwrap();
    stream.peek(&mut [0]).unwrap();
    drop(stream);
    assert!(server.next_log_line().contains(": Connection reset"));
    assert_serves(&server);
}

#[test]
fn the_server_gives_up_a_client_that_says_nothing() {
    let server = Server::start("server");
    let _silent = connect(&server);
    assert!(server.next_log_line().contains("temporarily unavailable"));
    assert_serves(&server);
}

#[test]
fn the_server_gives_up_a_client_that_reads_nothing() {
    let server = Server::start("server");
    let mut stream = connect(&server);
    thread::spawn(move || while stream.write(&[b'x'; 65536]).is_ok() {});
    assert!(server.next_log_line().ends_with(": timed out"));
    assert_serves(&server);
}

#[test]
fn a_server_that_was_stopped_and_continued_has_lost_nothing() {
    let server = Server::start("server");
    // This thread has started one program, the server. Only Linux tells its process number
    // here.
    let Ok(process) = fs::read_to_string("/proc/thread-self/children") else {
        return;
    };
    let mut stream = connect(&server);
    for round in 0..20 {
        let mut echo = [0];
        stream.write_all(&[round]).unwrap();
        stream.read_exact(&mut echo).unwrap();
        assert_eq!(echo, [round]);
        for signal in ["-STOP", "-CONT"] {
            let kill = format!("kill {signal} {process}");
            let status = Command::new("sh").args(["-c", &kill]).status().unwrap();
            assert!(status.success(), "{kill}");
        }
    }
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut stream), b"");
    assert!(server.next_log_line().ends_with(": echoed 20 bytes"));
}

#[test]
fn the_client_puts_an_echo_together_that_comes_in_pieces() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let mut byte = [0];
        while stream.read_exact(&mut byte).is_ok() {
            stream.write_all(&byte).unwrap();
        }
    });
    assert_eq!(
        stdout(&run("client", &[&address, "grüß dich"])),
        "grüß dich\n"
    );
}

#[test]
fn an_answer_that_is_not_the_message_is_an_error() {
    for (answer, got) in [
        ("HELLO", "HELLO"),
        ("hell", "hell"),
        ("", ""),
        ("hello again", "hello "),
    ] {
        let output = run("client", &[&answering(answer), "hello"]);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(stdout(&output), "");
        let expected =
            format!("the answer is not the message: sent \"hello\", got {got:?}");
        assert!(stderr(&output).contains(&expected), "{}", stderr(&output));
    }
}

#[test]
fn an_answer_without_an_end_is_an_error() {
    let output = run("client", &[&answering(vec![b'x'; 10_000_000]), "hello"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("sent \"hello\", got \"xxxxxx\""),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_server_that_says_nothing_costs_the_client_its_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let output = run("client", &[&address]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("did not arrive whole"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_message_of_64_kib_comes_back_and_a_longer_one_is_refused() {
    let server = Server::start("server");
    let address = server.address.to_string();
    let longest = "m".repeat(64 * 1024);
    let output = run("client", &[&address, &longest]);
    assert!(
        stdout(&output) == longest.clone() + "\n",
        "{}",
        stderr(&output)
    );

    let output = run("client", &[&address, &(longest + "m")]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        stderr(&output),
        "expected a message of at most 65536 bytes, got 65537\n"
    );
}

#[test]
fn a_server_that_hangs_up_on_unread_bytes_resets_the_connection() {
    let server = Server::start("hangs-up");
    let output = run("keeps-talking", &[&server.address.to_string()]);
    let printed = stdout(&output);
    let lines: Vec<_> = printed.lines().collect();
    let [first, read, second] = lines[..] else {
        panic!("three lines, not {lines:?} {}", stderr(&output));
    };
    assert_eq!(first, "write: Ok(11)");
    assert!(read.contains("kind: ConnectionReset"), "{read}");
    assert!(second.contains("kind: BrokenPipe"), "{second}");
    assert!(server.next_log_line().ends_with(": hung up after one byte"));
}

#[test]
fn the_client_reports_a_server_that_hangs_up() {
    let server = Server::start("hangs-up");
    let output = run("client", &[&server.address.to_string()]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout(&output), "");
    assert!(server.next_log_line().ends_with(": hung up after one byte"));
}

#[test]
fn hangs_up_survives_a_client_that_says_nothing() {
    let server = Server::start("hangs-up");
    drop(connect(&server));
    assert!(!server.next_log_line().contains("hung up"));
    run("keeps-talking", &[&server.address.to_string()]);
    assert!(server.next_log_line().contains("hung up"));
}

#[test]
fn a_client_that_never_reads_is_stopped_by_full_buffers() {
    let server = Server::start("server");
    let output = run("never-reads", &[&server.address.to_string()]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stdout(&output).contains("read none: Resource temporarily unavailable"),
        "{}",
        stdout(&output)
    );
    server.next_log_line();
    assert_serves(&server);
}

#[test]
fn a_client_behind_an_idle_one_is_connected_but_not_answered() {
    let server = Server::start("server");
    let idle = connect(&server);
    let mut second = connect(&server);
    second.write_all(b"hello").unwrap();
    second.shutdown(Shutdown::Write).unwrap();
    second
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    second.read(&mut [0]).unwrap_err();

    drop(idle);
    second.set_read_timeout(Some(DEADLINE)).unwrap();
    assert_eq!(rest(&mut second), b"hello");
    assert!(server.next_log_line().ends_with(": echoed 0 bytes"));
    assert!(server.next_log_line().ends_with(": echoed 5 bytes"));
}

#[test]
fn stopwatch_tells_when_it_is_connected_and_when_it_is_answered() {
    let server = Server::start("server");
    let output = run("stopwatch", &[&server.address.to_string()]);
    let printed = stdout(&output);
    let words: Vec<_> = printed
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(
        words,
        ["connected", "sent", "answered"],
        "{}",
        stderr(&output)
    );
    assert!(server.next_log_line().ends_with(": echoed 11 bytes"));
}

#[test]
fn idle_says_nothing_and_leaves() {
    let server = Server::start("server");
    let output = run("idle", &[&server.address.to_string()]);
    assert!(output.status.success(), "{}", stderr(&output));
    let connected = format!("connected to {}\n", server.address);
    assert!(
        stdout(&output).starts_with(&connected),
        "{}",
        stdout(&output)
    );
    assert!(server.next_log_line().ends_with(": echoed 0 bytes"));
    assert_serves(&server);
}

#[test]
fn nobody_there_is_an_error_with_its_cause() {
    let (address, _held) = closed_port();
    for program in [
        "client",
        "idle",
        "stopwatch",
        "keeps-talking",
        "never-reads",
    ] {
        let output = run(program, &[&address]);
        assert_eq!(output.status.code(), Some(1));
        for expected in ["cannot connect to 127.0.0.1", "Connection refused"] {
            assert!(stderr(&output).contains(expected), "{}", stderr(&output));
        }
    }
}

#[test]
fn a_taken_address_is_an_error_with_its_cause() {
    let server = Server::start("server");
    for program in ["server", "one-client", "hangs-up"] {
        let output = run(program, &[&server.address.to_string()]);
        assert_eq!(output.status.code(), Some(1));
        for expected in ["cannot listen on 127.0.0.1", "Address already in use"] {
            assert!(stderr(&output).contains(expected), "{}", stderr(&output));
        }
    }
}

#[test]
fn one_argument_of_the_client_is_an_address_if_it_looks_like_one_and_a_message_if_not() {
    let parse = |arguments: &[&str]| {
        let arguments: Vec<String> =
            arguments.iter().map(|text| text.to_string()).collect();
        echo::parse(&arguments)
    };
    let pair =
        |address: &str, message: &str| Some((address.to_string(), message.to_string()));

    assert_eq!(parse(&[]), pair("127.0.0.1:8001", "hello there"));
    for message in [
        "hello",
        "hello there",
        "so: what",
        "",
        ":",
        "192.0.2.1",
        "--help",
    ] {
        assert_eq!(parse(&[message]), pair("127.0.0.1:8001", message));
    }
    for address in ["192.0.2.1:7", "example.com:65535", "[2001:db8::1]:8001"] {
        assert_eq!(parse(&[address]), pair(address, "hello there"));
        assert_eq!(parse(&[address, "10:30"]), pair(address, "10:30"));
    }
}

#[test]
fn both_sides_in_one_process_talk_over_sockets_and_end() {
    let output = run("both", &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let (first, answer) = split(stdout(&output), "\n");
    let server = first.strip_prefix("listening on ").expect("an address");
    assert_eq!(answer, "hello there\n");

    let (client, logged) = split(stderr(&output), ": ");
    let [server, client] =
        [server, &client].map(|address| address.parse::<SocketAddr>().unwrap());
    assert_eq!(server.ip(), client.ip());
    assert_ne!(server.port(), client.port());
    assert_eq!(logged, "echoed 11 bytes\n");
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
    let others = [
        "server",
        "one-client",
        "hangs-up",
        "idle",
        "stopwatch",
        "keeps-talking",
        "never-reads",
        "both",
    ];
    for program in others {
        for arguments in [
            &["nonsense"][..],
            &["127.0.0.1:99999"],
            &["::1:8001"],
            &["--help"],
            &["127.0.0.1:0", "more"],
            &["two\nlines"],
        ] {
            assert_refused(program, arguments);
        }
    }
    for arguments in [
        &["127.0.0.1:99999"][..],
        &["::1:8001"],
        &[":8001"],
        &["127.0.0.1:99999", "hello"],
        &["127.0.0.1:", "hello"],
        &["127.0.0.1", "hello"],
        &["127.0.0.1:1", "hello", "there"],
        &["hello", "there"],
        &["two\nlines", "two\nlines"],
    ] {
        assert_refused("client", arguments);
    }
}

fn assert_refused(program: &str, arguments: &[&str]) {
    let output = run(program, arguments);
    assert_eq!(output.status.code(), Some(2), "{program} {arguments:?}");
    assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
    assert_eq!(stdout(&output), "");
}

#[test]
fn a_message_of_two_arguments_is_told_to_stand_in_quotes() {
    let output = run("client", &["hello", "there"]);
    assert_eq!(
        stderr(&output),
        "expected [HOST:PORT] [MESSAGE], a message of several words in quotes, \
         got: hello there\n"
    );
}

#[cfg(unix)]
#[test]
fn arguments_that_are_not_utf_8_do_not_make_a_program_panic() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let server = Server::start("server");
    // Where `programs` has built them.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("echo/debug");
    let not_utf_8 = OsStr::from_bytes(b"a\xffb");

    let output = Command::new(folder.join("client"))
        .arg(server.address.to_string())
        .arg(not_utf_8)
        .output()
        .unwrap();
    assert_eq!(stdout(&output), "a\u{fffd}b\n", "{}", stderr(&output));

    for program in ["server", "idle"] {
        let output = Command::new(folder.join(program))
            .arg(not_utf_8)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
    }
}
