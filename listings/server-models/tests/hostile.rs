//! What clients can do that mean no good, or nothing at all.
#![cfg(target_os = "linux")]

mod conversation;
mod designs;
mod programs;

use std::env;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use conversation::{Reply, connect, read_once, reset};
use designs::{DESIGNS, LAST_REQUEST, REQUEST, Subject, wait_until, with, with_each};
use programs::{DEADLINE, Server};

/// How many clients come in all, and how many at the same time.
const CROWD: u64 = 10_000;
const CLIENTS: u64 = 4;
/// How many kilobytes of memory a server may have more after 10,000 clients than after the
/// first 2,000. 100 bytes lost for each client would be 1,000 kilobytes; what a design with
/// threads has depends a little on how many of them there were at the same time.
const GROWTH: usize = 800;
/// How many bytes a client offers to a server whose answers it does not fetch. Of these, what
/// fits into the buffers of two sockets gets away.
const OFFER: usize = 64 * 1024 * 1024;
/// How many kilobytes a server may have more when it cannot get rid of its answers.
const BACKLOG: usize = 2048;
/// How many hundredths of a second of the processor's time a server that waits may use in
/// [`WHILE`].
const SPARE_TIME: u64 = 10;
/// How long a client waits where nothing is to come.
const WHILE: Duration = Duration::from_millis(500);

/// Numbers that look random (xorshift64*), the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        number as usize % limit
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = 1 + self.below(300);
        (0..length).map(|_| self.below(256) as u8).collect()
    }
}

/// The seed of this run, which `SEED=…` repeats.
fn seed() -> u64 {
    let seed = env::var("SEED").ok().map(|text| text.parse().unwrap());
    let seed = seed.unwrap_or_else(|| {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        since_1970.as_nanos() as u64
    });
    println!("SEED={seed}");
    seed
}

/// One client, who leaves at some point and in some way.
fn visit(address: SocketAddr, random: &mut Random) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let bytes = match random.below(2) {
        0 => REQUEST.as_bytes().to_vec(),
        _ => random.bytes(),
    };
    // It may be too late for any of these, since garbage is refused.
    match random.below(4) {
        0 => {}
        1 => {
            let _ = stream.write_all(&bytes[..random.below(bytes.len())]);
        }
        2 => {
            let _ = stream.write_all(&bytes);
        }
        _ => {
            let _ = stream.write_all(&bytes);
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read_to_end(&mut vec![]);
        }
    }
    if random.below(2) == 0 {
        reset(stream);
    }
}

fn visits(address: SocketAddr, count: u64, seed: u64) {
    thread::scope(|scope| {
        for client in 1..=CLIENTS {
            scope.spawn(move || {
                let mut random = Random(seed.wrapping_add(client).max(1));
                for _ in 0..count / CLIENTS {
                    visit(address, &mut random);
                }
            });
        }
    });
}

/// Asserts that a server has lost nothing to a crowd, and still serves.
#[track_caller]
fn assert_survives_a_crowd(subject: &Subject, seed: u64, serves: impl Fn(&Server)) {
    let process = subject.process;
    visits(subject.server.address, CROWD / 5, seed);
    subject.await_idleness();
    let before = process.memory();
    // The last threads may be ending; a loss in the crowd to come would be greater than that.
    let threads = process.threads();
    visits(subject.server.address, CROWD, seed / 2);
    subject.await_idleness();
    wait_until("the end of all threads", || process.threads() <= threads);
    let after = process.memory();
    println!("{}: {before} kB, then {after} kB", subject.name);
    assert!(after <= before + GROWTH, "{before} kB, then {after} kB");
    serves(&subject.server);

    // The log has a line for some of the clients, and nothing else.
    process.interrupt();
    loop {
        let line = subject.server.next_log_line();
        if line == "no new connections" {
            break;
        }
        assert!(line.starts_with("127.0.0.1:"), "{line}");
    }
}

#[test]
fn ten_thousand_clients_that_leave_anywhere_cost_a_server_nothing() {
    let seed = seed();
    with_each(&[], |subject| {
        assert_survives_a_crowd(subject, seed, |server| {
            assert_eq!(Reply::to(server, LAST_REQUEST).status(), "200 OK");
        });
    });
}

