//! Who may not run anything on a reader's machine, and what whoever may run something cannot do.

#![cfg(target_os = "linux")]

mod bench;
mod fixture;
mod gate;
mod served;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bench::{
    Bench, PROGRAM, SCENE, leftovers, post, processes_of, unchanged, wait_until_nothing_is_left,
};
use fixture::{Project, programs, scene};
use gate::Gate;
use serde_json::json;
use served::{Response, Served, request};

/// Is in the chapter of every project here.
const TEXT: &str = "Above.";

const WHATS: [&str; 3] = ["run", "listing", "patch"];

/// A request of each kind that a page may make.
fn right(what: &str) -> String {
    match what {
        "run" => json!({"scene": SCENE}),
        "listing" => json!({"listing": "demo"}),
        _ => json!({"listing": "demo", "changes": {PROGRAM: "fn main() {}\n"}}),
    }
    .to_string()
}

fn with_program(text: &str) -> Project {
    Project::with_listing(&scene("demo 'main'"), None, &[("main", text)])
}

/// No page of another site learns anything, or gets anything.
#[track_caller]
fn assert_refused(response: &Response, status: u16, attack: &str) {
    assert_eq!(response.status, status, "{attack}: {response:?}");
    let text = response.text();
    assert!(!text.contains("fn main"), "{attack}: {text}");
    assert!(
        !response.header("set-cookie").contains("workbench"),
        "{attack}"
    );
    for name in [
        "access-control-allow-origin",
        "access-control-allow-credentials",
        "access-control-allow-methods",
    ] {
        assert_eq!(response.header(name), "", "{attack}");
    }
}

/// The book is served, nothing runs, and a page of it may still run something.
#[track_caller]
fn assert_unimpressed(project: &Project, served: &Served, bench: &Bench) {
    assert!(served.get("/chapter.html").text().contains(TEXT));
    assert_eq!(
        (processes_of(project), leftovers(project)),
        (vec![], vec![])
    );
    assert_eq!(bench.run(&json!({"scene": SCENE})).output(), "hello\n");
    wait_until_nothing_is_left(project);
}

#[test]
fn without_the_cookie_nothing_is_answered() {
    let project = with_program(programs::HELLO);
    let served = Served::start(&project);
    let bench = Bench::open(&served);
    let (token, port) = (served.token(), served.port());
    let name = format!("workbench-{port}");
    let mut other = token.to_owned();
    other.replace_range(..1, if token.starts_with('0') { "1" } else { "0" });
    let headers = |more: &[String]| -> Vec<String> {
        let mut headers = bench.headers();
        headers.retain(|header| !header.starts_with("Cookie:"));
        headers.extend(more.iter().cloned());
        headers
    };
    let mut attacks: Vec<Vec<String>> = vec![
        vec![],
        vec![format!("Authorization: Bearer {token}")],
        vec![format!("X-Token: {token}")],
    ];
    for cookie in [
        String::new(),
        name.clone(),
        format!("{name}="),
        format!("{name}={other}"),
        format!("{name}={}", &token[..63]),
        format!("{name}={token}0"),
        format!("{name}=\"{token}\""),
        format!(
            "{name}={}",
            token.to_uppercase().replace(char::is_numeric, "0")
        ),
        format!("workbench-{}={token}", port ^ 1),
        format!("workbench-={token}"),
        format!("workbench={token}"),
        format!("token={token}"),
        format!("{token}={name}"),
        format!("x{name}={token}"),
        format!("{name}={}", "0".repeat(4000)),
    ] {
        attacks.push(vec![format!("Cookie: {cookie}")]);
    }
    for attack in &attacks {
        for what in WHATS {
            let response = bench.ask_with(what, &headers(attack), &right(what));
            assert_refused(&response, 403, &format!("{what} {attack:?}"));
            assert!(response.text().contains("cargo book serve"), "{response:?}");
        }
    }
    // A token that is guessed in the address gives no cookie, and the page is the same as without.
    let page = served.get("/chapter.html").text();
    for guess in [
        "",
        "x",
        &other,
        &token[..63],
        &format!("{token}0"),
        &format!("{token}%00"),
        "%ff",
    ] {
        let response = served.get(&format!("/chapter.html?token={guess}"));
        assert!(
            !response.header("set-cookie").contains("workbench"),
            "{guess}"
        );
        assert!(
            response.status == 400 || response.text() == page,
            "{guess}: {response:?}"
        );
    }
    let twice = served.get(&format!("/?token={other}&token={token}"));
    assert!(
        !twice.header("set-cookie").contains("workbench"),
        "{twice:?}"
    );
    assert_unimpressed(&project, &served, &bench);
}

