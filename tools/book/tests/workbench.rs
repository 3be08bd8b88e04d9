//! The served book as a workbench: what a reader runs and changes on a page, and that nothing of it stays when they leave.

#![cfg(target_os = "linux")]

mod bench;
mod fixture;
mod gate;
mod served;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bench::{Bench, PROGRAM, SCENE, wait_until, wait_until_nothing_is_left};
use fixture::{Project, address, programs, scene, snapshot};
use gate::Gate;
use rustix::process::Signal;
use serde_json::{Value, json};
use served::Served;

fn prints(text: &str) -> String {
    format!("fn main() {{\n    println!({text:?});\n}}\n")
}

fn with_program(text: &str) -> Project {
    Project::with_listing(&scene("demo 'main'"), None, &[("main", text)])
}

#[test]
fn a_run_is_told_from_its_begin_to_its_end() {
    let text = "fn main() {\n    println!(\"one\");\n    eprintln!(\"two\");\n    std::process::exit(3);\n}\n";
    let project = with_program(programs::HELLO);
    let served = Served::start(&project);
    let bench = Bench::open(&served);
    let begin =
        json!({"event": "begin", "terminal": 0, "command": "cargo run -q -p demo --bin main"});
    let print = |stream: &str, text: &str| json!({"event": "print", "terminal": 0, "stream": stream, "text": text});
    assert_eq!(
        bench.run(&json!({"scene": SCENE})).end(),
        [
            begin.clone(),
            print("stdout", "hello\n"),
            json!({"event": "exit", "terminal": 0, "code": 0}),
            json!({"event": "over"}),
        ]
    );
    assert_eq!(
        bench.change(text).end(),
        [
            json!({"event": "compile", "listing": "demo"}),
            json!({"event": "diagnostics", "listing": "demo", "diagnostics": []}),
            begin,
            print("stdout", "one\n"),
            print("stderr", "two\n"),
            json!({"event": "exit", "terminal": 0, "code": 3}),
            json!({"event": "over"}),
        ]
    );
    wait_until_nothing_is_left(&project);
}

#[test]
fn programs_get_what_a_reader_puts_in_as_one_word() {
    let program =
        "fn main() {\n    println!(\"{:?}\", std::env::args().skip(1).collect::<Vec<_>>());\n}\n";
    let inputs = "--input message:text=hello --input number:number=5";
    let text = scene(&format!("{inputs} demo 'main {{message}} {{number}}'"));
    let project = Project::with_listing(&text, None, &[("main", program)]);
    let served = Served::start(&project);
    let bench = Bench::open(&served);
    let output = bench.run(&json!({"scene": SCENE})).output();
    assert_eq!(output, "[\"hello\", \"5\"]\n");
    for message in [
        "two words",
        "$(touch /tmp/x)",
        "`id`",
        "'; id; '",
        "\"",
        "\\",
        "a &",
        "{number}",
        "x:number=7",
        "*",
        "ß 😀",
    ] {
        let inputs = json!({"message": message, "number": "1000"});
        let output = bench
            .run(&json!({"scene": SCENE, "inputs": inputs}))
            .output();
        assert_eq!(output, format!("[{message:?}, \"1000\"]\n"));
    }
}

#[test]
fn a_change_runs_and_the_checkout_stays_as_it_was() {
    let project = with_program(&prints("the author's"));
    let served = Served::start(&project);
    let bench = Bench::open(&served);
    let before = snapshot(&project.path("listings"));
    // Cargo knows a change by its file's age: none of them may be taken for another one.
    for words in ["one", "two", "one", "two", "three", "two"] {
        assert_eq!(bench.change(&prints(words)).output(), format!("{words}\n"));
    }
    let output = bench.run(&json!({"scene": SCENE})).output();
    assert_eq!(output, "the author's\n");
    assert!(snapshot(&project.path("listings")) == before);
    let left = fs::read_dir(project.path("listings/demo"))
        .expect("a folder")
        .count();
    assert_eq!(left, 2, "its manifest and its sources");
    wait_until_nothing_is_left(&project);
}

