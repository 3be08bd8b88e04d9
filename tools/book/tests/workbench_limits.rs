//! Programs that a reader has written take no more of the machine than they may, say which limit they have met, and leave nothing.

#![cfg(target_os = "linux")]

mod bench;
mod fixture;
mod served;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use bench::{Bench, Running, changed, post, processes_of, wait_until, wait_until_nothing_is_left};
use fixture::{DEADLINE, Project, programs};
use serde_json::json;
use served::Served;

/// The first scene's program may take 2 s, the second one's as long as it likes.
const CHAPTER: &str = "<!-- cmdrun --strict book scene --deadline 2 demo 'main' -->\n\n\
                       <!-- cmdrun --strict book scene --deadline 600 demo 'main' -->";

/// What these programs need of the C library; and a program that goes on for ever does not do so if a test has failed.
const PRELUDE: &str = "#![allow(unused)]
use std::fs::{self, File};
use std::io::{self, Write};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

unsafe extern \"C\" {
    fn fork() -> i32;
    fn setsid() -> i32;
    fn memfd_create(name: *const i8, flags: u32) -> i32;
    fn mkdir(name: *const i8, mode: u32) -> i32;
    fn chdir(name: *const i8) -> i32;
    fn signal(number: i32, action: usize) -> usize;
}

fn for_ever() -> ! {
    sleep(Duration::from_secs(40));
    std::process::exit(9)
}

fn main() -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    BODY
}
";

fn start(mut project: Project, is_denied: bool) -> (Project, Served) {
    if is_denied {
        project.deny_namespaces();
    }
    let served = Served::start(&project);
    (project, served)
}

fn project() -> Project {
    Project::with_listing(CHAPTER, None, &[("main", programs::HELLO)])
}

/// Runs programs that have these for their `main`; each must be stopped for what is said beside it.
fn are_stopped(is_denied: bool, attacks: &[(&str, &str)]) {
    let (project, served) = start(project(), is_denied);
    let bench = Bench::open(&served);
    thread::scope(|scope| {
        for (body, limit) in attacks {
            let bench = &bench;
            scope.spawn(move || {
                let mut ask = changed(&PRELUDE.replace("BODY", body));
                if !limit.contains("2 s") {
                    ask["scene"] = "chapter-2".into();
                }
                let why = bench.run(&ask).failure();
                assert!(
                    why.contains(limit),
                    "{why:.1000}, not {limit:?}, for {body}"
                );
            });
        }
    });
    wait_until_nothing_is_left(&project);
    assert_eq!(served.get("/chapter.html").status, 200);
    assert_eq!(
        bench.run(&json!({"scene": "chapter-1"})).output(),
        "hello\n"
    );
    wait_until_nothing_is_left(&project);
}

const OF_TIME_AND_OUTPUT: [(&str, &str); 5] = [
    ("for_ever()", "it did not end within 2 s"),
    (
        "loop { std::hint::spin_loop() }",
        "it did not end within 2 s",
    ),
    (
        "loop { writeln!(stdout, \"more\")?; }",
        "it printed more than 64 KiB",
    ),
    (
        "loop { write!(stdout, \"more\")?; stdout.flush()?; }",
        "it printed more than 64 KiB",
    ),
    (
        "loop { eprint!(\"\\u{1}\\u{2}\"); }",
        "it printed more than 64 KiB",
    ),
];

