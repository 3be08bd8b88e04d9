//! What a scene does: which programs it starts, when, in what surroundings, and what it shows of them.

mod fixture;

use fixture::witness::Witness;
use fixture::{Project, address, programs, scene};

/// A project with one program, `program`, and a chapter with one scene.
fn with_program(arguments: &str, program: &str) -> Project {
    Project::with_listing(&scene(arguments), None, &[("program", program)])
}

#[test]
fn a_scene_shows_what_each_of_its_programs_printed() {
    let address = address();
    let project = Project::with_server("demo 'server' 'client'", address);
    let said = project.build();
    assert!(said.contains("running src/chapter.md:3\n"), "{said}");
    let page = project.page();
    assert_eq!(
        page.commands(),
        [
            "cargo run -q -p demo --bin server",
            "cargo run -q -p demo --bin client"
        ]
    );
    assert_eq!(
        page.outputs(),
        [format!("listening on {address}"), "welcome".into()]
    );
    assert_eq!(page.texts(".exit"), [""; 0]);
}

/// The address is that of the scene's own listing, for the programs of others too.
#[test]
fn a_scene_can_have_programs_of_other_listings() {
    let (address, other) = (fixture::address(), fixture::address());
    let text = scene("demo 'server' 'other/client' 'demo/client' 'third/hello &' 'other/hello'");
    let project = Project::new(&text);
    let server = programs::server(address);
    let client = programs::client(address);
    let programs = [("server", server.as_str()), ("client", client.as_str())];
    project.listing("demo", Some(address), &programs);
    let shout = client.replace("print!(\"{answer}\")", "print!(\"other {answer}\")");
    let hello = programs::HELLO.replace("hello", "hello from other");
    let programs = [("client", shout.as_str()), ("hello", hello.as_str())];
    project.listing("other", Some(other), &programs);
    project.listing("third", None, &[("hello", programs::HELLO)]);
    project.build();
    let page = project.page();
    assert_eq!(
        page.commands(),
        [
            "cargo run -q -p demo --bin server",
            "cargo run -q -p other --bin client",
            "cargo run -q -p demo --bin client",
            "cargo run -q -p third --bin hello",
            "cargo run -q -p other --bin hello",
        ]
    );
    assert_eq!(
        page.outputs()[1..],
        ["other welcome", "welcome", "hello", "hello from other"]
    );
}

/// The server takes its time; the client looks whether it came too early.
#[test]
fn a_client_starts_only_when_its_server_listens() {
    let project = Project::new(&scene("demo 'server' 'client'"));
    let mark = project.path("mark").display().to_string();
    let server = r#"use std::io::Write;
        fn main() {
            std::thread::sleep(std::time::Duration::from_millis(300));
            print!("listening on 127.0.0.1:");
            std::io::stdout().flush().unwrap();
            std::thread::sleep(std::time::Duration::from_millis(300));
            std::fs::write("MARK", "").unwrap();
            println!("1");
            std::thread::sleep(std::time::Duration::from_secs(600));
        }"#;
    let client = r#"fn main() {
            println!("{}", if std::path::Path::new("MARK").exists() { "in time" } else { "too early" });
        }"#;
    project.listing(
        "demo",
        Some(address()),
        &[
            ("server", &server.replace("MARK", &mark)),
            ("client", &client.replace("MARK", &mark)),
        ],
    );
    project.build();
    assert_eq!(project.page().outputs()[1], "in time");
}

