//! Whether ten thousand bad clients leave something behind. Linux tells, in /proc.
#![cfg(target_os = "linux")]

mod programs;

use std::collections::VecDeque;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::Command;

use async_echo::child::Server;
use async_echo::talk::{connect, say};

const WARM_UP: usize = 2000;
const CLIENTS: usize = 10_000;
/// How many of them are connected at the same time.
const AT_ONCE: usize = 50;
const LONGEST_GARBAGE: usize = 10_000;

/// How much the server's memory may grow, in KiB: the allocator hands out what it has a
/// little differently in each round. 53 bytes lost with each client would be seen, and a
/// task has hundreds.
const TOLERANCE: usize = 512;

/// Numbers that look random, and are the same in each run: xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit
    }
}

/// Has `count` clients come and go, half of them with garbage, each of them leaving at a
/// point that nobody can foresee. Returns when the server has logged them all.
fn misbehave(server: &Server, random: &mut Random, count: usize) {
    let mut connected = VecDeque::new();
    for _ in 0..count {
        let mut stream = connect(server.address).unwrap();
        if random.below(2) == 0 {
            let garbage: Vec<u8> = (0..=random.below(LONGEST_GARBAGE))
                .map(|_| random.below(256) as u8)
                .collect();
            stream.write_all(&garbage).unwrap();
            if random.below(2) == 0 {
                let part = random.below(garbage.len());
                stream.read_exact(&mut vec![0; part]).unwrap();
            }
        }
        if random.below(4) == 0 {
            stream.shutdown(Shutdown::Write).unwrap();
        }
        // It leaves, or somebody else does: at once, or when others have come.
        connected.push_back(stream);
        if connected.len() > AT_ONCE || random.below(2) == 0 {
            connected.swap_remove_back(random.below(connected.len()));
        }
    }
    drop(connected);
    for _ in 0..count {
        let line = server.next_log_line().unwrap();
        assert!(!line.starts_with("cannot accept"), "{line}");
    }
}

/// How many descriptors and threads the server has, and how many KiB of memory, while it
/// serves one client.
fn possessions(server: &Server) -> (usize, usize, usize) {
    // One thread serves all. When it serves this client, it is done with those before.
    let mut stream: TcpStream = connect(server.address).unwrap();
    assert_eq!(say(&mut stream, "hello").unwrap(), "hello");

    let process = Path::new("/proc").join(server.id().to_string());
    let descriptors = fs::read_dir(process.join("fd")).unwrap().count();
    let status = fs::read_to_string(process.join("status")).unwrap();
    let value = |key| {
        let rest = status.lines().find_map(|line| line.strip_prefix(key));
        let number = rest.and_then(|rest| rest.split_whitespace().next());
        number.and_then(|number| number.parse().ok()).unwrap()
    };
    let possessions = (descriptors, value("Threads:"), value("VmRSS:"));

    drop(stream);
    server.next_log_line().unwrap();
    possessions
}

#[test]
fn ten_thousand_clients_that_leave_at_random_points_leave_nothing_behind() {
    // This builds the programs.
    let _ = programs::Server::start("server").address;
    // Where `programs` has built them.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("async-echo/debug");
    let server = Server::start_as(&mut Command::new(folder.join("server"))).unwrap();
    let mut random = Random(0x5eed_cafe);

    misbehave(&server, &mut random, WARM_UP);
    let (descriptors, threads, memory) = possessions(&server);
    misbehave(&server, &mut random, CLIENTS);
    let (descriptors_after, threads_after, memory_after) = possessions(&server);

    assert_eq!(descriptors_after, descriptors);
    assert_eq!(threads_after, threads);
    assert!(
        memory_after < memory + TOLERANCE,
        "{memory} KiB before, {memory_after} KiB after"
    );
    println!("{memory} KiB before, {memory_after} KiB after");
}
