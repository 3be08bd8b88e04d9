//! Two builds at the same time do not disturb each other.

mod fixture;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use fixture::{Project, Run, address, programs, receive};
use tempfile::TempDir;

/// A place where the programs of several builds meet: each connects, and goes on when it is told to. It has a path, since scenes have
/// networks of their own, and files in common.
struct Meeting {
    listener: UnixListener,
    folder: TempDir,
}

impl Meeting {
    fn new() -> Meeting {
        let folder = TempDir::new().expect("a temporary folder");
        Meeting {
            listener: UnixListener::bind(folder.path().join("here")).expect("a socket"),
            folder,
        }
    }

    /// A program that asks the server at `documented` for its answer when it has been at the meeting.
    fn client(&self, documented: SocketAddr) -> String {
        let here = self.folder.path().join("here");
        let attend = format!(
            "std::os::unix::net::UnixStream::connect({here:?})?.read_exact(&mut [0])?;\n    let address ="
        );
        programs::client(documented).replace("let address =", &attend)
    }

    /// Waits until `count` of them are there.
    #[track_caller]
    fn wait_for(&self, count: usize) -> Vec<UnixStream> {
        let listener = self.listener.try_clone().expect("a second handle");
        let (sender, streams) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming().take(count) {
                let _ = sender.send(stream.expect("a connection"));
            }
        });
        (0..count).map(|_| receive(&streams, "a program")).collect()
    }
}

fn go_on(streams: Vec<UnixStream>) {
    for mut stream in streams {
        stream.write_all(b".").expect("the program waits");
    }
}

const SCENE: &str = "<!-- cmdrun --strict book scene --deadline 60 demo 'server' 'client' -->";

/// A project with a server and a client that goes to `meeting` before it asks it.
fn project(chapter: &str, documented: SocketAddr, meeting: &Meeting) -> Project {
    Project::with_listing(
        chapter,
        Some(documented),
        &[
            ("server", &programs::server(documented)),
            ("client", &meeting.client(documented)),
        ],
    )
}

#[track_caller]
fn succeeds(run: Run) {
    let outcome = run.end();
    assert!(outcome.status.success(), "it said:\n{}", outcome.said);
}

/// The address that a page shows, of a scene that went as it should.
#[track_caller]
fn shown(project: &Project) -> SocketAddr {
    let page = project.page();
    let outputs = page.outputs();
    assert_eq!(outputs[1], "welcome");
    let address: SocketAddr = outputs[0]["listening on ".len()..].parse().unwrap();
    let command = "cargo run -q -p demo --bin client";
    let moved = format!("{command} -- {address}");
    assert!([command, &moved].contains(&page.commands()[1].as_str()));
    address
}

#[test]
#[ignore = "needs namespaces"]
fn two_builds_at_once_both_show_the_documented_address() {
    let (documented, meeting) = (address(), Meeting::new());
    let first = project(SCENE, documented, &meeting);
    let second = project(SCENE, documented, &meeting);
    let runs = [first.start(&["build"]), second.start(&["build"])];
    // Both servers listen now.
    go_on(meeting.wait_for(2));
    runs.into_iter().for_each(succeeds);
    assert_eq!([shown(&first), shown(&second)], [documented; 2]);
}

/// The second project also has a command that says when its build has come that far.
#[test]
fn two_projects_that_document_one_address_take_turns_at_it() {
    let (documented, meeting) = (address(), Meeting::new());
    let mut first = project(SCENE, documented, &meeting);
    let fifo = first.path("fifo");
    let status = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(status.expect("mkfifo starts").success());
    // If it did not wait for its turn, its scene would begin within that second.
    let said = format!("sleep 1; echo x > {}", fifo.display());
    let chapter = format!("{SCENE}\n\n<!-- cmdrun {said} -->");
    let mut second = project(&chapter, documented, &meeting);
    first.deny_namespaces();
    second.deny_namespaces();

    let first_run = first.start(&["build"]);
    let client = meeting.wait_for(1);
    let second_run = second.start_with(&["build"], &first.temporary());
    assert_eq!(wait_for_line(&fifo), "x\n");
    go_on(client);
    succeeds(first_run);
    go_on(meeting.wait_for(1));
    succeeds(second_run);
    assert_eq!(shown(&first), documented);
    assert_eq!(shown(&second), documented);
}

/// Opening a FIFO takes until somebody opens its other end.
#[track_caller]
fn wait_for_line(fifo: &Path) -> String {
    let (sender, line) = mpsc::channel();
    let fifo = fifo.to_owned();
    thread::spawn(move || {
        let mut text = String::new();
        let mut file = std::fs::File::open(fifo).expect("a FIFO");
        file.read_to_string(&mut text).expect("a line");
        let _ = sender.send(text);
    });
    receive(&line, "a line")
}

/// Those of two users, say, that have no folder for temporary files in common.
#[test]
fn two_projects_that_cannot_take_turns_do_not_disturb_each_other() {
    let (documented, meeting) = (address(), Meeting::new());
    let mut first = project(SCENE, documented, &meeting);
    let mut second = project(SCENE, documented, &meeting);
    first.deny_namespaces();
    second.deny_namespaces();
    let runs = [first.start(&["build"]), second.start(&["build"])];
    // Both servers listen now.
    go_on(meeting.wait_for(2));
    runs.into_iter().for_each(succeeds);
    let (first, second) = (shown(&first), shown(&second));
    assert_ne!(first, second);
    assert!([first, second].contains(&documented));
}

/// Each compiles the listing, too, and puts the programs where the other one starts them.
#[test]
fn two_builds_of_one_project_succeed() {
    let (documented, meeting) = (address(), Meeting::new());
    let project = project(SCENE, documented, &meeting);
    for _ in 0..3 {
        let runs = [&["build", "--fresh"], &["build", "--fresh"]].map(|words| project.start(words));
        // Where there are no namespaces, the second scene has its turn when the first one is over.
        go_on(meeting.wait_for(1));
        go_on(meeting.wait_for(1));
        runs.into_iter().for_each(succeeds);
        assert_eq!(shown(&project), documented);
        project.assert_tidy();
    }
}
