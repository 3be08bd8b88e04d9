mod programs;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use programs::{DEADLINE, Server, run};

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Sends `message` and takes as many bytes back.
fn say(stream: &mut TcpStream, message: &[u8]) -> Vec<u8> {
    let mut echo = vec![0; message.len()];
    stream.write_all(message).unwrap();
    stream.read_exact(&mut echo).unwrap();
    echo
}

/// What comes back until the server closes.
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    rest
}

fn assert_serves(server: &Server) {
    let mut stream = connect(server);
    stream.write_all(b"still there?").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut stream), b"still there?");
    assert!(server.next_log_line().ends_with(": echoed 12 bytes"));
}

#[test]
fn every_byte_is_echoed_at_once_even_half_a_character() {
    let server = Server::start("server");
    let mut stream = connect(&server);
    let own_address = stream.local_addr().unwrap();
    for byte in 0..=u8::MAX {
        assert_eq!(say(&mut stream, &[byte]), [byte]);
    }
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut stream), b"");
    assert_eq!(
        server.next_log_line(),
        format!("{own_address}: echoed 256 bytes")
    );
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
fn clients_that_talk_in_turns_are_each_served_to_their_end() {
    let server = Server::start("server");
    let mut clients: Vec<_> = (0..100).map(|_| connect(&server)).collect();
    for round in 0..10 {
        for (number, stream) in (0..).zip(&mut clients) {
            assert_eq!(say(stream, &[round, number]), [round, number]);
        }
    }
    for mut stream in clients {
        stream.write_all(b"bye").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest(&mut stream), b"bye");
        assert!(server.next_log_line().ends_with(": echoed 23 bytes"));
    }
}

#[test]
fn a_client_behind_an_idle_one_is_answered() {
    let server = Server::start("server");
    let idle = connect(&server);
    // The idle one has not been given up in the meantime: its line would be the first.
    assert_serves(&server);
    drop(idle);
    assert!(server.next_log_line().ends_with(": echoed 0 bytes"));
}