#[test]
fn ten_thousand_clients_that_leave_anywhere_cost_an_echo_server_nothing() {
    let seed = seed();
    with_each(&["--echo"], |subject| {
        assert_survives_a_crowd(subject, seed, |server| {
            let mut stream = connect(server);
            stream.write_all(b"hello").unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut echo = vec![];
            stream.read_to_end(&mut echo).unwrap();
            assert_eq!(echo, b"hello");
        });
    });
}

/// Offers `bytes` over and over, and fetches no answer.
#[track_caller]
fn assert_stops_reading(subject: &Subject, bytes: &[u8]) {
    let process = subject.process;
    let before = process.memory();
    let mut stream = subject.connect();
    // Whoever takes nothing for so long takes nothing any more.
    stream.set_write_timeout(Some(WHILE)).unwrap();
    let sent = fill(&mut stream, bytes);
    let more = process.memory().saturating_sub(before);
    assert!(more < BACKLOG, "{more} kB");

    // To wait costs nothing.
    let began = process.processor_time();
    fill(&mut stream, bytes);
    let spent = process.processor_time() - began;
    assert!(spent < SPARE_TIME, "{spent} hundredths of a second");

    // It has the answers to what has come, and gives them away.
    stream.read_exact(&mut vec![0; sent / 2]).unwrap();
}

/// Sends `bytes` over and over until no more are taken; returns how many were.
#[track_caller]
fn fill(stream: &mut TcpStream, bytes: &[u8]) -> usize {
    let mut sent = 0;
    while sent < OFFER {
        match stream.write(bytes) {
            Ok(length) => sent += length,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                return sent;
            }
        }
    }
    panic!("the server takes in whatever comes");
}

#[test]
fn a_client_that_fetches_no_answer_is_not_listened_to() {
    let requests = REQUEST.repeat(1000);
    with_each(&[], |subject| {
        assert_stops_reading(subject, requests.as_bytes())
    });
    with_each(&["--echo"], |subject| {
        assert_stops_reading(subject, &[b'x'; 65536])
    });
}

/// A client whom the server has accepted, which is not sure until it has answered, and who
/// has begun another request.
fn silent(subject: &Subject) -> TcpStream {
    let mut stream = subject.connect();
    stream.write_all(REQUEST.as_bytes()).unwrap();
    assert_eq!(Reply::next(&mut stream).status(), "200 OK");
    stream.write_all(b"GET /").unwrap();
    stream
}

#[test]
fn beside_silent_clients_threads_and_events_serve_an_honest_one() {
    let [_, threads, _, rest @ ..] = DESIGNS;
    let designs = [&[threads], &rest[..]].concat();
    with(&designs, &[], |subject| {
        let silent: Vec<_> = (0..10).map(|_| silent(subject)).collect();
        let never_a_word: Vec<_> = (0..10).map(|_| subject.connect()).collect();
        let reply = Reply::to(&subject.server, LAST_REQUEST);
        assert_eq!(reply.status(), "200 OK");
        // They have been there all the time, then.
        for mut stream in silent.into_iter().chain(never_a_word) {
            stream.set_nonblocking(true).unwrap();
            let error = read_once(&mut stream, &mut [0]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
        }
    });
}

/// They serve it as soon as a silent one has left.
#[test]
fn as_many_silent_clients_as_workers_keep_an_honest_one_from_its_answer() {
    for (name, workers) in [("sequential", 1), ("pool", 4)] {
        with(&[(name, &[])], &[], |subject| {
            let mut all_silent: Vec<_> = (0..workers).map(|_| silent(subject)).collect();
            let mut honest = subject.connect();
            honest.write_all(LAST_REQUEST.as_bytes()).unwrap();
            honest.set_read_timeout(Some(WHILE)).unwrap();
            let error = read_once(&mut honest, &mut [0]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WouldBlock);

            all_silent.pop();
            honest.set_read_timeout(Some(DEADLINE)).unwrap();
            assert_eq!(Reply::last(&mut honest).status(), "200 OK");
        });
    }
}