#[test]
fn a_command_is_shown_as_a_shell_must_read_it() {
    let project = with_program(
        r#"demo 'program "GET /\r\n" "$HOME <b> &amp; it'\''s \"x\"" plain'"#,
        r#"fn main() {
            for argument in std::env::args().skip(1) {
                println!("{argument}");
            }
        }"#,
    );
    project.build();
    let page = project.page();
    let command = &page.commands()[0];
    // Nothing in it is doubled that need not be.
    assert!(command.contains(r"-- 'GET /\r\n' "), "{command}");
    let (_, arguments) = command.split_once(" -- ").expect("arguments");
    let output = std::process::Command::new("sh")
        .args(["-c", &format!("printf '%s\\n' {arguments}")])
        .output()
        .expect("a shell");
    let read = String::from_utf8_lossy(&output.stdout);
    assert_eq!(read.trim_end(), page.outputs()[0]);
    assert!(read.contains(r#"<b> &amp; it's "x""#), "{read}");
}

#[test]
fn a_program_in_the_background_lets_the_next_one_start_after_its_first_line() {
    let project = Project::with_listing(
        &scene("demo 'first &' 'second' 'third \"a b\" &'"),
        None,
        &[
            ("first", programs::HANGS),
            ("second", programs::HELLO),
            ("third", "fn main() { println!(\"last\"); }"),
        ],
    );
    project.build();
    let page = project.page();
    assert_eq!(page.outputs(), ["starting", "hello", "last"]);
    assert_eq!(
        page.commands()[2],
        "cargo run -q -p demo --bin third -- 'a b'"
    );
}

const EXITS: &str = r#"fn main() {
    println!("seen");
    eprintln!("the cause");
    std::process::exit(std::env::args().nth(1).unwrap().parse().unwrap());
}"#;

#[test]
fn a_failure_that_the_scene_announces_is_shown_with_its_exit_code() {
    let project = with_program("--fails 3 demo 'program 3'", EXITS);
    project.build();
    let page = project.page();
    assert_eq!(page.outputs(), ["seen\nthe cause"]);
    assert_eq!(page.texts(".terminal > .exit"), ["exit code 3"]);
}

#[test]
fn a_failure_that_the_scene_does_not_announce_fails_the_build() {
    for (arguments, complaint) in [
        ("demo 'program 3'", "exit code 3 instead of 0"),
        ("--fails 4 demo 'program 3'", "exit code 3 instead of 4"),
        ("--fails 4 demo 'program 0'", "exit code 0 instead of 4"),
        // Only the last program may fail.
        (
            "--fails 3 demo 'program 3' 'program 3'",
            "exit code 3 instead of 0",
        ),
    ] {
        let said = with_program(arguments, EXITS).build_fails();
        for part in [
            "src/chapter.md:3: ",
            &format!("command: book scene {arguments}"),
            complaint,
            "$ cargo run -q -p demo --bin program -- ",
            "seen",
            "the cause",
        ] {
            assert!(said.contains(part), "no {part:?} in:\n{said}");
        }
    }
}

#[test]
fn a_panic_is_shown_without_a_backtrace() {
    let project = with_program(
        "--fails 101 demo 'program'",
        "fn main() { panic!(\"too bad\"); }",
    );
    project.build();
    let page = project.page();
    let shown = &page.texts("samp > .stderr")[0];
    assert!(shown.contains("too bad"), "{shown}");
    assert!(!shown.contains("stack backtrace"), "{shown}");
    assert_eq!(page.texts(".exit"), ["exit code 101"]);
}

#[test]
fn a_program_that_is_killed_by_a_signal_fails_the_build() {
    let said = with_program(
        "--fails 134 demo 'program'",
        "fn main() { std::process::abort(); }",
    )
    .build_fails();
    assert!(said.contains("killed by signal 6"), "{said}");
    assert!(said.contains("src/chapter.md:3: "), "{said}");
}

/// It crashes on the documented port and on any other, so it is not the port.
#[test]
fn a_server_that_crashes_before_it_listens_fails_the_build_and_has_no_client() {
    let address = address();
    let project = Project::with_server("demo 'server' 'client'", address);
    let came = project.path("came").display().to_string();
    project.listing(
        "demo",
        Some(address),
        &[
            ("server", "fn main() { panic!(\"no quotes\"); }"),
            (
                "client",
                &format!("fn main() {{ std::fs::write({came:?}, \"\").unwrap(); }}"),
            ),
        ],
    );
    let said = project.build_fails();
    assert!(said.contains("src/chapter.md:3: "), "{said}");
    assert!(said.contains("no quotes"), "{said}");
    assert!(said.contains("exit code 101 instead of 0"), "{said}");
    assert!(!project.path("came").exists(), "the client was started");
}

