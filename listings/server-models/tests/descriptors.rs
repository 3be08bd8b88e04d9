//! A server that has no descriptor for a client takes the client later.
#![cfg(target_os = "linux")]

mod conversation;
mod designs;
mod programs;

use std::io::Write;
use std::net::TcpStream;

use conversation::{Reply, read_once};
use designs::{DESIGNS, LAST_REQUEST, REQUEST, Subject, with, with_each};

/// More than any of the servers can take when it runs out, and than a pool has threads.
const CROWD: usize = 10;

fn await_lack_of_descriptors(subject: &Subject) {
    while !subject
        .server
        .next_log_line()
        .starts_with("cannot accept a connection: Too many open files")
    {}
}

/// Lets it open no more files; returns the limit so far.
fn leave_no_descriptors(subject: &Subject) -> u64 {
    let next = subject.process.next_descriptor();
    subject.process.limit_descriptors(next)
}

/// Clients that have asked, and want to hear nothing more than the answer.
fn asking(subject: &Subject, count: usize, request: &str) -> Vec<TcpStream> {
    let mut streams: Vec<_> = (0..count).map(|_| subject.connect()).collect();
    for stream in &mut streams {
        stream.write_all(request.as_bytes()).unwrap();
    }
    streams
}

/// Nobody connects after the limit is lifted, so nothing but the clients that wait can tell a
/// server about themselves.
#[test]
fn whoever_came_while_there_were_no_descriptors_is_served_when_there_are() {
    with_each(&[], |subject| {
        let before = leave_no_descriptors(subject);
        let streams = asking(subject, CROWD, LAST_REQUEST);
        await_lack_of_descriptors(subject);
        subject.process.limit_descriptors(before);
        for mut stream in streams {
            assert_eq!(Reply::last(&mut stream).status(), "200 OK");
        }
    });
}

/// The first and the third accept no more connections than they serve at a time, and so
/// have no part in this.
#[test]
fn when_those_who_hold_all_descriptors_leave_whoever_waits_is_served() {
    let [_, threads, _, rest @ ..] = DESIGNS;
    let designs = [&[threads], &rest[..]].concat();
    with(&designs, &[], |subject| {
        let next = subject.process.next_descriptor();
        subject.process.limit_descriptors(next + 2);
        let holders = asking(subject, CROWD, REQUEST);
        await_lack_of_descriptors(subject);
        // Who of them has an answer holds a descriptor, and has no use for it.
        let mut waiting = asking(subject, 1, LAST_REQUEST);
        await_lack_of_descriptors(subject);
        drop(holders);
        let reply = Reply::last(&mut waiting[0]);
        assert_eq!(reply.status(), "200 OK");
    });
}

#[test]
fn an_echo_server_without_descriptors_recovers_too() {
    with_each(&["--echo"], |subject| {
        let before = leave_no_descriptors(subject);
        let streams = asking(subject, CROWD, "x");
        for stream in &streams {
            stream.shutdown(std::net::Shutdown::Write).unwrap();
        }
        await_lack_of_descriptors(subject);
        subject.process.limit_descriptors(before);
        for mut stream in streams {
            let mut echo = [0];
            assert_eq!(read_once(&mut stream, &mut echo).unwrap(), 1);
            assert_eq!(&echo, b"x");
        }
    });
}
