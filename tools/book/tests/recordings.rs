//! Recordings: what `book record` runs and keeps, and how a build shows it without running anything.

mod fixture;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use fixture::witness::Witness;
use fixture::{Project, address, programs};
use rustix::process::{Signal, kill_process, kill_process_group};

const CHAPTER: &str = "Above.\n\n<!-- cmdrun --strict book scene --recorded hello demo 'count' -->";
const RECORDING: &str = "listings/demo/recordings/hello.json";

/// A listing whose program counts how often it runs.
fn counted(chapter: &str) -> Project {
    let project = Project::new(chapter);
    let program = format!(
        r#"fn main() {{
            let file = std::fs::File::options().create(true).append(true).open({:?});
            std::io::Write::write_all(&mut file.unwrap(), b"x").unwrap();
            println!("it works");
            eprintln!("it speaks");
        }}"#,
        project.path("runs")
    );
    project.listing("demo", None, &[("count", &program)]);
    project
}

fn runs(project: &Project) -> usize {
    fs::read(project.path("runs")).map_or(0, |runs| runs.len())
}

#[test]
fn a_recorded_scene_runs_when_it_is_recorded_and_in_no_build() {
    let project = counted(CHAPTER);
    let said = project.builds(&["record", "demo"]);
    assert!(said.contains("running hello\n"), "{said}");
    assert!(
        said.contains("recorded listings/demo/recordings/hello.json\n"),
        "{said}"
    );
    assert_eq!(runs(&project), 1);
    project.build();
    project.builds(&["build", "--fresh"]);
    assert_eq!(runs(&project), 1);
    let page = project.page();
    assert_eq!(
        page.commands(),
        ["cargo run -q --release -p demo --bin count"]
    );
    assert_eq!(page.outputs(), ["it works\nit speaks"]);
    assert_eq!(page.texts("samp > .stderr"), ["it speaks"]);
    let line = &page.texts(".recorded > .provenance")[0];
    for part in [
        "Recorded on ",
        ": Linux ",
        " core",
        "rustc 1.",
        "cargo book record demo hello",
    ] {
        assert!(line.contains(part), "no {part:?} in {line:?}");
    }
    assert!(!line.contains("changed"), "{line}");
}

#[test]
fn a_recorded_scene_can_be_shown_by_hand_and_does_not_run() {
    let project = counted(CHAPTER);
    project.builds(&["record", "demo"]);
    let said = project.builds(&["scene", "--recorded", "hello", "demo", "count"]);
    assert!(said.contains("it works"), "{said}");
    assert_eq!(runs(&project), 1);
}