const OF_MEMORY: [(&str, &str); 3] = [
    (
        "let mut all = Vec::new();
        for number in 0..128 { all.push(vec![number as u8 + 1; 8 << 20]); }
        for_ever()",
        "it used more than 512 MiB of memory",
    ),
    // Each of them takes its share only.
    (
        "for _ in 0..4 { if unsafe { fork() } == 0 { break; } }
        let all = vec![1u8; 200 << 20];
        for_ever()",
        "it used more than 512 MiB of memory",
    ),
    // Memory that is in no process, but in a file without a name.
    (
        "let mut all = Vec::new();
        for _ in 0..64 {
            let file = unsafe { memfd_create(c\"x\".as_ptr().cast(), 0) };
            let mut file: File = unsafe { std::os::fd::FromRawFd::from_raw_fd(file) };
            file.write_all(&vec![1u8; 8 << 20])?;
            all.push(file);
        }
        for_ever()",
        "it wrote more than 16 MiB into files",
    ),
];

const OF_FILES: [(&str, &str); 6] = [
    (
        "let mut file = File::create(\"large\")?;
        for _ in 0..64 { file.write_all(&[0; 1 << 20])?; }
        for_ever()",
        "it wrote more than 16 MiB into",
    ),
    (
        "for number in 0..4000 { fs::write(format!(\"{number}\"), [0; 16384])?; }
        for_ever()",
        "it wrote more than 16 MiB into files",
    ),
    (
        "let temporary = std::env::temp_dir();
        for number in 0..40 { fs::write(temporary.join(format!(\"{number}\")), vec![0; 1 << 20])?; }
        for_ever()",
        "it wrote more than 16 MiB into files",
    ),
    // Nothing is in them, but each takes its place.
    (
        "for number in 0..100_000 { fs::write(format!(\"{number}\"), [])?; }
        for_ever()",
        "it wrote more than 16 MiB into files",
    ),
    // Nobody can find these.
    (
        "let mut all = Vec::new();
        for _ in 0..40 {
            let mut file = File::create(\"hidden\")?;
            fs::remove_file(\"hidden\")?;
            file.write_all(&vec![0; 1 << 20])?;
            all.push(file);
        }
        for_ever()",
        "it wrote more than 16 MiB into files",
    ),
    // And whoever removes these must not go down with them.
    (
        "for _ in 0..100_000 {
            unsafe {
                mkdir(c\"deep\".as_ptr().cast(), 0);
                assert_eq!(chdir(c\"deep\".as_ptr().cast()), 0);
            }
        }
        for_ever()",
        "it made more than 128 folders",
    ),
];

const OF_PROCESSES: [(&str, &str); 3] = [
    // 512 of them.
    (
        "for _ in 0..9 { unsafe { fork() }; }
        for_ever()",
        "it started more than 64 processes",
    ),
    // Each in a session of its own, and a child of nobody; and deaf.
    (
        "for _ in 0..200 {
            unsafe {
                if fork() == 0 {
                    setsid();
                    for number in [1, 2, 15] { signal(number, 1); }
                    if fork() == 0 { for_ever() }
                    std::process::exit(0)
                }
            }
        }
        for_ever()",
        "it started more than 64 processes",
    ),
    // One at a time, but it is never the same.
    (
        "for _ in 0..50_000 {
            unsafe {
                if fork() > 0 && setsid() != -2 { break; }
            }
        }
        if std::process::id() % 2 > 2 { println!(); }
        for_ever()",
        "it started more than 64 processes",
    ),
];

#[test]
fn a_program_that_hangs_or_prints_for_ever_is_stopped() {
    are_stopped(false, &OF_TIME_AND_OUTPUT);
}

#[test]
fn a_program_that_takes_all_memory_is_stopped() {
    are_stopped(false, &OF_MEMORY);
}

#[test]
fn a_program_that_fills_the_disk_is_stopped() {
    are_stopped(false, &OF_FILES);
}

#[test]
fn a_program_that_forks_for_ever_is_stopped() {
    are_stopped(false, &OF_PROCESSES[..2]);
}

#[test]
fn programs_are_stopped_without_namespaces_too() {
    let attacks = [
        &OF_TIME_AND_OUTPUT[..3],
        &OF_MEMORY[..1],
        &OF_FILES[1..2],
        &OF_PROCESSES[..2],
    ];
    are_stopped(true, &attacks.concat());
}

/// One that is never found where it has just been seen: it forks, and goes on as its own child.
const FLEES: &str = "println!(\"it flees\");
    stdout.flush()?;
    for _ in 0..100_000 {
        if unsafe { fork() } > 0 { std::process::exit(0) }
        unsafe { setsid() };
    }
    for_ever()";

fn what_flees_ends_with_its_scene(is_denied: bool) {
    let (project, served) = start(project(), is_denied);
    let bench = Bench::open(&served);
    let output = bench.change(&PRELUDE.replace("BODY", FLEES)).output();
    assert_eq!(output, "it flees\n");
    wait_until_nothing_is_left(&project);
}

#[test]
fn a_program_that_flees_from_process_to_process_ends_with_its_scene() {
    what_flees_ends_with_its_scene(false);
}

#[test]
fn a_program_that_flees_from_process_to_process_ends_with_its_scene_without_namespaces_too() {
    what_flees_ends_with_its_scene(true);
}

/// It asks for something, and never reads what comes.
#[test]
fn a_page_that_does_not_listen_does_not_keep_its_programs_alive() {
    // The picture of a control character has three bytes.
    let body = r#"writeln!(stdout, "listening on 127.0.0.1:9")?;
        for _ in 0..9000 { writeln!(stdout, "{}", "\u{1}".repeat(100))?; }
        for_ever()"#;
    let text = "<!-- cmdrun --strict book scene --server demo 'main' -->";
    let project = Project::with_listing(text, None, &[("main", programs::HELLO)]);
    let served = Served::start_with(&project, &["--idle", "1"]);
    let bench = Bench::open(&served);
    // The kernel takes some megabytes for a page: several pages ask, and each takes as little as it can.
    let mut ask = changed(&PRELUDE.replace("BODY", body));
    ask["alone"] = true.into();
    let mut streams = Vec::new();
    for _ in 0..2 {
        let (domain, kind) = (socket2::Domain::IPV4, socket2::Type::STREAM);
        let socket = socket2::Socket::new(domain, kind, None).expect("a socket");
        socket.set_recv_buffer_size(2048).expect("an option");
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], served.port()));
        socket.connect(&address.into()).expect("a connection");
        let mut stream = TcpStream::from(socket);
        let request = post("run", &bench.headers(), &ask.to_string());
        stream.write_all(&request).expect("it takes the request");
        streams.push(stream);
    }
    let runs = || {
        let processes = processes_of(&project);
        processes
            .iter()
            .any(|process| process.contains("/programs/main"))
    };
    wait_until("it runs", runs);
    wait_until_nothing_is_left(&project);
    for mut stream in streams {
        let mut events = String::new();
        stream.set_read_timeout(Some(DEADLINE)).expect("an option");
        stream.read_to_string(&mut events).expect("an end in time");
        let end = &events[events.len().saturating_sub(500)..];
        assert!(end.contains("it was idle for 1 s"), "{end}");
    }
}

#[test]
fn the_children_of_a_program_that_has_ended_end_too() {
    let (project, served) = start(project(), false);
    let bench = Bench::open(&served);
    let witness = fixture::witness::Witness::in_folder(&project.root);
    let run: Running = bench.change(&programs::parent_that_ends(&witness.path));
    assert!(run.output().contains("born"));
    witness.wait_for_the_end_of_all();
    wait_until_nothing_is_left(&project);
}

/// The compiler reads what it is told to, and computes what it is told to.
#[test]
fn a_change_that_is_never_compiled_to_its_end_is_stopped() {
    let (project, served) = start(project(), false);
    let bench = Bench::open(&served);
    let why = bench.change("const ALL: &[u8] = include_bytes!(\"/dev/zero\");\nfn main() {\n    println!(\"{}\", ALL.len());\n}\n").failure();
    assert!(why.contains("memory"), "{why}");
    wait_until_nothing_is_left(&project);
}