#[test]
fn the_token_is_another_one_at_each_start_and_nobody_else_sees_it() {
    let project = with_program(
        "fn main() {\n    for (name, value) in std::env::vars() {\n        println!(\"{name}={value}\");\n    }\n}\n",
    );
    let served = Served::start(&project);
    let bench = Bench::open(&served);
    let token = served.token();
    assert_eq!(token.len(), 64);
    let opened = served.get(&format!("/chapter.html?token={token}"));
    let cookie = opened.header("set-cookie").to_lowercase();
    assert!(
        cookie.contains("; httponly") && cookie.contains("; samesite=strict"),
        "{cookie}"
    );
    // A server that a reader has left running is at the same host: a browser that looks at its pages does not tell it the cookie.
    assert!(cookie.contains("; path=/__workbench"), "{cookie}");
    assert!(!cookie.contains("domain"), "{cookie}");
    assert_eq!(opened.header("location"), "/chapter.html");
    assert_eq!(opened.header("cache-control"), "no-store");
    assert!(!opened.text().contains(token));
    assert!(!bench.run(&json!({"scene": SCENE})).output().contains(token));
    for bytes in fixture::snapshot(&project.root).values() {
        assert!(!bytes.windows(64).any(|window| window == token.as_bytes()));
    }
    let tool = format!("/proc/{}", served.pid.as_raw_nonzero());
    for file in ["cmdline", "environ"] {
        let text = fs::read(format!("{tool}/{file}")).expect("it runs");
        assert!(!text.windows(64).any(|window| window == token.as_bytes()));
    }
    let other = Served::start(&project);
    assert_ne!(other.token(), token);
    let with_old = bench.ask_with(
        "run",
        &[
            format!("Host: {}", other.host()),
            format!("Origin: http://{}", other.host()),
            format!("Cookie: workbench-{}={token}", other.port()),
            "Content-Type: application/json".into(),
        ],
        &right("run"),
    );
    assert!((400..500).contains(&with_old.status), "{with_old:?}");
}

