//! Replays: how a recorded story is shown, what is refused, and whether the repository's own ones are whole.

mod fixture;
mod repository;
mod served;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use fixture::{Project, address, programs, snapshot};
use regex::Regex;
use scraper::{ElementRef, Html, Selector};
use serde_json::{Value, json};
use served::Served;

const CHAPTER: &str = "Above.\n\n<!-- cmdrun --strict book scene --replay told demo 'hello' -->\n\nThen comes [](replay:told/hello:connect).";
const RECORDING: &str = "listings/demo/recordings/told.json";
const AGAIN: &str = "`cargo book record demo told`";

/// A line of it is shown beside the picture.
const HELLO: &str = r#"// </pre></figure><script>alert(1)</script> --> {{#include ../book.toml}}

// <svg onload=alert(1)>
fn main() {
    println!("hello");
}
"#;

/// How a text gets out of where it belongs, if it can.
const HOSTILE: &str = "</samp></code></pre></li></svg></details><script>alert(1)</script>--><svg onload=alert(1)>\n\n<textarea>\"'{{#include ../book.toml}}<!-- cmdrun echo gone -->\u{1b}[31m\u{7}\u{202e}";

/// A recording as the tool writes it, of a story that nobody has seen.
static TOLD: LazyLock<Value> = LazyLock::new(|| {
    let recorded = CHAPTER.replace("--replay", "--recorded").replace("[]", "");
    let project = Project::with_listing(&recorded, None, &[("hello", HELLO)]);
    project.builds(&["record", "demo"]);
    let mut recording: Value = serde_json::from_str(&project.read(RECORDING)).expect("JSON");
    let source = json!({"file": "listings/demo/src/bin/hello.rs", "line": 5});
    let here = json!({"lane": 0, "address": "127.0.0.1:40000"});
    let there = json!({"lane": 1, "address": "127.0.0.1:7"});
    let story = json!({
        "programs": [{"command": "cargo run -q -p demo --bin hello", "exit_code": 0}],
        "lanes": [{"name": "hello", "program": 0}, {"name": "nobody"}],
        "calls": [
            {"lane": 0, "name": "socket", "text": "socket(AF_INET, SOCK_STREAM)", "result": "3",
             "start": 0, "end": 10, "source": source},
            {"lane": 0, "name": "connect", "text": "connect(3, 127.0.0.1:7)", "failed": true,
             "result": "ECONNREFUSED (Connection refused)", "start": 20, "end": 50},
            {"lane": 0, "name": "write", "text": "write(1, \"hello\\n\")", "result": "6", "start": 60,
             "end": 70, "source": source, "output": {"stream": "stdout", "text": "hello\n"}},
            {"lane": 0, "name": "read", "text": "read(0)", "start": 80},
        ],
        "packets": [
            {"time": 30, "from": here, "to": there, "protocol": "tcp", "flags": "SYN", "sequence": 0,
             "length": 0},
            {"time": 40, "from": there, "to": here, "protocol": "tcp", "flags": "RST-ACK",
             "sequence": 0, "acknowledgement": 1, "length": 0},
        ],
    });
    let words = recording["content"]["scene"]["words"].take();
    recording["content"] = json!({"story": {"words": words, "story": story}});
    recording
});

/// A project whose only scene has a replay.
fn told(chapter: &str, recording: &Value) -> Project {
    let project = Project::with_listing(chapter, None, &[("hello", HELLO)]);
    project.write(RECORDING, recording.to_string());
    project
}

/// [`TOLD`] with another story.
fn with(change: impl FnOnce(&mut Value)) -> Value {
    let mut recording = TOLD.clone();
    change(&mut recording["content"]["story"]["story"]);
    recording
}

/// Fails unless a build fails with all of these words.
#[track_caller]
fn is_refused(project: &Project, words: &[&str]) {
    let said = project.build_fails();
    for word in words {
        assert!(said.contains(word), "no {word:?} in:\n{said}");
    }
}

