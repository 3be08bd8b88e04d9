//! A test that needs many descriptors, and so a process of its own.
#![cfg(target_os = "linux")]

mod programs;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use programs::{DEADLINE, Server};

/// How many connections the server serves at the same time.
const CONNECTION_LIMIT: usize = 1024 - 16;

#[test]
fn one_client_more_than_the_limit_waits_until_another_one_leaves() {
    let server = Server::start("server");
    let connect = || {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(b"x").unwrap();
        stream
    };
    let mut clients = Vec::new();
    for _ in 0..CONNECTION_LIMIT {
        let mut stream = connect();
        stream.read_exact(&mut [0]).unwrap();
        clients.push(stream);
    }

    // The system connects it, and the server does not get to it.
    let mut waiting = connect();
    waiting
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    waiting.read(&mut [0]).unwrap_err();

    drop(clients.pop());
    waiting.set_read_timeout(Some(DEADLINE)).unwrap();
    waiting.read_exact(&mut [0]).unwrap();
    assert!(server.next_log_line().ends_with(": echoed 1 bytes"));
}