#[test]
fn a_missing_recording_fails_the_build_and_the_command_that_makes_it_is_named() {
    let said = counted(CHAPTER).build_fails();
    for part in [
        "src/chapter.md:3: ",
        RECORDING,
        "`cargo book record demo hello`",
    ] {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
}

#[test]
fn a_recording_of_another_scene_fails_the_build_and_the_command_that_mends_it_is_named() {
    let project = counted(CHAPTER);
    project.builds(&["record", "demo"]);
    for changed in [
        CHAPTER.replace("'count'", "'count more'"),
        CHAPTER.replace("hello demo", "hello --fails 1 demo"),
        format!(
            "{CHAPTER}\n\n{}",
            CHAPTER.replace("'count'", "'count' 'count'")
        ),
    ] {
        project.chapter("chapter", &changed);
        let said = project.build_fails();
        assert!(said.contains("another scene"), "{said}");
        assert!(said.contains("`cargo book record demo hello`"), "{said}");
    }
    // A limit of time does not make it another scene.
    project.chapter(
        "chapter",
        &CHAPTER.replace("hello demo", "hello --deadline 99 demo"),
    );
    project.build();
}

#[test]
fn a_page_says_that_a_listing_has_changed_since_it_was_recorded() {
    let project = counted(CHAPTER);
    project.builds(&["record", "demo"]);
    for other in ["tests/x.rs", "recordings/other.json", "measurements.toml"] {
        project.write(format!("listings/demo/{other}"), "");
    }
    project.build();
    assert_eq!(project.page().texts(".changed"), [""; 0]);
    project.write("listings/demo/src/lib.rs", "");
    project.build();
    assert_eq!(
        project.page().texts(".provenance > .changed"),
        ["The listing demo has changed since."]
    );
    project.builds(&["record", "demo"]);
    project.build();
    assert_eq!(project.page().texts(".changed"), [""; 0]);
}

#[test]
fn a_damaged_recording_fails_the_build_and_can_be_made_anew() {
    let project = counted(CHAPTER);
    project.builds(&["record", "demo"]);
    let good = project.read(RECORDING);
    let newer = good.replace("\"version\":1", "\"version\":2");
    assert_ne!(good, newer);
    for damaged in ["", "{}", &good[..good.len() / 2], &newer] {
        project.write(RECORDING, damaged);
        let said = project.build_fails();
        assert!(said.contains(RECORDING), "{said}");
        assert!(said.contains("`cargo book record demo hello`"), "{said}");
    }
    project.builds(&["record", "demo", "hello"]);
    project.build();
}

/// Whoever sends a change to the book may have written anything into a recording.
#[test]
fn text_in_a_recording_stays_text() {
    let project = counted(CHAPTER);
    project.builds(&["record", "demo"]);
    let hostile = r#"</samp></pre></div>\n\n<script>alert(1)</script>\n\n<textarea>{{#include ../book.toml}}<!-- cmdrun echo gone -->\u001b[31m\u0007\u202e"#;
    let good = project.read(RECORDING);
    let mut bad = good.clone();
    for text in [
        "it works\\n",
        "it speaks\\n",
        "cargo run -q --release -p demo --bin count",
    ] {
        bad = bad.replacen(text, hostile, 1);
    }
    for key in ["date", "kernel", "cpu", "rustc"] {
        let start = bad.find(&format!("\"{key}\":\"")).expect(key) + key.len() + 4;
        let end = start + bad[start..].find('"').expect("the end of a string");
        bad.replace_range(start..end, hostile);
    }
    assert_ne!(good, bad);
    project.write(RECORDING, bad);
    project.build();
    let page = project.page();
    assert!(page.outputs()[0].contains("<script>alert(1)</script>"));
    assert!(page.outputs()[0].contains("{{#include ../book.toml}}"));
    assert!(page.commands()[0].contains("<textarea>"));
}

/// The fixture's stand-in for a program of the reader's machine.
fn tool(project: &Project, name: &str, text: &str) -> String {
    let path = project.path("bin").join(name);
    project.write(&path, format!("#!/bin/sh\n{text}\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let others = std::env::var("PATH").expect("a path");
    format!("{}:{others}", project.path("bin").display())
}

#[test]
fn a_recorded_scene_can_have_programs_of_this_machine() {
    let address = address();
    let text = format!(
        "<!-- cmdrun --strict book scene --recorded asked demo 'server' 'ask -n \"a b\" http://{address}/x' 'client' -->"
    );
    let mut project = Project::new(&text);
    project.deny_namespaces();
    let server = programs::server(address);
    let client = programs::client(address);
    let both = [("server", server.as_str()), ("client", client.as_str())];
    project.listing("demo", Some(address), &both);
    let path = tool(
        &project,
        "ask",
        "case $1 in --version) echo Ask version 7.8, no less;; *) printf '%s\\n' \"$@\";; esac",
    );
    // Somebody else has the documented port.
    let taken = std::net::TcpListener::bind(address).unwrap();
    project.builds_with(&["record", "demo"], &[("PATH", &path)]);
    drop(taken);
    project.build();
    let page = project.page();
    let (commands, outputs) = (page.commands(), page.outputs());
    assert_eq!(
        commands[0],
        "cargo run -q --release -p demo --bin server -- 127.0.0.1:0"
    );
    let moved = outputs[0]
        .strip_prefix("listening on ")
        .expect("an address");
    assert_eq!(commands[1], format!("ask -n 'a b' http://{moved}/x"));
    assert_eq!(outputs[1], format!("-n\na b\nhttp://{moved}/x"));
    assert_eq!(outputs[2], "welcome");
    let line = &page.texts(".provenance")[0];
    assert!(line.contains("ask 7.8, rustc 1."), "{line}");
}

#[test]
fn a_scene_that_is_not_recorded_has_no_programs_of_this_machine() {
    let said = counted("<!-- cmdrun --strict book scene demo 'sh -c x' -->").build_fails();
    assert!(said.contains("\"demo\" has no program \"sh\""), "{said}");
}

#[test]
fn a_program_that_is_missing_is_named_with_its_package_before_anything_runs() {
    let project = counted(&format!(
        "{CHAPTER}\n\n<!-- cmdrun --strict book scene --recorded other demo 'count' 'ab -n 1' 'cuont' -->"
    ));
    let none = project.path("none").display().to_string();
    let said = project.fails_with(&["record", "demo"], &[("PATH", &none)]);
    assert!(
        said.contains("\"ab\"") && said.contains("apache2-utils"),
        "{said}"
    );
    assert!(said.contains("\"cuont\""), "{said}");
    assert_eq!(runs(&project), 0);
    assert!(!project.path("listings/demo/recordings").exists());
}

#[test]
fn a_failure_leaves_the_old_recording_and_the_others_are_made() {
    let other = CHAPTER.replace("hello", "other");
    let project = counted(&format!("{CHAPTER}\n\n{other}"));
    project.builds(&["record", "demo", "hello"]);
    let good = project.read(RECORDING);
    assert!(!project.path("listings/demo/recordings/other.json").exists());
    let failing = CHAPTER.replace("hello demo", "hello --fails 1 demo");
    project.chapter("chapter", &format!("{failing}\n\n{other}"));
    let said = project.fails(&["record", "demo"]);
    assert!(
        said.contains("hello.json: the command failed")
            && said.contains("exit code 0 instead of 1"),
        "{said}"
    );
    assert_eq!(project.read(RECORDING), good);
    assert!(project.path("listings/demo/recordings/other.json").exists());
    assert_eq!(
        fs::read_dir(project.path("listings/demo/recordings"))
            .unwrap()
            .count(),
        2
    );
}

#[test]
fn what_cannot_be_recorded_is_refused_in_one_message() {
    let project = counted(CHAPTER);
    project.listing("empty", None, &[("hello", programs::HELLO)]);
    for (arguments, message) in [
        (
            &["record", "dmo"][..],
            "no listing \"dmo\"; did you mean \"demo\"?",
        ),
        (
            &["record", "demo", "helo"],
            "no recording \"helo\"; did you mean \"hello\"?",
        ),
        (&["record", "empty"], "nothing to record of \"empty\""),
    ] {
        let said = project.fails(arguments);
        assert!(said.contains(message), "no {message:?} in:\n{said}");
        assert_eq!(said.trim().lines().count(), 1, "{said}");
    }
    let two = CHAPTER.replace("'count'", "'count' 'count'");
    project.chapter("other", &two);
    let said = project.fails(&["record", "demo"]);
    assert!(
        said.contains("src/other.md:3: something else is recorded as \"hello\""),
        "{said}"
    );
    for name in ["../x", "UP", "a/b"] {
        project.chapter("other", &CHAPTER.replace("hello", name));
        let said = project.build_fails();
        assert!(said.contains("src/other.md:3: "), "{said}");
        assert!(said.contains("a name begins with a letter"), "{said}");
    }
    assert_eq!(runs(&project), 0);
}

/// Does `interrupt` to a recording under way: nobody is left, and nothing is lost.
#[track_caller]
fn interrupted(interrupt: impl FnOnce(rustix::process::Pid)) {
    let project = counted(CHAPTER);
    project.builds(&["record", "demo"]);
    let good = project.read(RECORDING);
    let witness = Witness::in_folder(&project.root);
    let family = programs::parent(&witness.path);
    project.listing("demo", None, &[("family", &family)]);
    let endless = CHAPTER.replace("hello demo 'count'", "hello --deadline 600 demo 'family'");
    project.chapter("chapter", &endless);
    let run = project.start(&["record", "demo"]);
    witness.wait_for(&programs::FAMILY);
    interrupt(run.pid);
    assert!(!run.end().status.success());
    witness.wait_for_the_end_of_all();
    assert_eq!(project.read(RECORDING), good);
}

#[test]
fn ctrl_c_ends_a_recording_and_keeps_the_old_one() {
    interrupted(|tool| kill_process_group(tool, Signal::INT).unwrap());
}

#[test]
fn killing_the_tool_ends_a_recording_and_keeps_the_old_one() {
    interrupted(|tool| kill_process(tool, Signal::KILL).unwrap());
}