#[test]
fn a_recorded_story_is_drawn_beneath_its_scene_and_text_leads_to_its_steps() {
    let project = told(CHAPTER, &TOLD);
    project.build();
    let page = project.page();
    assert_eq!(page.outputs(), ["hello"]);
    assert_eq!(page.texts("details.replayed[open] figure#told").len(), 1);
    assert_eq!(page.texts("figure ol > li").len(), 7);
    assert_eq!(page.texts("a[href='#told-2']"), ["step 2"]);
    assert_eq!(page.texts("#told-2").len(), 1);
    let line = &page.texts("figure .provenance")[0];
    assert!(
        line.contains("cargo book record demo told") && !line.contains("changed"),
        "{line}"
    );
}

#[test]
fn a_file_that_is_not_a_recording_fails_the_build_and_can_be_made_anew() {
    let good = TOLD.to_string();
    let version = "\"version\":1";
    assert!(good.contains(version));
    let project = told(CHAPTER, &TOLD);
    for (text, reason) in [
        (String::new(), "EOF"),
        ("{}".into(), "missing field"),
        (good[..good.len() / 2].into(), "EOF"),
        (format!("{good}x"), "trailing characters"),
        (good.replace(version, "\"version\":2"), "of another version"),
    ] {
        project.write(RECORDING, text);
        is_refused(&project, &["src/chapter.md:3: ", RECORDING, reason, AGAIN]);
    }
}

/// Whoever opens a pipe waits for whoever writes to it, and a device may never end.
#[test]
fn what_is_no_file_or_too_long_fails_the_build_at_once() {
    let project = told(CHAPTER, &TOLD);
    let path = project.path(RECORDING);
    let at_once = |reason: &str| {
        is_refused(&project, &["src/chapter.md:3: ", RECORDING, reason]);
        fs::remove_file(&path)
            .or_else(|_| fs::remove_dir(&path))
            .unwrap();
    };
    fs::remove_file(&path).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
    at_once("no regular file");
    std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
    at_once("no regular file");
    fs::create_dir(&path).unwrap();
    at_once("no regular file");
    std::os::unix::fs::symlink("told.json", &path).unwrap();
    at_once("symbolic links");
    fs::write(&path, " ".repeat(2 << 20)).unwrap();
    at_once("it has more than 1024 KiB");
    project.write(RECORDING, with(long).to_string());
    at_once("the story is too long");
}

fn long(story: &mut Value) {
    story["programs"] = json!(vec![json!({"command": "x"}); 5_000]);
}

#[test]
fn a_recording_cannot_say_more_than_text_in_a_terminal() {
    let project = told(CHAPTER, &TOLD);
    let strange = "\u{1b}[2J\u{1b}]0;title\u{7}\u{61c}";
    let mut file = TOLD.clone();
    file[format!("x{strange}")] = json!(1);
    let path = format!("listings/demo/src/{strange}.rs");
    let source = with(|story| story["calls"][0]["source"]["file"] = json!(path));
    for recording in [file, source] {
        project.write(RECORDING, recording.to_string());
        let said = project.build_fails();
        assert!(!said.contains(['\u{1b}', '\u{7}', '\u{61c}']), "{said:?}");
    }
}

#[test]
fn a_replay_that_is_called_like_a_step_of_another_one_is_refused() {
    let second = "listings/demo/recordings/told-7.json";
    let chapter = format!(
        "{CHAPTER}\n\n{}",
        CHAPTER.replace("told demo", "told-7 demo")
    );
    let project = told(&chapter, &TOLD);
    project.write(second, TOLD.to_string());
    is_refused(&project, &["src/chapter.md:9: ", "called like a step"]);
    // It has no eighth step.
    project.write(second.replace('7', "8"), TOLD.to_string());
    project.chapter("chapter", &chapter.replace("told-7", "told-8"));
    project.build();
}

