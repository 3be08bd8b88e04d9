//! `book serve`: a page shows what its author has written last, and nothing is left of it in the end.

mod fixture;
mod gate;
mod served;

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use fixture::programs::{self, FAMILY};
use fixture::witness::Witness;
use fixture::{Project, snapshot};
use gate::Gate;
use rustix::process::Signal;
use served::Served;

/// Is in the chapter of every project here.
const TEXT: &str = "These words are on the page.";

const CHAPTER: &str = "src/chapter.md";
const PROGRAM: &str = "listings/demo/src/bin/main.rs";
const SCENE: &str = "<!-- cmdrun --strict book scene --deadline 60 demo 'main' -->";

/// A program for a listing that prints `text`.
fn prints(text: &str) -> String {
    format!("fn main() {{\n    println!({text:?});\n}}\n")
}

#[test]
fn every_file_is_served_whole_and_with_its_type() {
    let project = Project::new(TEXT);
    let served = Served::start(&project);
    let files = snapshot(served.pages());
    for (path, bytes) in &files {
        let wanted = match path.extension().and_then(|extension| extension.to_str()) {
            Some("html") => "text/html",
            Some("css") => "text/css",
            Some("js") => "text/javascript",
            Some("svg") => "image/svg+xml",
            Some("png") => "image/png",
            Some("woff2") => "font/woff2",
            Some("txt") => "text/plain",
            None => "application/octet-stream",
            Some(other) => panic!("what is the type of .{other}?"),
        };
        let path = format!("/{}", path.display());
        let response = served.get(&path);
        assert_eq!(response.status, 200, "{path}");
        let kind = response.header("content-type");
        assert_eq!(kind.split(';').next(), Some(wanted), "{path}");
        assert_eq!(response.header("x-content-type-options"), "nosniff");
        assert_eq!(response.header("cache-control"), "no-store", "{path}");
        assert!(response.body == *bytes, "{path} is not what is in the file");
    }
    let home = served.get("/");
    assert_eq!(
        (home.status, home.header("content-type")),
        (200, "text/html")
    );
    assert!(home.text().contains(TEXT));
}

#[test]
fn an_unknown_path_gets_the_page_for_that() {
    let project = Project::new(TEXT);
    let served = Served::start(&project);
    let page = fs::read_to_string(served.pages().join("404.html")).expect("a page");
    for path in ["/no-such-page.html", "/no/such/folder/", "/chapter"] {
        let response = served.get(path);
        let kind = response.header("content-type");
        assert_eq!((response.status, kind), (404, "text/html"), "{path}");
        assert_eq!(response.text(), page, "{path}");
    }
}

/// Changes a file as many editors do: a new one takes its place.
fn edit(project: &Project, name: &str, text: &str) {
    let path = project.path(name);
    let file = path.file_name().expect("it has a name").display();
    let new = path.with_file_name(format!(".{file}.new"));
    fs::write(&new, text).expect("a file can be written");
    fs::rename(new, path).expect("a file can be replaced");
}

#[test]
fn an_edit_of_a_chapter_reloads_its_page() {
    let project = Project::new(TEXT);
    let served = Served::start(&project);
    let mut page = served.live_reload();
    project.chapter("chapter", "Somebody has changed them.");
    page.wait_for_reload();
    served.wait_for_page("/chapter.html", "Somebody has changed them.");
    assert!(!served.get("/chapter.html").text().contains(TEXT));

    edit(&project, CHAPTER, "Somebody has put another file there.");
    served.wait_for_page("/chapter.html", "Somebody has put another file there.");
}

#[test]
fn a_page_that_has_changed_before_its_websocket_opens_reloads() {
    let project = Project::new(TEXT);
    let served = Served::start(&project);
    let host = format!("Host: {}", served.host());
    let origin = format!("Origin: http://{}", served.host());
    let open = |cookies: &str| {
        let cookies = format!("Cookie: {cookies}");
        let socket = served.try_live_reload(&[&host, &origin, &cookies]);
        socket.unwrap_or_else(|response| panic!("no WebSocket, but {response:?}"))
    };
    let cookie = || {
        let page = served.get("/chapter.html");
        let cookie = page.header("set-cookie").split(';').next();
        cookie.map(String::from).expect("a cookie")
    };
    // A page that is told to reload comes with another cookie, or it would reload for ever.
    let assert_comes_to_rest = |others: &str| {
        let mut current = cookie();
        while !open(&format!("{others}{current}")).is_silent() {
            let newer = cookie();
            assert_ne!(newer, current, "it reloads for ever");
            current = newer;
        }
    };
    let old = cookie();
    assert_comes_to_rest("");
    edit(&project, CHAPTER, "Somebody has changed them.");
    served.wait_for_page("/chapter.html", "Somebody has changed them.");
    served.wait_for_line("built again");
    open(&old).wait_for_reload();
    assert_comes_to_rest("");

    // Other servers on this machine have cookies too: a browser sends them to every port.
    open(&format!("session=1; {old}; builder=7")).wait_for_reload();
    assert_comes_to_rest("session=1; builder=7; ");
}

