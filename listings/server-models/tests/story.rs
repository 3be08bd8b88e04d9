//! The programs that the chapters tell their stories with: clumsy servers, and the clients
//! that show it.

mod programs;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Output;
use std::thread;

use programs::{DEADLINE, Server, closed_port, run};

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Runs `name` against `server`, and returns what it prints.
fn ask(name: &str, server: &Server, arguments: &[&str]) -> String {
    let address = server.address.to_string();
    let output = run(name, &[&[address.as_str()], arguments].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

/// How many answers `load` says it has got.
fn answers(table: &str) -> u32 {
    let line = table.lines().find(|line| line.contains(" answers, "));
    let count = line.and_then(|line| line.split(' ').next());
    count
        .expect("a line with answers")
        .parse()
        .expect("a number")
}

/// How many milliseconds `stopwatch` says the answer took.
fn answered_after(line: &str) -> u32 {
    let (_, time) = line.split_once("answered after ").expect("a time");
    time.trim_end_matches(" ms").parse().expect("a number")
}

#[test]
fn stopwatch_prints_a_line_for_every_request() {
    for name in ["sequential", "threads", "pool", "event-loop", "tokio"] {
        let server = Server::start(name);
        let printed = ask("stopwatch", &server, &["2"]);
        assert_eq!(printed.lines().count(), 2, "{name}: {printed}");
        for line in printed.lines() {
            assert!(line.starts_with("connected after "), "{line}");
            answered_after(line);
        }
    }
}

#[test]
fn stopwatch_refuses_an_answer_that_is_no_page() {
    let server = Server::start_with("event-loop", &["--echo"]);
    let address = server.address.to_string();
    let output = run("stopwatch", &[&address]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout(&output), "");
}

#[test]
fn silent_connects_as_often_as_it_is_told_and_says_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let silent = thread::spawn({
        let address = address.clone();
        move || run("silent", &[&address, "3"])
    });
    for _ in 0..3 {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        // Until it leaves.
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
    let output = silent.join().unwrap();
    assert_eq!(stdout(&output), format!("connections to {address}: 3\n"));
}

#[cfg(target_os = "linux")]
#[test]
fn crowd_counts_the_threads_of_the_server_it_talks_to() {
    for (name, fewest, most) in [("threads", 1001, 1100), ("event-loop", 1, 9)] {
        let server = Server::start(name);
        let printed = ask("crowd", &server, &[]);
        let lines: Vec<_> = printed.lines().collect();
        let [first, threads, memory, time] = lines[..] else {
            panic!("four lines, not {printed}");
        };
        assert_eq!(first, "1000 clients are connected, and each has its answer");
        let threads: u32 = threads.strip_prefix("threads: ").unwrap().parse().unwrap();
        assert!((fewest..=most).contains(&threads), "{name}: {threads}");
        assert!(memory.starts_with("memory for each client: "), "{memory}");
        assert!(time.starts_with("time for each client: "), "{time}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn crowd_does_not_take_itself_for_a_server_that_is_elsewhere() {
    let (address, _held) = closed_port();
    let output = run("crowd", &[&address]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("Connection refused"), "{output:?}");
}

#[test]
fn deferred_serves_everybody_though_it_has_to_wait_for_a_silent_client() {
    let server = Server::start("deferred");
    let address = server.address.to_string();
    let silent = thread::spawn(move || run("silent", &[&address]));
    let printed = ask("stopwatch", &server, &["6"]);
    assert_eq!(printed.lines().count(), 6, "{printed}");
    assert!(silent.join().unwrap().status.success());
}

#[test]
fn writes_in_pieces_echoes_whole_messages_and_no_delay_makes_it_faster() {
    let arguments = ["--echo", "--size", "16384", "--duration", "1"];
    let slow = Server::start("writes-in-pieces");
    let slow = ask("load", &slow, &arguments);
    let fast = Server::start_with("writes-in-pieces", &["--no-delay"]);
    let fast = ask("load", &fast, &arguments);
    for table in [&slow, &fast] {
        assert!(!table.contains("failed"), "{table}");
    }
    // With 40 ms for each message there cannot be more than 25. Another system may have
    // another delay, or none.
    if cfg!(target_os = "linux") {
        assert!(answers(&slow) <= 30, "{slow}");
        assert!(answers(&fast) > 30, "{fast}");
    }
}

#[test]
fn reads_once_echoes_small_messages_and_gets_stuck_on_large_ones() {
    let server = Server::start("reads-once");
    let small = ["--echo", "--warm-up", "0", "--duration", "1"];
    let table = ask("load", &server, &small);
    assert!(answers(&table) > 0, "{table}");

    let large = [&small[..], &["--size", "4096"]].concat();
    let table = ask("load", &server, &large);
    if cfg!(target_os = "linux") {
        assert_eq!(answers(&table), 0, "{table}");
        assert!(table.contains("1 failed: timed out"), "{table}");
    }

    // Nobody else has to suffer for it.
    let table = ask("load", &server, &small);
    assert!(answers(&table) > 0, "{table}");
}

#[test]
fn reads_once_survives_clients_that_vanish_or_reset() {
    let server = Server::start("reads-once");
    for _ in 0..10 {
        let mut stream = connect(&server);
        stream.write_all(&[b'x'; 4096]).unwrap();
        // Half of an answer is unread: that resets the connection.
        stream.read_exact(&mut [0]).unwrap();
        drop(stream);
        drop(connect(&server));
    }
    let mut stream = connect(&server);
    stream.write_all(b"hello").unwrap();
    let mut echo = [0; 5];
    stream.read_exact(&mut echo).unwrap();
    assert_eq!(&echo, b"hello");
}

#[test]
fn echoes_once_sends_back_one_piece_and_closes() {
    let server = Server::start("echoes-once");
    drop(connect(&server));
    let mut stream = connect(&server);
    stream.write_all(b"hello").unwrap();
    let mut echo = Vec::new();
    stream.read_to_end(&mut echo).unwrap();
    assert_eq!(echo, b"hello");
}

#[test]
fn since_due_sees_what_stalls_does_and_since_sent_does_not() {
    let server = Server::start("stalls");
    let arguments = ["--duration", "2", "--rate", "200"];
    let table = ask("load", &server, &arguments);
    let line = table.lines().find(|line| line.starts_with("     75  "));
    let times: Vec<f64> = line
        .expect("the 75th percentile")
        .split_whitespace()
        .map(|word| word.parse().expect("a number"))
        .collect();
    let [_, since_sent, since_due] = times[..] else {
        panic!("three numbers: {table}");
    };
    // A quarter of all requests is due in the first half of a stall, and waits for the second.
    assert!(since_due > 200.0, "{table}");
    assert!(since_sent < 200.0, "{table}");
}

#[test]
fn nobody_there_is_an_error_with_its_cause() {
    let (address, _held) = closed_port();
    for program in ["silent", "stopwatch", "crowd"] {
        let output = run(program, &[&address]);
        assert_eq!(output.status.code(), Some(1));
        for expected in ["cannot connect to 127.0.0.1", "Connection refused"] {
            assert!(stderr(&output).contains(expected), "{}", stderr(&output));
        }
    }
}

#[test]
fn a_taken_address_is_an_error_with_its_cause() {
    let server = Server::start("stalls");
    for program in [
        "deferred",
        "echoes-once",
        "reads-once",
        "stalls",
        "writes-in-pieces",
    ] {
        let output = run(program, &[&server.address.to_string()]);
        assert_eq!(output.status.code(), Some(1));
        for expected in ["cannot listen on 127.0.0.1", "Address already in use"] {
            assert!(stderr(&output).contains(expected), "{}", stderr(&output));
        }
    }
}

#[test]
fn wrong_arguments_are_one_line_and_exit_code_2() {
    for program in [
        "crowd",
        "deferred",
        "echoes-once",
        "reads-once",
        "silent",
        "stalls",
        "stopwatch",
        "writes-in-pieces",
    ] {
        for arguments in [
            &["nonsense"][..],
            &["127.0.0.1:99999"],
            &["::1:8001"],
            &["--no-such-option"],
            &["127.0.0.1:0", "127.0.0.1:0"],
            &["127.0.0.1:0", "0"],
            &["two\nlines"],
        ] {
            let output = run(program, arguments);
            assert_eq!(output.status.code(), Some(2), "{program} {arguments:?}");
            assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
            assert_eq!(stdout(&output), "");
        }
    }
}