#[test]
fn a_damaged_story_fails_the_build_with_its_reason() {
    type Damage = fn(&mut Value);
    let damages: [(Damage, &str); 14] = [
        (|story| story["x"] = json!(1), "unknown field `x`"),
        (
            |story| story["calls"][0]["x"] = json!(1),
            "unknown field `x`",
        ),
        (
            |story| story["packets"][0]["to"]["x"] = json!(1),
            "unknown field `x`",
        ),
        (
            |story| story["calls"][0]["start"] = json!(-1),
            "invalid value",
        ),
        (
            |story| story["packets"][0]["protocol"] = json!("sctp"),
            "unknown variant `sctp`",
        ),
        (|story| story["calls"][0]["lane"] = json!(2), "has no lane"),
        (
            |story| story["packets"][0]["to"]["lane"] = json!(2),
            "unknown lane",
        ),
        (
            |story| story["packets"][1]["from"]["lane"] = json!(9),
            "unknown lane",
        ),
        (
            |story| story["lanes"][0]["program"] = json!(1),
            "has no program",
        ),
        (
            |story| story["lanes"][1]["name"] = json!("hello"),
            "the same name",
        ),
        (
            |story| story["calls"][2]["end"] = json!(59),
            "ends before it begins",
        ),
        (
            |story| story["calls"][3]["end"] = json!(90),
            "an end or a result",
        ),
        (
            |story| story["calls"][3]["start"] = json!(1),
            "not in order",
        ),
        (
            |story| story["packets"][1]["time"] = json!(1),
            "not in order",
        ),
    ];
    let project = told(CHAPTER, &TOLD);
    for (damage, reason) in damages {
        project.write(RECORDING, with(damage).to_string());
        is_refused(&project, &["src/chapter.md:3: ", RECORDING, reason, AGAIN]);
    }
}

/// Numbers that no scene has.
#[test]
fn a_story_of_extremes_is_drawn() {
    let project = told(
        CHAPTER,
        &with(|story| {
            story["programs"][0]["threads_left_out"] = json!(u32::MAX);
            story["packets_left_out"] = json!(u32::MAX);
            story["lanes"][0]["calls_left_out"] = json!(u32::MAX);
            story["calls"][0]["source"]["line"] = json!(u32::MAX);
            story["calls"][2]["source"]["line"] = json!(0);
            story["calls"][3]["start"] = json!(u64::MAX);
            story["packets"][0]["length"] = json!(u64::MAX);
            story["packets"][1]["acknowledgement"] = json!(u32::MAX);
        }),
    );
    project.build();
    assert_eq!(project.page().texts("figure ol > li").len(), 7);

    let nothing = with(|story| {
        for name in ["programs", "lanes", "calls", "packets"] {
            story[name] = json!([]);
        }
    });
    let project = told(
        "<!-- cmdrun --strict book scene --replay told demo 'hello' -->",
        &nothing,
    );
    project.build();
    assert_eq!(project.page().texts("figure ol > li").len(), 0);
}

#[test]
fn a_replay_of_another_scene_or_of_none_fails_the_build() {
    let project = told(&CHAPTER.replace("'hello'", "'hello more'"), &TOLD);
    is_refused(&project, &["src/chapter.md:3: another scene", AGAIN]);
    project.chapter(
        "chapter",
        &CHAPTER.replace("told demo", "told --fails 1 demo"),
    );
    is_refused(&project, &["src/chapter.md:3: another scene", AGAIN]);

    // What has been recorded for `--recorded` is no story.
    let mut scene = TOLD.clone();
    let words = scene["content"]["story"]["words"].take();
    scene["content"] = json!({"scene": {"words": words, "terminals": []}});
    project.chapter("chapter", CHAPTER);
    project.write(RECORDING, scene.to_string());
    is_refused(&project, &["src/chapter.md:3: another scene", AGAIN]);

    fs::remove_file(project.path(RECORDING)).expect("it was there");
    is_refused(
        &project,
        &["src/chapter.md:3: there is no ", RECORDING, AGAIN],
    );
}

#[test]
fn a_replay_of_a_listing_that_has_changed_fails_a_build_and_a_served_page_says_so() {
    let project = told(CHAPTER, &TOLD);
    project.write("listings/demo/tests/x.rs", "");
    project.build();
    project.write("listings/demo/src/lib.rs", "");
    is_refused(
        &project,
        &["src/chapter.md:3: The listing demo has changed", AGAIN],
    );
    let served = Served::start(&project);
    let page = served.get("/chapter.html").text();
    assert!(page.contains("id=\"told\""), "{page}");
    let note = "<strong class=\"changed\">The listing demo has changed since.</strong>";
    assert!(page.contains(note), "{page}");
}