#[test]
fn another_site_cannot_run_anything_though_it_has_the_cookie() {
    let project = with_program(programs::HELLO);
    let served = Served::start(&project);
    let bench = Bench::open(&served);
    let port = served.port();
    let with = |name: &str, values: &[&str]| -> Vec<String> {
        let mut headers = bench.headers();
        headers.retain(|header| !header.starts_with(&format!("{name}:")));
        headers.extend(values.iter().map(|value| format!("{name}: {value}")));
        headers
    };
    let own = format!("http://127.0.0.1:{port}");
    for what in WHATS {
        for origins in [
            &[][..],
            &["https://evil.example"],
            &["null"],
            &[""],
            &["http://127.0.0.1"],
            &[&format!("http://127.0.0.1:{}", port ^ 1)],
            &[&format!("https://127.0.0.1:{port}")],
            &[&format!("{own}.evil.example")],
            &[&format!("{own}/")],
            &[&own, "https://evil.example"],
        ] {
            let response = bench.ask_with(what, &with("Origin", origins), &right(what));
            assert_refused(&response, 403, &format!("{what} from {origins:?}"));
        }
        // DNS rebinding: the browser believes that this is the attacker's own host.
        let evil = format!("evil.example:{port}");
        for hosts in [
            &[&*evil][..],
            &["127.0.0.1"],
            &[&format!("127.0.0.1:{}", port ^ 1)],
        ] {
            let mut headers = with("Host", hosts);
            let response = bench.ask_with(what, &headers, &right(what));
            assert_refused(&response, 421, &format!("{what} at {hosts:?}"));
            headers.retain(|header| !header.starts_with("Origin:"));
            headers.push(format!("Origin: http://{}", hosts[0]));
            let response = bench.ask_with(what, &headers, &right(what));
            assert_refused(&response, 421, &format!("{what} at {hosts:?}"));
        }
        for method in [
            "GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND",
        ] {
            let headers = bench.headers();
            let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
            let response = served.ask(method, &format!("/__workbench/{what}"), &headers);
            assert_refused(&response, 405, &format!("{method} {what}"));
        }
        // What a preflight asks.
        let host = format!("Host: 127.0.0.1:{port}");
        let preflight = [
            &*host,
            "Origin: https://evil.example",
            "Access-Control-Request-Method: POST",
        ];
        let response = served.ask("OPTIONS", &format!("/__workbench/{what}"), &preflight);
        assert_refused(&response, 403, "a preflight");
        // What a form can send.
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "text/json",
            "application/jsonp",
            "",
        ] {
            let response = bench.ask_with(what, &with("Content-Type", &[kind]), &right(what));
            assert_refused(&response, 415, &format!("{what} as {kind:?}"));
        }
        let response = bench.ask_with(what, &with("Content-Type", &[]), &right(what));
        assert_refused(&response, 415, "a body of no type");
    }
    for headers in [
        vec![
            format!("Origin: https://evil.example"),
            format!("Host: 127.0.0.1:{port}"),
        ],
        vec![
            format!("Origin: http://evil.example:{port}"),
            format!("Host: evil.example:{port}"),
        ],
        vec![format!("Host: 127.0.0.1:{port}")],
    ] {
        let mut headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let cookie = format!("Cookie: {}", bench.cookie);
        headers.push(&cookie);
        assert!(
            served.try_live_reload(&headers).is_err(),
            "a WebSocket from {headers:?}"
        );
        let upgrade = [
            "Upgrade: websocket",
            "Connection: Upgrade, close",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ];
        let all: Vec<&str> = headers.iter().copied().chain(upgrade).collect();
        let response = served.ask("GET", "/__workbench/run", &all);
        assert!((400..500).contains(&response.status), "{response:?}");
    }
    assert_unimpressed(&project, &served, &bench);
}

/// A frame of another page could have the reader click on what they do not see.
#[test]
fn no_other_page_can_show_the_book_in_a_frame() {
    let project = with_program(programs::HELLO);
    let served = Served::start(&project);
    for path in ["/", "/chapter.html", "/toc.html", "/no-such-page.html"] {
        let policy = served.get(path);
        assert_eq!(
            policy.header("content-security-policy"),
            "frame-ancestors 'self'",
            "{path}"
        );
    }
}