#[test]
fn a_client_behind_an_idle_one_waits_for_a_server_that_blocks() {
    let server = Server::start("blocks");
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
fn the_server_survives_a_client_that_vanishes() {
    for name in ["server", "blocks"] {
        let server = Server::start(name);
        drop(connect(&server));
        assert!(server.next_log_line().ends_with(": echoed 0 bytes"));
        assert_serves(&server);
    }
}

#[test]
fn the_server_survives_a_client_that_resets_the_connection() {
    for name in ["server", "blocks"] {
        let server = Server::start(name);
        let mut stream = connect(&server);
        stream.write_all(b"hello").unwrap();
        stream.peek(&mut [0]).unwrap();
        drop(stream);
        assert!(server.next_log_line().contains(": Connection reset"));
        assert_serves(&server);
    }
}

#[test]
fn the_server_gives_up_a_client_that_says_nothing() {
    let servers = [
        (Server::start("server"), "timed out"),
        (Server::start("blocks"), "temporarily unavailable"),
    ]
    .map(|(server, error)| (connect(&server), server, error));
    for (mut silent, server, error) in servers {
        let line = server.next_log_line();
        assert!(line.contains(error), "{line}");
        assert_eq!(rest(&mut silent), b"");
        assert_serves(&server);
    }
}

#[test]
fn the_server_gives_up_a_client_that_has_said_something_and_falls_silent() {
    let server = Server::start("server");
    let mut stream = connect(&server);
    assert_eq!(say(&mut stream, b"hello"), b"hello");
    assert!(server.next_log_line().ends_with(": timed out"));
    assert_eq!(rest(&mut stream), b"");
}

#[test]
fn the_server_gives_up_a_client_that_reads_nothing_and_serves_others_meanwhile() {
    let server = Server::start("server");
    let mut stream = connect(&server);
    stream.set_nonblocking(true).unwrap();
    loop {
        match stream.write(&[b'x'; 65536]) {
            Ok(_) => {}
            // The buffers are full, for now: the server may be slower than this loop.
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    thread::spawn(move || {
        stream.set_nonblocking(false).unwrap();
        while stream.write(&[b'x'; 65536]).is_ok() {}
    });
    assert_serves(&server);
    assert!(server.next_log_line().ends_with(": timed out"));
    assert_serves(&server);
}

#[test]
fn out_of_descriptors_tells_of_a_server_that_recovers() {
    let output = run("out-of-descriptors", &[]);
    assert_eq!(
        stdout(&output),
        "the server may have 16 descriptors\n\
         8 clients are connected\n\
         server: cannot accept a connection: Too many open files (os error 24)\n\
         they have left\n\
         one more client gets its echo: hello\n",
        "{}",
        stderr(&output)
    );
}

#[test]
fn ctrl_c_tells_of_a_server_that_finishes_what_it_has_begun() {
    let output = run("ctrl-c", &[]);
    let printed = stdout(&output);
    let lines: Vec<_> = printed.lines().collect();
    let [
        echo,
        stops,
        refused,
        second_echo,
        left,
        echoed,
        ended,
        status,
    ] = lines[..]
    else {
        panic!("eight lines, not {lines:?} {}", stderr(&output));
    };
    assert_eq!(echo, "a client gets its echo: one");
    assert_eq!(stops, "server: no new connections");
    assert!(refused.contains("Connection refused"), "{refused}");
    assert_eq!(second_echo, "the old one gets its echo: two");
    assert_eq!(left, "it has left");
    assert!(echoed.ends_with(": echoed 6 bytes"), "{echoed}");
    assert_eq!(ended, "server: all connections have ended");
    assert_eq!(status, "the server has ended: exit status: 0");
}

#[cfg(target_os = "linux")]
#[test]
fn crowd_tells_of_one_thread_and_less_than_2_kib_for_a_client_that_says_nothing() {
    let output = run("crowd", &[]);
    let printed = stdout(&output);
    let lines: Vec<_> = printed.lines().collect();
    let [before, _, after, bytes, answered] = lines[..] else {
        panic!("five lines, not {lines:?} {}", stderr(&output));
    };
    for line in [before, after] {
        assert!(line.starts_with("1 thread, "), "{line}");
    }
    let bytes: usize = bytes
        .strip_suffix(" bytes for each")
        .and_then(|bytes| bytes.parse().ok())
        .expect("a number of bytes");
    assert!((1..2048).contains(&bytes), "{bytes}");
    assert!(answered.starts_with("one more is answered"), "{answered}");
}

#[test]
fn a_taken_address_is_an_error_with_its_cause() {
    let server = Server::start("server");
    for program in ["server", "blocks"] {
        let output = run(program, &[&server.address.to_string()]);
        assert_eq!(output.status.code(), Some(1));
        for expected in ["cannot listen on 127.0.0.1", "Address already in use"] {
            assert!(stderr(&output).contains(expected), "{}", stderr(&output));
        }
    }
}

#[test]
fn wrong_arguments_are_one_line_and_exit_code_2() {
    for program in ["server", "blocks"] {
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
    for program in ["out-of-descriptors", "ctrl-c", "crowd"] {
        assert_refused(program, &["two\nlines"]);
    }
}

fn assert_refused(program: &str, arguments: &[&str]) {
    let output = run(program, arguments);
    assert_eq!(output.status.code(), Some(2), "{program} {arguments:?}");
    assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
    assert_eq!(stdout(&output), "");
}

#[cfg(unix)]
#[test]
fn arguments_that_are_not_utf_8_do_not_make_a_program_panic() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    drop(Server::start("server")); // The programs are compiled now.
    // Where `programs` has built them.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("async-echo/debug");
    for program in ["server", "blocks", "crowd"] {
        let output = Command::new(folder.join(program))
            .arg(OsStr::from_bytes(b"a\xffb"))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
    }
}