#[test]
fn a_link_to_a_step_that_is_not_there_fails_the_build_with_a_suggestion() {
    let project = told(CHAPTER, &TOLD);
    for (link, words) in [
        (
            "told/hello:conect",
            "src/chapter.md:5: the replay \"told\" has no step \"hello:conect\"; did you mean \"hello:connect\"?",
        ),
        (
            "tolt/hello:connect",
            "src/chapter.md:5: this chapter has no replay \"tolt\"; did you mean \"told\"?",
        ),
        (
            "told/",
            "src/chapter.md:5: the replay \"told\" has no step \"\"; there are: hello:",
        ),
    ] {
        let chapter = CHAPTER.replace("told/hello:connect", link);
        project.chapter("chapter", &chapter);
        is_refused(&project, &[words]);
    }
    project.chapter("chapter", CHAPTER);
    project.chapter("other", "As [this](replay:told/hello:connect) shows.");
    is_refused(
        &project,
        &["src/other.md:1: this chapter has no replay \"told\"; there is none"],
    );
}

#[test]
fn two_replays_of_one_name_are_refused_on_one_page_only() {
    let twice = format!("{CHAPTER}\n\n{CHAPTER}");
    let project = told(&twice, &TOLD);
    is_refused(
        &project,
        &["src/chapter.md:9: two replays are called \"told\""],
    );
    project.chapter("chapter", CHAPTER);
    project.chapter("other", CHAPTER);
    project.build();
    for chapter in ["chapter", "other"] {
        let page = project.page_of(chapter);
        assert_eq!(page.texts("figure#told").len(), 1);
    }
}

/// Whoever sends a change to the book may have written anything into a recording.
#[test]
fn a_story_that_names_a_file_outside_its_listings_is_refused() {
    let project = told(CHAPTER, &TOLD);
    project.listing("other", None, &[("hello", HELLO)]);
    for file in [
        "/etc/passwd",
        "book.toml",
        "../../etc/passwd",
        "listings/demo/Cargo.toml",
        "listings/demo/src",
        "listings/demo/src/../../../book.toml",
        "listings/demo/src/bin/../../../../book.toml",
        "listings/other/src/bin/hello.rs",
    ] {
        let recording = with(|story| story["calls"][0]["source"]["file"] = json!(file));
        project.write(RECORDING, recording.to_string());
        let refusal = format!("src/chapter.md:3: the story names {file:?}");
        is_refused(&project, &[&refusal, "which is not in its listings"]);
    }
    let missing = "listings/demo/src/bin/no.rs";
    let recording = with(|story| story["calls"][0]["source"]["file"] = json!(missing));
    project.write(RECORDING, recording.to_string());
    is_refused(&project, &["src/chapter.md:3: cannot read", missing]);
}

/// Replaces every text of a story.
fn make_hostile(value: &mut Value, key: &str) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| make_hostile(value, key)),
        Value::Object(values) => values
            .iter_mut()
            .for_each(|(key, value)| make_hostile(value, key)),
        // Of these only some are possible.
        Value::String(_) if ["file", "stream", "protocol"].contains(&key) => {}
        Value::String(text) => *text = format!("{HOSTILE}{text}"),
        _ => {}
    }
}

#[test]
fn text_in_a_story_stays_text() {
    let mut recording = with(|story| {
        story["packets"][0]["data"] = json!("x");
        story["packets"][0]["length"] = json!(1);
        story["packets"][1]["tls"] = json!(["x"]);
        for end in ["from", "to"] {
            story["packets"][0][end]["state"] = json!("x");
        }
        story["calls"][3]["output"] = json!({"stream": "stderr", "text": "x"});
        make_hostile(story, "");
    });
    for name in ["date", "kernel", "cpu"] {
        recording["provenance"][name] = json!(HOSTILE);
    }
    recording["provenance"]["versions"] = json!({HOSTILE: HOSTILE});
    let scene = CHAPTER.split("Then").next().expect("a scene");
    let project = told(scene, &recording);
    project.build();
    // It looks for scripts, and whether the end of the chapter is where it belongs.
    let page = project.page();
    assert_eq!(page.texts("figure ol > li").len(), 7);
    assert_eq!(page.texts("figure svg").len(), 1);
    assert_eq!(page.texts("[onload]"), [""; 0]);
    let text = page.text();
    assert!(text.matches("<script>alert(1)</script>").count() > 20);
    assert!(text.contains("{{#include ../book.toml}}"));
    assert!(!text.contains("multilingual"), "a file has been included");
    assert!(text.contains("<!-- cmdrun echo gone -->"));
}

