//! A page of the served book that runs scenes and changes listings, as a browser would do it for a reader, or for an attacker.

// Every file of tests is a program of its own, and none needs all of this.
#![allow(dead_code)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fixture::{DEADLINE, Project};
use crate::served::{Response, Served, ask_raw, connect, request};

/// The program of the listing `demo` that a reader may change.
pub const PROGRAM: &str = "src/bin/main.rs";

/// The id of the only scene of the only chapter.
pub const SCENE: &str = "chapter-1";

/// A page that was opened with the token.
pub struct Bench {
    port: u16,
    pub cookie: String,
}

impl Bench {
    /// Opens the address that the tool has printed.
    #[track_caller]
    pub fn open(served: &Served) -> Bench {
        let opened = served.get(&format!("/?token={}", served.token()));
        assert_eq!(opened.status, 303, "{opened:?}");
        assert_eq!(opened.header("location"), "/");
        let name = format!("workbench-{}=", served.port());
        let cookie = opened.header("set-cookie").split(';').next();
        let cookie = cookie.filter(|cookie| cookie.starts_with(&name));
        Bench {
            port: served.port(),
            cookie: cookie.expect("a cookie").into(),
        }
    }

    /// The headers of a page's own request.
    pub fn headers(&self) -> Vec<String> {
        vec![
            format!("Host: 127.0.0.1:{}", self.port),
            format!("Origin: http://127.0.0.1:{}", self.port),
            format!("Cookie: {}", self.cookie),
            "Content-Type: application/json".into(),
        ]
    }

    /// The answer to a request of a page.
    #[track_caller]
    pub fn ask(&self, what: &str, body: &str) -> Response {
        self.ask_with(what, &self.headers(), body)
    }

    /// The same with other headers.
    #[track_caller]
    pub fn ask_with(&self, what: &str, headers: &[String], body: &str) -> Response {
        ask_raw(self.port, &post(what, headers, body))
    }

    /// Fails unless a page's request is refused with `status`. Returns the reason.
    #[track_caller]
    pub fn refused(&self, what: &str, body: &str, status: u16) -> String {
        let response = self.ask(what, body);
        assert_eq!(response.status, status, "{body:.200}: {response:?}");
        let reason: Value = serde_json::from_slice(&response.body).expect("JSON");
        let error = reason["error"].as_str().expect("a reason");
        assert!(!error.is_empty() && !error.contains('\n'), "{error:?}");
        error.into()
    }

    /// Sends a request to run something; the answer may be anything.
    pub fn send(&self, body: &Value) -> TcpStream {
        let mut stream = connect(self.port);
        let request = post("run", &self.headers(), &body.to_string());
        stream.write_all(&request).expect("it takes the request");
        stream
    }

    /// Runs something.
    #[track_caller]
    pub fn run(&self, body: &Value) -> Running {
        let mut stream = BufReader::new(self.send(body));
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let length = stream.read_line(&mut head).expect("an answer in time");
            assert_ne!(length, 0, "{head}");
        }
        let head = head.to_lowercase();
        assert!(head.starts_with("http/1.1 200 "), "{head}");
        assert!(head.contains("content-type: text/event-stream"), "{head}");
        assert!(head.contains("cache-control: no-store"), "{head}");
        Running { stream }
    }

    /// Runs the scene with another text for its program.
    #[track_caller]
    pub fn change(&self, text: &str) -> Running {
        self.run(&changed(text))
    }
}

/// What to ask for, to run the scene with another text for its program.
pub fn changed(text: &str) -> Value {
    json!({"scene": SCENE, "changes": {"demo": {PROGRAM: text}}})
}

/// A request to the workbench.
pub fn post(what: &str, headers: &[String], body: &str) -> Vec<u8> {
    let length = format!("Content-Length: {}", body.len());
    let headers: Vec<&str> = headers
        .iter()
        .map(String::as_str)
        .chain([&*length])
        .collect();
    let mut bytes = request(&format!("POST /__workbench/{what} HTTP/1.1"), &headers);
    bytes.extend(body.bytes());
    bytes
}

/// A run, told event by event. Dropping it closes the connection.
pub struct Running {
    stream: BufReader<TcpStream>,
}