#[test]
fn an_edit_of_a_listing_brings_its_new_output() {
    let old = prints("the old output");
    let project = Project::with_listing(SCENE, None, &[("main", &old)]);
    let served = Served::start(&project);
    assert!(
        served
            .get("/chapter.html")
            .text()
            .contains("the old output")
    );
    let mut page = served.live_reload();
    edit(&project, PROGRAM, &prints("the new output"));
    page.wait_for_reload();
    served.wait_for_page("/chapter.html", "the new output");
}

#[test]
fn an_edit_of_the_theme_or_the_table_of_contents_reloads() {
    let project = Project::new(TEXT);
    let served = Served::start(&project);
    project.chapter("second", "This is a new chapter.");
    served.wait_for_page("/second.html", "This is a new chapter.");
    served.wait_for_page("/toc.html", "second.html");
    let mut page = served.live_reload();
    edit(&project, "theme/book.css", "/* a new style */");
    page.wait_for_reload();
    let files = snapshot(served.pages());
    assert!(files.values().any(|file| file == b"/* a new style */"));
}

/// Replaces `file` by something broken, which must be said with all of `said`, and mends it: "the old words" in it become `words`.
#[track_caller]
fn break_and_mend(
    (project, served): (&Project, &Served),
    file: &str,
    broken: &str,
    said: &[&str],
    words: &str,
) {
    let mended = project.read(file).replace("the old words", words);
    let before = served.get("/chapter.html").text();
    edit(project, file, broken);
    served.wait_for_failure(said);
    assert_eq!(served.get("/chapter.html").text(), before);
    edit(project, file, &mended);
    served.wait_for_page("/chapter.html", words);
}

#[test]
fn a_mistake_is_named_with_its_line_and_the_old_pages_stay_until_it_is_mended() {
    let text = format!("Here are the old words.\n\n{SCENE}");
    let project = Project::with_listing(&text, None, &[("main", &prints("the old words"))]);
    let served = Served::start(&project);
    let book = (&project, &served);

    let typo = "One\n\n<!-- cmdrnu --strict true -->\n";
    let said = ["error: ", "src/chapter.md:3", "cmdrnu"];
    break_and_mend(book, CHAPTER, typo, &said, "the words after a typo");

    let original = project.read(CHAPTER);
    let original = original.replace("the words after a typo", "the old words");
    edit(&project, CHAPTER, &original);
    served.wait_for_page("/chapter.html", "Here are the old words.");
    let include = "One\n\nTwo\n\n{{#include ../no-such-file.rs}}\n";
    let said = ["error: ", "src/chapter.md:5", "no-such-file.rs"];
    break_and_mend(book, CHAPTER, include, &said, "the words after an include");

    let mistake = "fn main() {\n    let number: u8 = \"text\";\n}\n";
    let said = [
        "listings/demo/src/bin/main.rs:2",
        "E0308",
        "src/chapter.md:3",
    ];
    break_and_mend(
        book,
        PROGRAM,
        mistake,
        &said,
        "the words after a type error",
    );
}

#[test]
fn a_scene_that_fails_is_named_with_its_line_and_the_old_output_stays_until_it_is_mended() {
    let text = format!("One\n\n{SCENE}");
    let project = Project::with_listing(&text, None, &[("main", &prints("the old output"))]);
    let served = Served::start(&project);
    let failure = "fn main() {\n    eprintln!(\"a dead end\");\n    std::process::exit(3);\n}\n";
    edit(&project, PROGRAM, failure);
    served.wait_for_failure(&["src/chapter.md:3", "exit code 3", "a dead end"]);
    assert!(
        served
            .get("/chapter.html")
            .text()
            .contains("the old output")
    );
    edit(&project, PROGRAM, &prints("the new output"));
    served.wait_for_page("/chapter.html", "the new output");
}