/// A scene that a test has recorded by watching it.
fn watched() -> Project {
    let address = address();
    let chapter = "<!-- cmdrun --strict book scene --replay told demo 'server' 'client' -->";
    let server = programs::server(address);
    let client = programs::client(address);
    let both = [("server", server.as_str()), ("client", client.as_str())];
    Project::with_listing(chapter, Some(address), &both)
}

/// The recordings of a project.
fn recordings(project: &Project) -> BTreeMap<PathBuf, Vec<u8>> {
    snapshot(&project.path("listings/demo/recordings"))
}

#[test]
#[ignore = "needs strace and namespaces"]
fn a_scene_that_has_been_watched_is_told_again_and_a_changed_story_is_noticed() {
    let project = watched();
    project.builds(&["record", "demo"]);
    project.build();
    let page = project.page();
    for step in [
        "server:accept",
        "client:connect",
        "client:SYN",
        "server:data",
        "client:recv",
    ] {
        let item = format!("figure#told li[data-name='{step}']");
        assert_eq!(page.texts(&item).len(), 1, "{step}");
    }
    project.builds(&["record", "--check", "demo"]);

    let good = project.read(RECORDING);
    let changed = good.replacen(
        "\"name\":\"accept\",\"text\":\"accept(",
        "\"name\":\"accept\",\"text\":\"except(",
        1,
    );
    assert_ne!(good, changed);
    project.write(RECORDING, &changed);
    let said = project.fails(&["record", "--check", "demo"]);
    for part in [RECORDING, AGAIN, "except(#)", "accept(#)"] {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
    assert_eq!(project.read(RECORDING), changed);
    project.builds(&["record", "demo", "told"]);
    project.builds(&["record", "--check"]);
}

/// A lane of the story is called like it.
#[test]
#[ignore = "needs strace and namespaces"]
fn a_program_may_be_called_nobody() {
    let program = r#"fn main() { let _ = std::net::TcpStream::connect("127.0.0.1:7"); }"#;
    let chapter = "<!-- cmdrun --strict book scene --replay told demo 'nobody' -->";
    let project = Project::with_listing(chapter, None, &[("nobody", program)]);
    project.builds(&["record", "demo"]);
    let story: Value = serde_json::from_str(&project.read(RECORDING)).unwrap();
    let lanes = &story["content"]["story"]["story"]["lanes"];
    assert_eq!(
        *lanes,
        json!([{"name": "nobody", "program": 0}, {"name": "nobody-2"}])
    );
}

#[test]
#[ignore = "needs strace and namespaces"]
fn the_committed_stories_of_daytime_are_told_again() {
    let output = Command::new(env!("CARGO_BIN_EXE_book"))
        .args(["record", "--check", "daytime"])
        .current_dir(repository::root())
        .output()
        .expect("the tool starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches(" still tells the story").count(), 5, "{said}");
}

/// A folder with a program in it that does nothing, for a path.
fn stand_in(project: &Project, name: &str) -> String {
    let path = project.path("bin").join(name);
    project.write(&path, "#!/bin/sh\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let others = std::env::var("PATH").expect("a path");
    format!("{}:{others}", project.path("bin").display())
}

#[test]
fn without_strace_nothing_is_recorded_and_one_message_says_so() {
    let project = told(CHAPTER, &TOLD);
    let before = recordings(&project);
    let none = project.path("none").display().to_string();
    for arguments in [&["record", "demo"][..], &["record"], &["record", "--check"]] {
        let said = project.fails_with(arguments, &[("PATH", &none)]);
        assert_eq!(
            said.trim(),
            "error: there is no program \"strace\" on the path; on Debian the package strace has it"
        );
    }
    assert_eq!(recordings(&project), before);
    assert!(!project.path("target").exists(), "something was compiled");
}

#[test]
fn where_namespaces_are_denied_nothing_is_recorded_and_one_message_says_so() {
    let mut project = told(CHAPTER, &TOLD);
    project.deny_namespaces();
    let before = recordings(&project);
    let path = stand_in(&project, "strace");
    for arguments in [&["record", "demo"][..], &["record", "--check"]] {
        let said = project.fails_with(arguments, &[("PATH", &path)]);
        let message = "error: a replay is recorded in a network namespace of its own: ";
        assert!(said.starts_with(message), "{said}");
        assert_eq!(said.trim().lines().count(), 1, "{said}");
    }
    assert_eq!(recordings(&project), before);
    assert!(!project.path("target").exists(), "something was compiled");
}

/// Scenes without a replay, and why.
const UNTOLD: [(&str, &str); 20] = [
    ("async-echo 'crowd'", A_THOUSAND),
    ("server-models 'threads' 'crowd'", A_THOUSAND),
    (
        "--input clients:number=1000 server-models 'event-loop' 'silent {clients} &' 'stopwatch'",
        A_THOUSAND,
    ),
    ("server-models 'event-loop' 'crowd'", A_THOUSAND),
    (
        "--input clients:number=1000 server-models 'tokio' 'silent {clients} &' 'stopwatch'",
        A_THOUSAND,
    ),
    ("server-models 'tokio' 'crowd'", A_THOUSAND),
    ("https 'roots'", NOBODY),
    ("resolve 'resolve' 'resolve 192.0.2.7 2001:db8::7'", NOBODY),
    (
        "--fails 1 resolve 'resolve-ipv4 localhost 2001:db8::7'",
        NOBODY,
    ),
    (
        "--fails 1 resolve 'resolve 192.0.2.7 www..example.com mail..example.com'",
        NOBODY,
    ),
    ("resolve 'resolve 0300.0.2.7'", NOBODY),
    ("--fails 2 resolve 'resolve -4 localhost'", NOBODY),
    ("sockets 'socket-types'", SUMS_UP),
    ("families 'families'", SUMS_UP),
    ("families 'addresses'", NOBODY),
    ("families 'parse'", NOBODY),
    ("families 'unix-path'", NOBODY),
    ("qotd 'both'", BOTH_ENDS),
    ("daytime 'both'", BOTH_ENDS),
    ("echo 'both'", BOTH_ENDS),
];
const A_THOUSAND: &str = "strace slows a thousand clients beyond their own timeouts";
const NOBODY: &str = "it connects to nobody over a network";
const SUMS_UP: &str =
    "one program tries many sockets one after another, and its answers are the point";

const BOTH_ENDS: &str =
    "until the thread has the server's socket, arrows lead back to the lane that they come from";

/// The scenes of all chapters: the chapter, the name of the replay, the words behind that.
fn scenes() -> Vec<(String, Option<String>, String)> {
    let scene =
        Regex::new(r"<!-- cmdrun --strict book scene (?:--server )?(?:--replay (\S+) )?(.*) -->");
    let scene = scene.expect("a valid pattern");
    let mut scenes = Vec::new();
    for chapter in repository::chapters() {
        let text = repository::read(format!("src/{chapter}.md"));
        for found in scene.captures_iter(&text) {
            let replay = found.get(1).map(|name| name.as_str().to_owned());
            scenes.push((chapter.clone(), replay, found[2].to_owned()));
        }
    }
    scenes
}

#[test]
fn every_scene_has_a_replay_but_those_with_a_reason() {
    let scenes = scenes();
    let untold = scenes
        .iter()
        .filter(|(_, replay, words)| replay.is_none() && !words.contains("--recorded "));
    let untold: BTreeSet<&str> = untold.map(|(_, _, words)| words.as_str()).collect();
    assert_eq!(untold, UNTOLD.map(|(words, _)| words).into());
}

/// The stories of all listings, by their names.
fn stories() -> BTreeMap<String, Value> {
    let mut stories = BTreeMap::new();
    for listing in repository::listings() {
        let folder = repository::root().join(format!("listings/{listing}/recordings"));
        let Ok(entries) = fs::read_dir(folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.expect("an entry").path();
            let name = path.file_stem().and_then(|name| name.to_str());
            let text = fs::read_to_string(&path).expect("text");
            let mut recording: Value = serde_json::from_str(&text).expect("JSON");
            let story = recording["content"]["story"]["story"].take();
            if story.is_object() {
                assert!(text.len() <= 64 * 1024, "{} is too long", path.display());
                let name = name.expect("a name").to_owned();
                let other = stories.insert(name, story);
                assert!(other.is_none(), "two are called {}", path.display());
            }
        }
    }
    stories
}

#[test]
fn every_story_is_shown_and_small() {
    let shown: BTreeSet<String> = scenes().into_iter().filter_map(|scene| scene.1).collect();
    assert_eq!(stories().into_keys().collect::<BTreeSet<_>>(), shown);
}

fn all<'a>(parent: ElementRef<'a>, selector: &str) -> Vec<ElementRef<'a>> {
    let selector = Selector::parse(selector).expect("a valid selector");
    parent.select(&selector).collect()
}

#[test]
fn every_call_and_every_packet_is_on_its_page_exactly_once() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("replays");
    let output = Command::new(env!("CARGO_BIN_EXE_book"))
        .args(["build", "--dest-dir"])
        .arg(&folder)
        .current_dir(repository::root())
        .output()
        .expect("the tool starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let stories = stories();
    for (chapter, replay, _) in scenes() {
        let Some(name) = replay else {
            continue;
        };
        let page = fs::read_to_string(folder.join(format!("{chapter}.html"))).expect("a page");
        let page = Html::parse_document(&page);
        let figures = all(page.root_element(), &format!("figure.replay[id='{name}']"));
        let [figure] = figures[..] else {
            panic!("{name} is {} times in {chapter}", figures.len());
        };
        tells(&name, figure, &stories[&name]);
    }
}

/// Fails unless `figure` tells the calls and the packets of `story`, in its order, in picture and words.
#[track_caller]
fn tells(name: &str, figure: ElementRef, story: &Value) {
    let drawn = |class: &str| all(figure, &format!("svg g.step{class}")).len();
    let items = all(figure, "details.words > ol > li");
    assert_eq!(drawn(""), items.len(), "{name}");
    let (calls, packets) = (list(story, "calls"), list(story, "packets"));
    assert_eq!(drawn(".at-once") + drawn(".begins"), calls.len(), "{name}");
    assert_eq!(drawn(".packet"), packets.len(), "{name}");
    let open = calls.iter().filter(|call| call["end"].is_null()).count();
    assert_eq!(drawn(".returns") + open, drawn(".begins"), "{name}");

    let mut names = BTreeSet::new();
    let (mut calls, mut packets) = (calls.iter(), packets.iter());
    for (index, item) in items.iter().enumerate() {
        let number = (index + 1).to_string();
        assert_eq!(item.attr("data-step"), Some(&*number), "{name}");
        let step = format!("svg g.step[id='{name}-{number}']");
        let steps = all(figure, &step);
        let [step] = steps[..] else {
            panic!("{name} has {} steps {number}", steps.len());
        };
        let own = item.attr("data-name").expect("a name");
        assert!(names.insert(own), "{name} has two steps {own}");
        let text: String = item.text().collect();
        let is = |class: &str| step.value().classes().any(|own| own == class);
        if is("packet") {
            let packet = packets.next().expect("a packet");
            for end in ["from", "to"] {
                let address = packet[end]["address"].as_str().expect("an address");
                assert!(text.contains(&format!("({address})")), "{name}: {text}");
            }
        } else if !is("returns") {
            let call = calls.next().expect("a call");
            let lane = call["lane"].to_string();
            assert_eq!(item.attr("data-lane"), Some(&*lane), "{name}: {text}");
            let code = all(*item, "code");
            let shown: String = code.first().expect("a call").text().collect();
            let call = call["text"].as_str().expect("a text");
            // What cannot be shown has another sign in its place.
            if call
                .chars()
                .all(|character| (' '..='~').contains(&character))
            {
                assert_eq!(shown, call, "{name}");
            }
        }
    }
}

fn list<'a>(story: &'a Value, name: &str) -> &'a Vec<Value> {
    story[name].as_array().expect("a list")
}