#[test]
fn a_server_that_never_listens_fails_the_build() {
    let project = Project::with_listing(
        &scene("--deadline 1 demo 'program' 'program'"),
        None,
        &[("program", programs::HANGS)],
    );
    let said = project.build_fails();
    assert!(said.contains("src/chapter.md:3: "), "{said}");
    assert!(said.contains("starting"), "{said}");
    assert!(
        said.contains("listening on"),
        "the cause is not in:\n{said}"
    );
}

#[test]
fn a_scene_that_hangs_is_killed_with_its_children() {
    let project = Project::new(&scene("--deadline 3 demo 'program'"));
    let witness = Witness::in_folder(&project.root);
    project.listing(
        "demo",
        None,
        &[("program", &programs::parent(&witness.path))],
    );
    let said = project.build_fails();
    assert!(said.contains("did not end within 3 s"), "{said}");
    assert!(said.contains("the children have been born"), "{said}");
    witness.wait_for(&programs::FAMILY);
    witness.wait_for_the_end_of_all();
}

/// The children keep the program's stdout open; they would keep a reader waiting that waits for its end.
#[test]
fn a_scene_ends_with_its_last_program_and_so_do_the_children_of_all() {
    let project = Project::new(&scene("--deadline 30 demo 'program'"));
    let witness = Witness::in_folder(&project.root);
    let program = programs::parent_that_ends(&witness.path);
    project.listing("demo", None, &[("program", &program)]);
    project.build();
    assert_eq!(project.page().outputs(), ["the children have been born"]);
    witness.wait_for(&programs::FAMILY);
    witness.wait_for_the_end_of_all();
}

#[test]
fn a_scene_stops_its_servers_with_their_children() {
    let project = Project::new(&scene("demo 'server &' 'client'"));
    let witness = Witness::in_folder(&project.root);
    project.listing(
        "demo",
        None,
        &[
            ("server", &programs::parent(&witness.path)),
            ("client", programs::HELLO),
        ],
    );
    project.build();
    assert_eq!(
        project.page().outputs(),
        ["the children have been born", "hello"]
    );
    witness.wait_for(&programs::FAMILY);
    witness.wait_for_the_end_of_all();
}

#[test]
fn a_program_that_prints_without_end_is_stopped_early() {
    for stream in ["stdout", "stderr"] {
        let program = format!(
            "use std::io::Write;\n\
             fn main() {{ loop {{ let _ = std::io::{stream}().write_all(&[b'x'; 1000]); }} }}"
        );
        let project = with_program("--deadline 50 demo 'program'", &program);
        let said = project.build_fails();
        assert!(said.contains("src/chapter.md:3: "), "{said}");
        assert!(said.contains("more than 64 KiB"), "{stream}: {said}");
        assert!(said.len() < 256 * 1024, "the message is too long");
        assert!(!project.path("target/book/results").exists());
    }
}

/// The characters are those that take most space on a page.
#[test]
fn a_program_may_print_64_kib_and_no_more() {
    let program = r#"fn main() {
        let length = std::env::args().nth(1).unwrap().parse().unwrap();
        print!("{}", "{".repeat(length));
    }"#;
    let project = with_program("demo 'program 65536'", program);
    project.build();
    assert_eq!(project.page().outputs(), ["{".repeat(65536)]);
    let said = with_program("demo 'program 65537'", program).build_fails();
    assert!(said.contains("more than 64 KiB"), "{said}");
}