#[test]
fn two_pages_that_change_the_same_listing_at_once_each_run_their_own() {
    let project = with_program(programs::HELLO);
    let served = Served::start(&project);
    let bench = &Bench::open(&served);
    thread::scope(|scope| {
        for words in ["one", "two", "three"] {
            scope.spawn(move || {
                for _ in 0..2 {
                    assert_eq!(bench.change(&prints(words)).output(), format!("{words}\n"));
                }
            });
        }
    });
    wait_until_nothing_is_left(&project);
}

#[test]
fn a_mistake_is_shown_with_its_place_and_what_would_mend_it() {
    let project = with_program(programs::HELLO);
    let served = Served::start(&project);
    let bench = Bench::open(&served);
    // A column counts characters.
    let wrong = "fn main() {\n    let _ß = \"😀\"; let wrod = 1; word();\n}\nfn wrod() {}\n";
    let events = bench.change(wrong).end();
    assert_eq!(events[1]["event"], "diagnostics");
    let found = events[1]["diagnostics"].as_array().expect("a list");
    let error = found
        .iter()
        .find(|found| found["level"] == "error")
        .expect("an error");
    assert_eq!(error["file"], PROGRAM);
    assert_eq!(
        [
            &error["line"],
            &error["column"],
            &error["end_line"],
            &error["end_column"]
        ],
        [2, 33, 2, 37]
    );
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("cannot find function `word`"),
        "{error}"
    );
    assert!(
        error["rendered"]
            .as_str()
            .unwrap()
            .contains("src/bin/main.rs:2:33"),
        "{error}"
    );
    let failed = events.last().unwrap();
    assert_eq!(failed["event"], "failed");
    assert!(
        failed["message"]
            .as_str()
            .unwrap()
            .contains("does not compile"),
        "{failed}"
    );
    assert!(
        events.iter().all(|event| event["event"] != "begin"),
        "{events:#?}"
    );

    let careless = "fn main() {\n    let unused = 1;\n}\n";
    let events = bench.change(careless).end();
    let warning = &events[1]["diagnostics"][0];
    assert_eq!(
        [&warning["line"], &warning["column"], &warning["end_column"]],
        [2, 9, 15]
    );
    assert_eq!(warning["level"], "warning");
    assert_eq!(
        warning["fixes"][0]["edits"][0]["text"], "_unused",
        "{warning}"
    );
    assert_eq!(events.last(), Some(&json!({"event": "over"})));
}

