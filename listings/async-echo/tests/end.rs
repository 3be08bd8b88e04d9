//! What becomes of the server when it is to end, and when it has nothing left.

mod programs;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use async_echo::child::Server;
use async_echo::talk::{connect, say};
use programs::DEADLINE;

/// How long the server lets open connections go on.
const GRACE: Duration = Duration::from_secs(5);

/// A server that is a child of the test, which can then send it signals.
fn start() -> Server {
    Server::start_as(&mut command()).unwrap()
}

fn command() -> Command {
    // This builds the programs.
    let _ = programs::Server::start("server").address;
    // Where `programs` has built them.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("async-echo/debug");
    Command::new(folder.join("server"))
}

#[test]
fn without_connections_ctrl_c_ends_the_server_at_once_and_well() {
    let server = start();
    server.interrupt().unwrap();
    assert_eq!(server.next_log_line().unwrap(), "no new connections");
    assert_eq!(
        server.next_log_line().unwrap(),
        "all connections have ended"
    );
    assert_eq!(server.wait().unwrap().code(), Some(0));
}

#[test]
fn after_ctrl_c_new_clients_are_refused_and_open_ones_served_to_their_end() {
    let server = start();
    let mut clients: Vec<_> = (0..10).map(|_| connect(server.address).unwrap()).collect();
    for stream in &mut clients {
        assert_eq!(say(stream, "before").unwrap(), "before");
    }
    server.interrupt().unwrap();
    assert_eq!(server.next_log_line().unwrap(), "no new connections");
    TcpStream::connect(server.address).unwrap_err();
    for mut stream in clients {
        assert_eq!(say(&mut stream, "after").unwrap(), "after");
        drop(stream);
        let line = server.next_log_line().unwrap();
        assert!(line.ends_with(": echoed 11 bytes"), "{line}");
    }
    assert_eq!(
        server.next_log_line().unwrap(),
        "all connections have ended"
    );
    assert_eq!(server.wait().unwrap().code(), Some(0));
}

#[test]
fn a_client_that_says_nothing_does_not_keep_the_server_from_ending() {
    let server = start();
    let mut silent = connect(server.address).unwrap();
    assert_eq!(say(&mut silent, "hello").unwrap(), "hello");
    server.interrupt().unwrap();
    assert_eq!(server.wait().unwrap().code(), Some(0));
    silent.set_read_timeout(Some(DEADLINE)).unwrap();
    assert!(matches!(silent.read(&mut [0]), Ok(0) | Err(_)));
}

#[test]
fn a_client_that_talks_and_talks_is_cut_off_when_the_grace_is_over() {
    let server = start();
    let mut stream = connect(server.address).unwrap();
    assert_eq!(say(&mut stream, "hello").unwrap(), "hello");
    let start = Instant::now();
    server.interrupt().unwrap();
    assert_eq!(server.next_log_line().unwrap(), "no new connections");
    while say(&mut stream, "and").is_ok() {
        assert!(start.elapsed() < DEADLINE, "it is not cut off");
    }
    assert!(start.elapsed() >= GRACE, "{:?}", start.elapsed());
    assert_eq!(
        server.next_log_line().unwrap(),
        "some connections are still open"
    );
    assert_eq!(server.wait().unwrap().code(), Some(0));
}

#[test]
fn a_second_ctrl_c_ends_the_server_at_once() {
    let server = start();
    let mut stream = connect(server.address).unwrap();
    assert_eq!(say(&mut stream, "hello").unwrap(), "hello");
    let start = Instant::now();
    server.interrupt().unwrap();
    assert_eq!(server.next_log_line().unwrap(), "no new connections");
    server.interrupt().unwrap();
    assert_eq!(
        server.next_log_line().unwrap(),
        "some connections are still open"
    );
    assert_eq!(server.wait().unwrap().code(), Some(0));
    assert!(start.elapsed() < GRACE, "{:?}", start.elapsed());
}

#[test]
fn under_load_ctrl_c_ends_the_server_well() {
    let server = start();
    let address = server.address;
    let clients: Vec<_> = (0..4)
        .map(|_| {
            thread::spawn(move || {
                // Until the first one is refused.
                while let Ok(mut stream) = TcpStream::connect(address) {
                    let _ = stream.set_read_timeout(Some(DEADLINE));
                    let _ = stream.write_all(b"hello");
                    let _ = stream.read(&mut [0; 5]);
                }
            })
        })
        .collect();
    for _ in 0..500 {
        server.next_log_line().unwrap();
    }
    server.interrupt().unwrap();
    let mut last = String::new();
    while let Ok(line) = server.next_log_line() {
        last = line;
    }
    assert_eq!(last, "all connections have ended");
    assert_eq!(server.wait().unwrap().code(), Some(0));
    for client in clients {
        client.join().unwrap();
    }
}

#[test]
fn a_server_out_of_descriptors_serves_the_clients_that_it_has() {
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 16 && exec \"$0\" \"$@\""]);
    let server = Server::start_as(shell.arg(command().get_program())).unwrap();
    let mut first = connect(server.address).unwrap();
    assert_eq!(say(&mut first, "hello").unwrap(), "hello");
    let others: Vec<_> = (0..20).map(|_| connect(server.address).unwrap()).collect();
    for _ in 0..2 {
        assert_eq!(
            server.next_log_line().unwrap(),
            "cannot accept a connection: Too many open files (os error 24)"
        );
        assert_eq!(say(&mut first, "hello").unwrap(), "hello");
    }
    drop(others);
    let mut last = connect(server.address).unwrap();
    assert_eq!(say(&mut last, "hello").unwrap(), "hello");
}