#[test]
fn a_body_that_is_not_what_it_should_be_is_refused_with_a_reason() {
    let project = with_program(programs::HELLO);
    let served = Served::start(&project);
    let bench = Bench::open(&served);
    for (what, body, status) in [
        ("run", "", 400),
        ("run", "{", 400),
        ("run", "scene=chapter-1", 400),
        ("run", "{\"scene\":\"chapter-1\"} {}", 400),
        ("run", "{\"scene\":\"\\ud800\"}", 400),
        ("run", "{}", 422),
        ("run", "[]", 422),
        ("run", "null", 422),
        ("run", "\"chapter-1\"", 422),
        ("run", r#"{"scene":1}"#, 422),
        ("run", r#"{"scene":"chapter-1","scene":"chapter-1"}"#, 422),
        ("run", r#"{"scene":"chapter-1","command":"id"}"#, 422),
        ("run", r#"{"scene":"chapter-1","programs":["id"]}"#, 422),
        (
            "run",
            r#"{"scene":"chapter-1","env":{"LD_PRELOAD":"/tmp/x.so"}}"#,
            422,
        ),
        ("run", r#"{"scene":"chapter-1","inputs":["x"]}"#, 422),
        ("run", r#"{"scene":"chapter-1","inputs":{"x":null}}"#, 422),
        (
            "run",
            r#"{"scene":"chapter-1","changes":{"demo":"x"}}"#,
            422,
        ),
        ("run", r#"{"scene":"chapter-1","alone":"yes"}"#, 422),
        ("listing", r#"{"listing":"demo","file":"Cargo.toml"}"#, 422),
        ("patch", r#"{"listing":"demo"}"#, 422),
    ] {
        bench.refused(what, body, status);
    }
    for depth in [100, 1000, 100_000] {
        let nested = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        for body in [
            nested.clone(),
            format!("{{\"scene\":{nested}}}"),
            nested[..depth].into(),
        ] {
            let response = bench.ask("run", &body);
            assert!(
                [400, 422].contains(&response.status),
                "{depth}: {response:?}"
            );
        }
    }
    let long = json!({"scene": "x".repeat(2 << 20)}).to_string();
    for what in WHATS {
        let why = bench.refused(what, &long, 413);
        assert!(why.contains("1024 KiB"), "{why}");
    }
    let file = json!({"scene": SCENE, "changes": {"demo": {PROGRAM: " ".repeat(128 * 1024 + 1)}}});
    let why = bench.refused("run", &file.to_string(), 422);
    assert!(why.contains("128 KiB"), "{why}");
    assert_unimpressed(&project, &served, &bench);
}

#[test]
fn a_body_that_stops_half_way_is_given_up_and_one_that_never_ends_is_cut_off() {
    let project = with_program(programs::HELLO);
    let served = Served::start(&project);
    let bench = Bench::open(&served);
    let begin = Instant::now();
    let mut halves: Vec<TcpStream> = (0..100)
        .map(|number| {
            let mut stream = served.connect();
            let bytes = post(WHATS[number % 3], &bench.headers(), &right("run"));
            stream
                .write_all(&bytes[..bytes.len() - 1])
                .expect("half a request");
            stream
        })
        .collect();
    // Meanwhile others send what has no end.
    let chunked = |name: &str| {
        let mut headers = bench.headers();
        headers.push(name.into());
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let mut stream = served.connect();
        let head = request("POST /__workbench/run HTTP/1.1", &headers);
        stream.write_all(&head).expect("it takes the head");
        stream
    };
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    for (name, piece) in [
        ("Transfer-Encoding: chunked", &*chunk),
        ("Content-Length: 1000000000000", &chunk),
    ] {
        let mut stream = chunked(name);
        let mut sent = 0;
        while stream.write_all(piece.as_bytes()).is_ok() {
            sent += piece.len();
            assert!(sent < 64 << 20, "it takes all that is sent");
        }
    }
    assert_unimpressed(&project, &served, &bench);
    for stream in &mut halves {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an end in time");
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.starts_with("HTTP/1.1 408 ") && answer.contains("10 s"),
            "{answer}"
        );
    }
    let waited = begin.elapsed().as_secs();
    assert!((9..20).contains(&waited), "{waited} s");
}

#[test]
fn only_what_the_book_names_is_run_or_changed_or_handed_out() {
    let project = with_program(programs::HELLO);
    project.listing("other", None, &[("main", programs::HELLO)]);
    let secret = "This is not for the public.";
    project.write("secret.rs", secret);
    project.write("listings/demo/tests/secret.rs", secret);
    let served = Served::start(&project);
    let bench = Bench::open(&served);
    let outside = project.path("secret.rs").display().to_string();
    for name in [
        "",
        " chapter-1",
        "chapter-1 ",
        "Chapter-1",
        "chapter-2",
        "chapter",
        "id",
        "sh -c id",
        "demo 'main'",
        "book scene demo 'main'",
        "; id",
        "chapter-1; id",
        "$(id)",
        "chapter-1\0",
        "../chapter-1",
        "demo",
        "--help",
    ] {
        let why = bench.refused("run", &json!({"scene": name}).to_string(), 404);
        assert!(why.contains("no scene"), "{why}");
    }
    for name in [
        "",
        ".",
        "..",
        "../listings/demo",
        "demo/",
        "./demo",
        "demo/src",
        "/etc",
        "DEMO",
        "demo\0",
        "--demo",
        &outside,
    ] {
        let why = bench.refused("listing", &json!({"listing": name}).to_string(), 404);
        assert!(why.contains("no listing"), "{why}");
        let ask = json!({"scene": SCENE, "changes": {name: {PROGRAM: "fn main() {}"}}});
        bench.refused("run", &ask.to_string(), 404);
        let ask = json!({"listing": name, "changes": {PROGRAM: "fn main() {}"}});
        bench.refused("patch", &ask.to_string(), 404);
    }
    unchanged(&project.root.clone(), || {
        for name in [
            "",
            ".",
            "..",
            "src",
            "src/bin/",
            "Cargo.toml",
            "build.rs",
            "src/bin/new.rs",
            "src/bin/../bin/main.rs",
            "./src/bin/main.rs",
            "src//bin/main.rs",
            "SRC/bin/main.rs",
            "src/bin/main.rs\0",
            "src/bin/main.rs/",
            "src\\bin\\main.rs",
            "../other/src/bin/main.rs",
            "src/../../../secret.rs",
            "src/bin/../../../../secret.rs",
            "tests/secret.rs",
            "%2e%2e/secret.rs",
            "/etc/passwd",
            &format!("src/{outside}"),
            &outside,
        ] {
            let changes = json!({name: "fn main() {}"});
            let ask = json!({"scene": SCENE, "changes": {"demo": changes}});
            let why = bench.refused("run", &ask.to_string(), 422);
            assert!(why.contains("has no file"), "{why}");
            let ask = json!({"listing": "demo", "changes": changes});
            let why = bench.refused("patch", &ask.to_string(), 422);
            assert!(!why.contains(secret), "{why}");
        }
    });
    let files = bench.ask("listing", &right("listing"));
    assert!(
        !files.text().contains(secret) && !files.text().contains("Cargo.toml"),
        "{files:?}"
    );
    // Only a server can be left running that its author offers.
    bench.refused(
        "run",
        &json!({"scene": SCENE, "alone": true}).to_string(),
        422,
    );
    assert_unimpressed(&project, &served, &bench);
}

#[test]
fn a_link_planted_where_changes_are_compiled_leads_nowhere() {
    let project = with_program(programs::HELLO);
    let target = project.path("elsewhere");
    project.write("elsewhere/src/bin/main.rs", "precious");
    project.write("elsewhere/Cargo.toml", "precious");
    let served = Served::start(&project);
    let bench = Bench::open(&served);
    let scratch = project.path("target/book/scratch");
    let link = |path: &std::path::Path| std::os::unix::fs::symlink(&target, path).expect("a link");
    let text = "fn main() {\n    println!(\"changed\");\n}\n";

    link(&scratch);
    unchanged(&target, || {
        let why = bench.change(text).failure();
        assert!(why.contains("symbolic link"), "{why}");
    });
    fs::remove_file(&scratch).expect("it is still a link");

    for place in ["demo", "demo/src", "demo/src/bin/main.rs"] {
        let place = scratch.join(place);
        fs::create_dir_all(place.parent().unwrap()).expect("a folder");
        link(&place);
        unchanged(&target, || {
            assert_eq!(bench.change(text).output(), "changed\n")
        });
    }
    wait_until_nothing_is_left(&project);
}

#[test]
fn an_argument_is_what_its_author_allowed() {
    let program = "fn main() {\n    println!(\"hello\");\n}\n";
    let inputs =
        "--input message:text=hi --input number:number=5 --input server:address=127.0.0.1:8001";
    let text = scene(&format!("{inputs} demo 'main {{message}} {{number}}'"));
    let address = "127.0.0.1:8001".parse().ok();
    let project = Project::with_listing(&text, address, &[("main", program)]);
    let served = Served::start(&project);
    let bench = Bench::open(&served);
    let refused = |name: &str, value: &str| {
        let ask = json!({"scene": SCENE, "inputs": {name: value}}).to_string();
        bench.refused("run", &ask, 422)
    };
    for name in ["", "other", "Message", "{message}", "--fails", "message "] {
        let why = refused(name, "x");
        assert!(why.contains("no input"), "{why}");
    }
    let long = "x".repeat(201);
    for value in [
        "",
        "-h",
        "--help",
        "a\nb",
        "a\rb",
        "a\0b",
        "\u{1b}[2J",
        "\u{7f}",
        "\u{85}",
        &long,
    ] {
        refused("message", value);
    }
    for value in [
        "",
        "0",
        "1001",
        "-1",
        "+1",
        "1.5",
        "1e3",
        " 1",
        "1 ",
        "0x10",
        "٣",
        "99999999999999999999",
    ] {
        refused("number", value);
    }
    for value in [
        "",
        "127.0.0.1",
        "8001",
        "192.0.2.1:80",
        "0.0.0.0:8001",
        "[::]:8001",
        "8.8.8.8:53",
        "localhost:8001",
        "evil.example:80",
        "[::ffff:8.8.8.8]:53",
        "127.0.0.1:65536",
        "127.0.0.1:8001 x",
    ] {
        refused("server", value);
    }
    let ask =
        json!({"scene": SCENE, "inputs": {"message": "x", "number": "1000", "server": "[::1]:9"}});
    assert!(bench.run(&ask).output().contains("hello"));
}

/// They come as fast as a machine can send them.
#[test]
fn of_a_thousand_runs_at_once_four_run_and_thirty_two_wait_and_the_book_is_served() {
    let mut gate = Gate::new();
    let project = with_program(&gate.program("hello"));
    let mut served = Served::begin(&project);
    drop(gate.wait());
    served.wait_until_ready();
    let bench = Bench::open(&served);
    // This process, not the tool, has all ends of these at once.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let more = rustix::process::Rlimit {
        current: limit.maximum,
        ..limit
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, more).expect("a limit");
    let ask = json!({"scene": SCENE});
    let streams: Vec<TcpStream> = (0..1000).map(|_| bench.send(&ask)).collect();
    let mut held: Vec<_> = (0..4).map(|_| gate.wait()).collect();
    let (mut runs, mut refused) = (Vec::new(), 0);
    for mut stream in streams {
        let mut status = [0; 12];
        stream.read_exact(&mut status).expect("an answer in time");
        match &status {
            b"HTTP/1.1 200" => runs.push(stream),
            b"HTTP/1.1 429" => {
                let mut answer = String::new();
                stream
                    .read_to_string(&mut answer)
                    .expect("an answer in time");
                assert!(answer.contains("4 scenes run and 32 wait"), "{answer}");
                refused += 1;
            }
            other => panic!("{}", other.escape_ascii()),
        }
    }
    assert_eq!((runs.len(), refused), (36, 964));
    gate.assert_nobody_waits();
    assert!(served.get("/chapter.html").text().contains(TEXT));
    gate.open();
    held.clear();
    for mut run in runs {
        let mut events = String::new();
        run.read_to_string(&mut events).expect("an end in time");
        assert!(
            events.contains("hello") && events.contains("\"over\""),
            "{events}"
        );
    }
    wait_until_nothing_is_left(&project);
}

#[test]
fn a_patch_that_takes_long_to_make_keeps_nobody_waiting() {
    let lines = |from: usize| {
        (from..from + 16_000)
            .map(|number| format!("//{}\n", number * 7919 % 9973))
            .collect::<String>()
    };
    let old = format!("fn main() {{\n    println!(\"hello\");\n}}\n{}", lines(0));
    // With an argument: nobody offers it for the Playground.
    let project = Project::with_listing(&scene("demo 'main x'"), None, &[("main", &old)]);
    let served = Served::start(&project);
    let bench = Bench::open(&served);
    let new: String = lines(5000);
    let ask = json!({"listing": "demo", "changes": {PROGRAM: new[..100_000]}}).to_string();
    let mut asked: Vec<TcpStream> = (0..16)
        .map(|_| {
            let mut stream = served.connect();
            stream
                .write_all(&post("patch", &bench.headers(), &ask))
                .expect("it takes the request");
            stream
        })
        .collect();
    let begin = Instant::now();
    assert!(served.get("/chapter.html").text().contains(TEXT));
    assert!(
        begin.elapsed() < Duration::from_secs(3),
        "{:?}",
        begin.elapsed()
    );
    for stream in &mut asked {
        let mut answer = String::new();
        stream
            .read_to_string(&mut answer)
            .expect("an answer in time");
        assert!(answer.contains("200 OK"), "{answer:.200}");
    }
}