/// The scene is over in the middle of a line of the server's log.
#[test]
fn a_line_that_a_server_has_begun_is_shown_whole() {
    let address = address();
    let project = Project::with_server("demo 'server' 'client'", address);
    let server = programs::server(address).replace(
        "stream?.write_all(b\"welcome\\n\")?;",
        "let mut stream = stream?;\n\
         eprint!(\"a client \");\n\
         stream.write_all(b\"welcome\\n\")?;\n\
         drop(stream);\n\
         std::thread::sleep(std::time::Duration::from_millis(100));\n\
         eprintln!(\"was here\");",
    );
    project.listing("demo", Some(address), &[("server", &server)]);
    project.build();
    let page = project.page();
    assert_eq!(page.texts("samp > .stderr"), ["a client was here"]);
    assert_eq!(page.outputs()[1], "welcome");
}

#[test]
fn what_came_on_stderr_is_marked_and_stands_where_it_came() {
    let project = with_program(
        "demo 'program'",
        "fn main() { print!(\"first\\nsecond\\n\"); eprint!(\"third\\nfourth\\n\"); }",
    );
    project.build();
    let page = project.page();
    assert_eq!(page.outputs(), ["first\nsecond\nthird\nfourth"]);
    assert_eq!(page.texts("samp > .stderr"), ["third\nfourth"]);
}

/// However fast they come: a complaint never stands above the result that it is about. One program rarely shows it, so ten run.
#[test]
fn a_line_on_stderr_never_stands_above_one_that_stdout_had_before() {
    let project = with_program(
        &format!("demo{}", " 'program'".repeat(10)),
        "fn main() { for n in 0..3000 { println!(\"{n} out\"); eprint!(\"{n} err\\n\"); } }",
    );
    project.build();
    for output in project.page().outputs() {
        let (mut out, mut err) = (0, 0);
        for line in output.lines() {
            if line.ends_with(" out") {
                out += 1;
            } else {
                err += 1;
                assert!(err <= out, "{line:?} stands below {out} lines of stdout");
            }
        }
        assert_eq!((out, err), (3000, 3000));
    }
}

#[test]
fn a_program_that_prints_nothing_is_said_to() {
    let project = with_program("demo 'program'", "fn main() {}");
    project.build();
    assert_eq!(project.page().texts(".terminal > .exit"), ["no output"]);
}

#[test]
fn a_program_runs_in_surroundings_that_are_always_the_same() {
    let project = with_program(
        "demo 'program' 'program'",
        r#"fn main() {
            for (name, value) in std::env::vars() {
                println!("{name}={value}");
            }
            let here = std::env::current_dir().unwrap();
            println!("{} entries", std::fs::read_dir(&here).unwrap().count());
            println!("stdin: {:?}", std::io::read_to_string(std::io::stdin()));
            println!("folder: {}", here.display());
        }"#,
    );
    project.build();
    let output = &project.page().outputs()[0];
    let folder = output
        .lines()
        .last()
        .unwrap()
        .trim_start_matches("folder: ");
    assert!(!std::path::Path::new(folder).exists(), "{folder} is left");
    assert!(
        output.contains("\n0 entries\nstdin: Ok(\"\")\n"),
        "{output}"
    );
    for variable in ["LC_ALL=C.UTF-8", "NO_COLOR=1", "TERM=dumb", "TZ=UTC"] {
        assert!(output.lines().any(|line| line == variable), "{output}");
    }
    let kept = [
        "CARGO",
        "CARGO_HOME",
        "HOME",
        "LC_ALL",
        "NO_COLOR",
        "PATH",
        "RUSTUP_HOME",
        "RUSTUP_TOOLCHAIN",
        "TERM",
        "TMPDIR",
        "TZ",
        "USER",
    ];
    for (name, _) in output.lines().filter_map(|line| line.split_once('=')) {
        assert!(kept.contains(&name), "{name} is in:\n{output}");
    }
}