impl Running {
    /// The next event; none at the end.
    #[track_caller]
    pub fn event(&mut self) -> Option<Value> {
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).expect("a line in time") == 0 {
                return None;
            }
            if let Some(event) = line.strip_prefix("data: ") {
                return Some(serde_json::from_str(event).expect("an event"));
            }
        }
    }

    /// Waits for an event of this kind.
    #[track_caller]
    pub fn wait_for(&mut self, kind: &str) -> Value {
        let mut seen = Vec::new();
        while let Some(event) = self.event() {
            if event["event"] == kind {
                return event;
            }
            seen.push(event);
        }
        panic!("no {kind:?}, but {seen:?}");
    }

    /// Waits until a program has printed `text`.
    #[track_caller]
    pub fn wait_for_print(&mut self, text: &str) {
        while !self.wait_for("print")["text"]
            .as_str()
            .expect("a text")
            .contains(text)
        {}
    }

    /// All events that are still to come. The last one says how it ended.
    #[track_caller]
    pub fn end(mut self) -> Vec<Value> {
        let events: Vec<Value> = std::iter::from_fn(|| self.event()).collect();
        let last = events.last().expect("an event");
        assert!(
            last["event"] == "over" || last["event"] == "failed",
            "{last}"
        );
        events
    }

    /// All that is printed until the end, which must be a good one.
    #[track_caller]
    pub fn output(self) -> String {
        let events = self.end();
        assert_eq!(
            events.last(),
            Some(&json!({"event": "over"})),
            "{events:#?}"
        );
        let prints = events.iter().filter(|event| event["event"] == "print");
        prints
            .map(|event| event["text"].as_str().expect("a text"))
            .collect()
    }

    /// Why it has failed, as it must.
    #[track_caller]
    pub fn failure(self) -> String {
        let events = self.end();
        let last = events.last().expect("an event");
        assert_eq!(last["event"], "failed", "{events:#?}");
        last["message"].as_str().expect("a text").into()
    }

    /// Closes the connection, as whoever closes the tab does.
    pub fn close(self) {
        let _ = self.stream.get_ref().shutdown(Shutdown::Both);
    }
}

/// Waits until `is_so`.
#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < DEADLINE, "not in time: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Processes whose program, or one of whose arguments, is in the project: guards, cargo, and all that runs in a scene.
pub fn processes_of(project: &Project) -> Vec<String> {
    let root = project.root.as_os_str().as_encoded_bytes();
    let names_it = |bytes: &[u8]| bytes.windows(root.len()).any(|window| window == root);
    let processes = fs::read_dir("/proc")
        .expect("/proc")
        .flatten()
        .filter_map(|entry| {
            let path = entry.path();
            let words = fs::read(path.join("cmdline")).unwrap_or_default();
            let program = fs::read_link(path.join("exe")).unwrap_or_default();
            let folder = fs::read_link(path.join("cwd")).unwrap_or_default();
            let state = project.path("target/book");
            let is_its_own = names_it(&words)
                || names_it(program.as_os_str().as_encoded_bytes())
                || folder.starts_with(&state);
            let words = String::from_utf8_lossy(&words).replace('\0', " ");
            is_its_own.then(|| format!("{}: {words}", path.display()))
        });
    processes.collect()
}

/// What runs have left in the project that is not to be kept.
pub fn leftovers(project: &Project) -> Vec<String> {
    let mut found = Vec::new();
    for folder in [project.path("target/book"), project.temporary()] {
        let names = fs::read_dir(&folder).into_iter().flatten().flatten();
        let names = names.map(|entry| entry.file_name().into_string().expect("text"));
        let is_temporary = folder == project.temporary();
        found.extend(names.filter(|name| {
            // Those of addresses stay, as they do after a build.
            is_temporary && !name.ends_with(".lock")
                || name.starts_with("jobs-")
                || name.starts_with("scratch")
        }));
    }
    found
}

/// Waits until nothing is left of any run: no process and no file.
#[track_caller]
pub fn wait_until_nothing_is_left(project: &Project) {
    let start = Instant::now();
    loop {
        let left = (processes_of(project), leftovers(project));
        if left.0.is_empty() && left.1.is_empty() {
            return;
        }
        assert!(start.elapsed() < DEADLINE / 4, "still there: {left:#?}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Fails if anything of `folder` has changed while `act` acts.
#[track_caller]
pub fn unchanged(folder: &Path, act: impl FnOnce()) {
    let before = crate::fixture::snapshot(folder);
    act();
    assert!(
        crate::fixture::snapshot(folder) == before,
        "{folder:?} has changed"
    );
}
