//! The five designs, all tried the same way, and what the system knows about them.

#![allow(dead_code)]

use std::fs::{read_dir, read_link, read_to_string};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, getrlimit, kill_process, prlimit,
    waitid,
};

use crate::conversation::connect;
use crate::programs::{DEADLINE, Server};

/// Each server, and the options that make it another one.
pub const DESIGNS: [(&str, &[&str]); 6] = [
    ("sequential", &[]),
    ("threads", &[]),
    ("pool", &[]),
    ("event-loop", &[]),
    ("tokio", &[]),
    ("tokio", &["--all-cores"]),
];

/// A client speaks this on a connection that stays open.
pub const REQUEST: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
pub const LAST_REQUEST: &str =
    "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// A server that serves, and its process.
pub struct Subject {
    pub name: &'static str,
    pub server: Server,
    pub process: Process,
    /// How many descriptors it has without clients.
    pub idle: usize,
}

impl Subject {
    /// Starts the program `name`, in a thread that has started nothing else yet.
    pub fn start(name: &'static str, arguments: &[&str]) -> Subject {
        let server = Server::start_with(name, arguments);
        let process = Process::started_last();
        // It says that it listens before it has made all that it needs. When it has answered,
        // it has.
        let mut stream = connect(&server);
        stream.write_all(REQUEST.as_bytes()).unwrap();
        stream.read_exact(&mut [0]).unwrap();
        let idle = process.descriptors() - 1;
        drop(stream);
        let subject = Subject {
            name,
            server,
            process,
            idle,
        };
        subject.await_idleness();
        subject
    }

    /// Waits until it has no connection left.
    #[track_caller]
    pub fn await_idleness(&self) {
        wait_until("the end of all connections", || {
            self.process.descriptors() == self.idle
        });
    }

    pub fn connect(&self) -> TcpStream {
        connect(&self.server)
    }

    /// Reads the log up to this line.
    pub fn await_log_line(&self, line: &str) {
        while self.server.next_log_line() != line {}
    }

    /// Asserts that it ends after Ctrl-C, and that its last line is this one.
    #[track_caller]
    pub fn assert_ends(&self, last_line: &str) {
        self.await_log_line(last_line);
        assert_eq!(self.process.exit_code(), Some(0));
    }
}

/// Tries all designs at the same time, started with these options besides their own.
pub fn with_each(options: &[&str], try_it: impl Fn(&Subject) + Sync) {
    with(&DESIGNS, options, try_it);
}

/// The same with some of the designs.
pub fn with(
    designs: &[(&'static str, &[&str])],
    options: &[&str],
    try_it: impl Fn(&Subject) + Sync,
) {
    let try_it = &try_it;
    thread::scope(|scope| {
        for (name, own) in designs {
            let arguments = [own, options].concat();
            // A failure is reported with the name of its thread.
            thread::Builder::new()
                .name(format!("{name} {}", arguments.join(" ")))
                .spawn_scoped(scope, move || try_it(&Subject::start(name, &arguments)))
                .expect("a thread");
        }
    });
}

/// A running program, as the system sees it.
#[derive(Clone, Copy)]
pub struct Process(Pid);

impl Process {
    /// The only child of this thread.
    pub fn started_last() -> Process {
        let children = read_to_string("/proc/thread-self/children");
        let number = children
            .expect("a system that tells the children of a thread")
            .trim()
            .parse()
            .expect("one child");
        Process(Pid::from_raw(number).expect("a process"))
    }

    /// How many files it has open.
    pub fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.0);
        read_dir(folder).expect("the process runs").count()
    }

    /// The number that the next file will have.
    pub fn next_descriptor(&self) -> u64 {
        let folder = format!("/proc/{}/fd", self.0);
        (0..)
            .find(|number| read_link(format!("{folder}/{number}")).is_err())
            .expect("a number")
    }

    pub fn threads(&self) -> usize {
        self.status("Threads")
    }

    /// How many kilobytes of memory it has.
    pub fn memory(&self) -> usize {
        self.status("VmRSS")
    }

    /// How much processor time it has had, in hundredths of a second (proc_pid_stat(5)).
    pub fn processor_time(&self) -> u64 {
        let stat = read_to_string(format!("/proc/{}/stat", self.0)).expect("it runs");
        let (_, fields) = stat.rsplit_once(") ").expect("a name in brackets");
        let fields: Vec<_> = fields.split(' ').collect();
        let number = |field: &str| field.parse::<u64>().expect("a number");
        number(fields[11]) + number(fields[12])
    }

    fn status(&self, name: &str) -> usize {
        let status = read_to_string(format!("/proc/{}/status", self.0));
        let status = status.expect("the process runs");
        let value = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .expect("a line with this name");
        let number = value.split_whitespace().next().expect("a value");
        number.parse().expect("a number")
    }

    /// Has it open no file with this number or a higher one; returns the limit so far.
    pub fn limit_descriptors(&self, limit: u64) -> u64 {
        let own = getrlimit(Resource::Nofile);
        let new = Rlimit {
            current: Some(limit),
            maximum: own.maximum,
        };
        let old = prlimit(Some(self.0), Resource::Nofile, new).expect("a limit");
        old.current.expect("it has a limit")
    }

    /// Ctrl-C.
    pub fn interrupt(&self) {
        kill_process(self.0, Signal::INT).expect("the process runs");
    }

    /// Waits until it has ended; none if a signal has ended it. It is left for [`Server`]
    /// to bury.
    pub fn exit_code(&self) -> Option<i32> {
        let id = WaitId::Pid(self.0);
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let status = waitid(id, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
                .expect("it is a child of this process")
                .expect("it has ended");
            sender.send(status.exit_status())
        });
        receiver
            .recv_timeout(DEADLINE)
            .expect("the process ends in time")
    }
}

/// Waits until the condition is true.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < DEADLINE, "waiting for {what}");
        thread::yield_now();
    }
}
