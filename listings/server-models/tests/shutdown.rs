//! Ctrl-C: no new clients, an end for those that are there, and exit code 0.
#![cfg(target_os = "linux")]

mod conversation;
mod designs;
mod programs;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Instant;

use conversation::{Reply, read_once};
use designs::{DESIGNS, Process, REQUEST, Subject, wait_until, with_each};
use programs::{Server, run};
use server_models::GRACE;

const ALL_ENDED: &str = "all connections have ended";
const SOME_OPEN: &str = "some connections are still open";

/// A client that the server has answered once.
fn acquaintance(subject: &Subject) -> TcpStream {
    let mut stream = subject.connect();
    ask(&mut stream);
    stream
}

fn ask(stream: &mut TcpStream) -> Reply {
    stream.write_all(REQUEST.as_bytes()).unwrap();
    Reply::next(stream)
}

/// The same on an echo server.
fn echo(stream: &mut TcpStream) {
    stream.write_all(b"x").unwrap();
    let mut echo = [0];
    assert_eq!(read_once(stream, &mut echo).unwrap(), 1);
    assert_eq!(&echo, b"x");
}

fn press_ctrl_c(subject: &Subject) {
    subject.process.interrupt();
    subject.await_log_line("no new connections");
}

fn assert_refuses(subject: &Subject) {
    let error = TcpStream::connect(subject.server.address).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_server_that_listens_can_be_ended_by_ctrl_c_from_the_first_moment() {
    for (name, arguments) in DESIGNS {
        for _ in 0..10 {
            let _server = Server::start_with(name, arguments);
            let process = Process::started_last();
            process.interrupt();
            assert_eq!(process.exit_code(), Some(0), "{name}");
        }
    }
}

#[test]
fn after_ctrl_c_a_server_without_clients_ends() {
    for options in [&[][..], &["--echo"]] {
        with_each(options, |subject| {
            press_ctrl_c(subject);
            subject.assert_ends(ALL_ENDED);
        });
    }
}

#[test]
fn after_ctrl_c_a_server_whose_clients_have_left_ends() {
    with_each(&[], |subject| {
        drop((0..10).map(|_| subject.connect()).collect::<Vec<_>>());
        drop(acquaintance(subject));
        subject.await_idleness();
        press_ctrl_c(subject);
        subject.assert_ends(ALL_ENDED);
    });
}

#[test]
fn after_ctrl_c_a_client_that_is_there_is_answered_once_more_and_no_other_gets_in() {
    with_each(&[], |subject| {
        let mut stream = acquaintance(subject);
        press_ctrl_c(subject);
        assert_refuses(subject);
        let reply = ask(&mut stream);
        assert_eq!(reply.status(), "200 OK");
        assert_eq!(reply.header("Connection"), Some("close"));
        assert_eq!(read_once(&mut stream, &mut [0]).unwrap(), 0);
        // The server was first to say that this was all, and waits until the client has heard.
        drop(stream);
        subject.assert_ends(ALL_ENDED);
    });
}

#[test]
fn after_ctrl_c_a_request_that_has_begun_is_answered() {
    with_each(&[], |subject| {
        let mut stream = acquaintance(subject);
        let (begin, rest) = REQUEST.as_bytes().split_at(10);
        stream.write_all(begin).unwrap();
        press_ctrl_c(subject);
        stream.write_all(rest).unwrap();
        let reply = Reply::last(&mut stream);
        assert_eq!(reply.status(), "200 OK");
        assert_eq!(reply.header("Connection"), Some("close"));
        drop(stream);
        subject.assert_ends(ALL_ENDED);
    });
}

#[test]
fn after_ctrl_c_an_echo_goes_on_until_the_client_leaves() {
    with_each(&["--echo"], |subject| {
        let mut stream = subject.connect();
        echo(&mut stream);
        press_ctrl_c(subject);
        assert_refuses(subject);
        echo(&mut stream);
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.read_to_end(&mut vec![]).unwrap(), 0);
        subject.assert_ends(ALL_ENDED);
    });
}

#[test]
fn after_ctrl_c_a_silent_client_is_waited_for_but_not_for_ever() {
    with_each(&[], |subject| {
        let mut stream = acquaintance(subject);
        let began = Instant::now();
        press_ctrl_c(subject);
        subject.assert_ends(SOME_OPEN);
        assert!(began.elapsed() >= GRACE, "{:?}", began.elapsed());
        assert_eq!(read_once(&mut stream, &mut [0]).unwrap(), 0);
    });
}

#[test]
fn a_second_ctrl_c_ends_a_server_at_once() {
    with_each(&[], |subject| {
        let _silent = acquaintance(subject);
        let began = Instant::now();
        press_ctrl_c(subject);
        subject.process.interrupt();
        subject.assert_ends(SOME_OPEN);
        assert!(began.elapsed() < GRACE, "{:?}", began.elapsed());
    });
}

/// Every client that is served has an answer with which its connection ends, so nobody need
/// be waited for.
#[track_caller]
fn assert_ends_under_load(option: &[&str], connections: impl Fn(&str) -> usize + Sync) {
    with_each(&[], |subject| {
        let address = subject.server.address.to_string();
        let option: Vec<_> = option.iter().map(|text| text.to_string()).collect();
        let load = thread::spawn(move || {
            let mut arguments = vec![&*address, "--connections", "20"];
            arguments.extend(option.iter().map(String::as_str));
            run("load", &arguments)
        });
        wait_until("load", || {
            subject.process.descriptors() >= subject.idle + connections(subject.name)
        });
        press_ctrl_c(subject);
        subject.assert_ends(ALL_ENDED);
        let output = load.join().unwrap();
        let table = conversation::stdout(&output);
        assert!(output.status.success(), "{}", conversation::stderr(&output));
        assert!(table.contains(" failed: "), "{table}");
    });
}

#[test]
fn ctrl_c_under_load_ends_a_server_when_it_has_answered() {
    assert_ends_under_load(&[], |name| match name {
        "sequential" => 1,
        "pool" => 4,
        _ => 20,
    });
}

#[test]
fn ctrl_c_while_clients_come_and_go_ends_a_server() {
    assert_ends_under_load(&["--new-connections"], |_| 1);
}