#[test]
fn a_listing_is_handed_out_as_it_is() {
    let text = "// ANCHOR: all\nfn main() {}\n// ANCHOR_END: all\n";
    let project = with_program(text);
    project.write("listings/demo/notes.txt", "not for changing");
    let served = Served::start(&project);
    let response = Bench::open(&served).ask("listing", r#"{"listing":"demo"}"#);
    let answer: Value = serde_json::from_slice(&response.body).expect("JSON");
    assert_eq!(answer, json!({"files": {PROGRAM: text}}));
}

#[test]
fn git_applies_the_patch_of_a_change() {
    let old = "fn main() {\n    println!(\"hello\");\n}\n\n// the end\n";
    let project = with_program(old);
    let served = Served::start(&project);
    let bench = Bench::open(&served);
    let git = |arguments: &[&str], stdin: &str| {
        let mut child = Command::new("git")
            .args(arguments)
            .current_dir(&project.root)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("git starts");
        let mut pipe = child.stdin.take().expect("a pipe");
        pipe.write_all(stdin.as_bytes())
            .expect("it takes the patch");
        drop(pipe);
        let output = child.wait_with_output().expect("it ends");
        assert!(
            output.status.success(),
            "{}\n{stdin}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    git(&["init", "-q"], "");
    for new in [
        old.replace("hello", "good bye"),
        old.trim_end().into(),
        old.replace('\n', "\r\n"),
        old.replace("// the end", "// a carriage return\rand more"),
        format!("{old}\u{2028}\u{85}\u{b}\u{c}\n--- a\n+++ b\n@@ -1 +1 @@\n"),
        "\n".into(),
        String::new(),
    ] {
        let ask = json!({"listing": "demo", "changes": {PROGRAM: new}}).to_string();
        let response = bench.ask("patch", &ask);
        let answer: Value = serde_json::from_slice(&response.body).expect("JSON");
        let patch = answer["patch"].as_str().expect("a patch");
        assert!(
            patch.starts_with(&format!("--- a/listings/demo/{PROGRAM}\n")),
            "{patch}"
        );
        git(&["apply", "--check"], patch);
        git(&["apply"], patch);
        assert_eq!(project.read(format!("listings/demo/{PROGRAM}")), new);
        project.write(format!("listings/demo/{PROGRAM}"), old);
    }
    let same = json!({"listing": "demo", "changes": {PROGRAM: old}}).to_string();
    assert_eq!(bench.ask("patch", &same).text(), r#"{"patch":""}"#);
}

fn with_server(address: SocketAddr) -> Project {
    Project::with_server("--server demo 'server' 'client'", address)
}

fn talk(address: &Value) -> std::io::Result<String> {
    let mut answer = String::new();
    let address: SocketAddr = address
        .as_str()
        .expect("an address")
        .parse()
        .expect("an address");
    TcpStream::connect(address)?.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn a_server_that_is_left_running_can_be_talked_to_until_its_page_is_closed() {
    let project = with_server(address());
    let served = Served::start(&project);
    let bench = Bench::open(&served);
    let alone = json!({"scene": SCENE, "alone": true});
    let mut runs: Vec<_> = (0..4).map(|_| bench.run(&alone)).collect();
    let servers: Vec<Value> = runs
        .iter_mut()
        .map(|run| run.wait_for("listening"))
        .collect();
    for server in &servers {
        assert_eq!(talk(&server["address"]).expect("it is there"), "welcome\n");
        let folder = server["folder"].as_str().expect("a folder");
        assert!(
            folder.starts_with(project.root.to_str().unwrap()),
            "{folder}"
        );
    }
    let why = bench.refused("run", &alone.to_string(), 429);
    assert!(why.contains("4 servers"), "{why}");
    // They do not keep scenes from running.
    assert!(
        bench
            .run(&json!({"scene": SCENE}))
            .output()
            .contains("welcome")
    );
    for run in runs {
        run.close();
    }
    for server in &servers {
        wait_until("it does not listen", || talk(&server["address"]).is_err());
    }
    wait_until_nothing_is_left(&project);
    bench.run(&alone).wait_for("listening");
}

fn an_idle_server_ends_and_a_busy_one_does_not(mut project: Project, is_denied: bool) {
    if is_denied {
        project.deny_namespaces();
    }
    let served = Served::start_with(&project, &["--idle", "1"]);
    let bench = Bench::open(&served);
    let mut run = bench.run(&json!({"scene": SCENE, "alone": true}));
    let address = run.wait_for("listening")["address"].clone();
    // It prints nothing, but it has something to do: so it stays, for three times as long.
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        assert_eq!(talk(&address).expect("it is there"), "welcome\n");
        thread::sleep(Duration::from_millis(50));
    }
    let idle = Instant::now();
    let why = run.failure();
    assert!(why.contains("it was idle for 1 s"), "{why}");
    assert!(
        idle.elapsed() < Duration::from_secs(5),
        "{:?}",
        idle.elapsed()
    );
    talk(&address).expect_err("it has ended");
    wait_until_nothing_is_left(&project);
}

#[test]
fn a_server_that_is_left_running_ends_when_it_has_been_idle() {
    an_idle_server_ends_and_a_busy_one_does_not(with_server(address()), false);
}

#[test]
fn a_server_that_is_left_running_ends_when_it_has_been_idle_without_namespaces_too() {
    an_idle_server_ends_and_a_busy_one_does_not(with_server(address()), true);
}

/// Leaves while a family of programs runs, while a server has been left running, while a change is compiled, and while another one waits
/// for that.
fn nothing_is_left_after(is_denied: bool, leave: impl FnOnce(&Served, Vec<bench::Running>)) {
    let gate = Gate::new();
    let address = address();
    let mut project = Project::with_listing(
        "<!-- cmdrun --strict book scene --deadline 600 demo 'main' -->\n\n\
         <!-- cmdrun --strict book scene --server demo 'server' 'client' -->",
        Some(address),
        &[
            ("main", programs::HELLO),
            ("server", &programs::server(address)),
            ("client", &programs::client(address)),
        ],
    );
    if is_denied {
        project.deny_namespaces();
    }
    // The compilation takes as long as the test likes.
    project.write("listings/demo/build.rs", gate.program("compiled"));
    let mut served = Served::begin(&project);
    drop(gate.wait());
    served.wait_until_ready();
    let bench = Bench::open(&served);

    let witness = fixture::witness::Witness::in_folder(&project.root);
    let mut family = bench.change(&programs::parent(&witness.path));
    drop(gate.wait());
    family.wait_for_print("born");
    let mut server = bench.run(&json!({"scene": "chapter-2", "alone": true}));
    server.wait_for("listening");
    let mut compiled = bench.change(&prints("never"));
    compiled.wait_for("compile");
    let mut held = gate.wait();
    let mut waits = bench.change(&prints("never either"));
    waits.wait_for("compile");

    leave(&served, vec![family, server, compiled, waits]);
    // Whoever was held is gone.
    assert_eq!(held.read(&mut [0]).expect("an end in time"), 0);
    witness.wait_for_the_end_of_all();
    wait_until_nothing_is_left(&project);
}

fn after_signal(signal: Signal) -> impl FnOnce(&Served, Vec<bench::Running>) {
    move |served, runs| {
        served.signal(signal);
        drop(runs);
    }
}

#[test]
fn closing_the_pages_leaves_nothing() {
    nothing_is_left_after(false, |_, runs| {
        runs.into_iter().for_each(bench::Running::close)
    });
}

#[test]
fn closing_the_pages_leaves_nothing_without_namespaces_either() {
    nothing_is_left_after(true, |_, runs| {
        runs.into_iter().for_each(bench::Running::close)
    });
}

#[test]
fn ctrl_c_leaves_nothing() {
    nothing_is_left_after(false, |served, _| served.press_ctrl_c());
}

#[test]
fn a_request_to_end_leaves_nothing() {
    nothing_is_left_after(false, after_signal(Signal::TERM));
}

#[test]
fn a_kill_leaves_nothing() {
    nothing_is_left_after(false, after_signal(Signal::KILL));
}

#[test]
fn a_kill_leaves_nothing_without_namespaces_either() {
    nothing_is_left_after(true, after_signal(Signal::KILL));
}

#[test]
fn a_kill_before_there_is_a_guard_leaves_nothing() {
    let project = with_program(programs::HELLO);
    let moments: [fn(&Bench) -> bench::Running; 3] = [
        |bench| bench.run(&json!({"scene": SCENE})),
        |bench| bench.change(&prints("before")),
        |bench| {
            let mut run = bench.change(&prints("after"));
            run.wait_for("diagnostics");
            run
        },
    ];
    for moment in moments.iter().cycle().take(12) {
        let served = Served::start(&project);
        assert!(has_janitor(&served));
        let run = moment(&Bench::open(&served));
        served.signal(Signal::KILL);
        drop(run);
        wait_until("the janitor is gone", || !has_janitor(&served));
        wait_until_nothing_is_left(&project);
    }
}

/// Whether somebody waits for the end of the tool, or clears up behind it.
fn has_janitor(served: &Served) -> bool {
    let words = format!("\0janitor\0{}\0", served.pid);
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    processes
        .map(|process| fs::read(process.path().join("cmdline")).unwrap_or_default())
        .any(|line| String::from_utf8_lossy(&line).ends_with(&words))
}

#[test]
fn a_page_that_is_closed_while_its_run_waits_for_its_turn_gives_its_place_away() {
    let mut gate = Gate::new();
    let project = with_program(&gate.program("through"));
    let mut served = Served::begin(&project);
    drop(gate.wait());
    served.wait_until_ready();
    let bench = Bench::open(&served);
    let ask = json!({"scene": SCENE});
    let runs: Vec<_> = (0..4).map(|_| bench.run(&ask)).collect();
    let held: Vec<_> = (0..4).map(|_| gate.wait()).collect();
    let mut waiting: Vec<_> = (0..32).map(|_| bench.run(&ask)).collect();
    for run in &mut waiting {
        run.wait_for("waiting");
    }
    let why = bench.refused("run", &ask.to_string(), 429);
    assert!(why.contains("4 scenes run and 32 wait"), "{why}");
    drop(waiting);
    wait_until("there is a place again", || {
        let mut run = bench.send(&ask);
        let mut status = [0; 12];
        run.read_exact(&mut status).expect("an answer in time");
        status == *b"HTTP/1.1 200"
    });
    gate.open();
    drop(held);
    for run in runs {
        assert_eq!(run.output(), "through\n");
    }
    wait_until_nothing_is_left(&project);
}