#[test]
fn the_last_of_several_edits_is_on_the_page_though_they_came_during_a_build() {
    let mut gate = Gate::new();
    let old = prints("the old output");
    let project = Project::with_listing(SCENE, None, &[("main", &old)]);
    // The compilation takes as long as the test likes.
    project.write("listings/demo/build.rs", gate.program("compiled"));
    let mut served = Served::begin(&project);
    drop(gate.wait());
    served.wait_until_ready();

    edit(&project, PROGRAM, &prints("the new output"));
    let held = gate.wait();
    for number in 1..=5 {
        project.chapter("chapter", &format!("This is edit {number}.\n\n{SCENE}"));
    }
    gate.open();
    drop(held);
    served.wait_for_page("/chapter.html", "This is edit 5.");
    served.wait_for_page("/chapter.html", "the new output");
    assert!(
        served
            .get("/chapter.html")
            .text()
            .contains("This is edit 5.")
    );
}

#[test]
fn a_page_does_not_wait_for_a_slow_scene_and_says_so() {
    const NOTE: &str = "This scene has not ended since the last change.";
    let gate = Gate::new();
    let old = gate.program("the old output");
    let project = Project::with_listing(SCENE, None, &[("main", &old)]);
    let mut served = Served::begin(&project);
    drop(gate.wait());
    served.wait_until_ready();
    let page = served.get("/chapter.html").text();
    assert!(
        page.contains("the old output") && !page.contains(NOTE),
        "{page}"
    );

    edit(&project, PROGRAM, &gate.program("the new output"));
    let held = gate.wait();
    served.wait_for_page("/chapter.html", NOTE);
    edit(&project, CHAPTER, &format!("This is an edit.\n\n{SCENE}"));
    served.wait_for_page("/chapter.html", "This is an edit.");
    let page = served.get("/chapter.html").text();
    assert!(
        page.contains(NOTE) && page.contains("the old output"),
        "{page}"
    );
    drop(held);
    served.wait_for_page("/chapter.html", "the new output");
    let page = served.get("/chapter.html").text();
    assert!(
        !page.contains(NOTE) && !page.contains("the old output"),
        "{page}"
    );
    gate.assert_nobody_waits();
}

#[test]
fn a_taken_port_is_said_at_once() {
    for host in [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED] {
        let taken = TcpListener::bind((host, 0)).expect("a free port");
        let port = taken.local_addr().expect("an address").port().to_string();
        let project = Project::with_listing(SCENE, None, &[("main", &prints("no"))]);
        let said = project.fails(&["serve", "--no-open", "--port", &port]);
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains(&port) && said.contains("--port"), "{said}");
        assert!(!project.path("target").exists(), "it has built something");
    }
}

/// Stops the tool while a scene runs, whose program has children of its own; while a page has not waited for such a scene; and while
/// nothing runs.
#[track_caller]
fn assert_nothing_is_left_after(stop: impl Fn(&Served)) {
    let project = Project::new(TEXT);
    let witness = Witness::in_folder(&project.path("src"));
    let program = programs::parent(&witness.path);
    project.chapter("chapter", SCENE);
    project.listing("demo", None, &[("main", &program)]);
    let served = Served::begin(&project);
    witness.wait_for(&FAMILY);
    stop(&served);
    witness.wait_for_the_end_of_all();
    assert!(!served.end().success());

    let project = Project::with_listing(SCENE, None, &[("main", &prints("no children"))]);
    let witness = Witness::in_folder(&project.path("src"));
    let served = Served::start(&project);
    edit(&project, PROGRAM, &programs::parent(&witness.path));
    witness.wait_for(&FAMILY);
    stop(&served);
    witness.wait_for_the_end_of_all();
    assert!(!served.end().success());

    let project = Project::new(TEXT);
    let served = Served::start(&project);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, served.port()));
    let mut page = served.connect();
    stop(&served);
    assert!(!served.end().success());
    let _ = page.read(&mut [0]);
    let refused = TcpStream::connect(address).expect_err("nobody listens");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn nothing_is_left_after_ctrl_c() {
    assert_nothing_is_left_after(Served::press_ctrl_c);
}

#[test]
fn nothing_is_left_after_a_request_to_end() {
    assert_nothing_is_left_after(|served| served.signal(Signal::TERM));
}

#[test]
fn nothing_is_left_after_a_kill() {
    assert_nothing_is_left_after(|served| served.signal(Signal::KILL));
}
