//! Who may read the book while `book serve` serves it: pages of its own, in a browser on this machine. And nobody may read more.

mod fixture;
mod served;

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;

use fixture::{Project, snapshot};
use served::{LiveReload, Response, Served, request};

/// Is in the chapter of every project here.
const TEXT: &str = "These words are on the page.";
/// Is in files that are none of the book's.
const SECRET: &str = "This is not for the public.";

#[track_caller]
fn assert_refused(response: &Response, request: &str) {
    assert!(
        (400..500).contains(&response.status),
        "{request}: {response:?}"
    );
    let text = response.text();
    assert!(
        !text.contains(TEXT) && !text.contains(SECRET),
        "{request}: {text}"
    );
}

#[test]
fn a_request_for_another_host_is_refused() {
    let project = Project::new(TEXT);
    let served = Served::start(&project);
    let port = served.port();
    let own = format!("Host: 127.0.0.1:{port}");
    for host in [
        "evil.example".into(),
        format!("evil.example:{port}"),
        "127.0.0.1".into(),
        "localhost".into(),
        format!("127.0.0.1:{}", port ^ 1),
        format!("127.0.0.1:0{port}"),
        format!("127.0.0.1.:{port}"),
        format!("localhost.:{port}"),
        format!("127.1:{port}"),
        format!("0.0.0.0:{port}"),
        format!("[::1]:{port}"),
        format!("127.0.0.1:{port}.evil.example"),
        format!("127.0.0.1:{port}, evil.example"),
        format!("user@127.0.0.1:{port}"),
        String::new(),
    ] {
        for method in ["GET", "HEAD", "POST"] {
            let response = served.ask(method, "/", &[&format!("Host: {host}")]);
            assert_refused(&response, &format!("{method} for {host:?}"));
        }
    }
    for (line, headers) in [
        ("GET / HTTP/1.0".into(), vec![]),
        ("GET / HTTP/1.1".into(), vec![]),
        ("GET / HTTP/1.1".into(), vec![&*own, "Host: evil.example"]),
        ("GET / HTTP/1.1".into(), vec!["Host: evil.example", &*own]),
        ("GET / HTTP/1.1".into(), vec![&*own, &*own]),
        // The target counts, not the header (RFC 9112, section 3.2.2).
        ("GET http://evil.example/ HTTP/1.1".into(), vec![&*own]),
        (
            format!("GET http://evil.example:{port}/ HTTP/1.1"),
            vec![&*own],
        ),
        (
            format!("GET http://127.0.0.1:{port}/ HTTP/1.1"),
            vec!["Host: evil.example"],
        ),
    ] {
        let response = served.ask_raw(&request(&line, &headers));
        assert_refused(&response, &format!("{line} {headers:?}"));
    }
    for host in ["127.0.0.1", "localhost", "LocalHost"] {
        let response = served.ask("GET", "/", &[&format!("Host: {host}:{port}")]);
        assert_eq!(response.status, 200, "{host}");
    }
    let response = served.ask("GET", &format!("http://127.0.0.1:{port}/"), &[&own]);
    assert_eq!(response.status, 200);
}

#[test]
fn a_request_from_another_site_is_refused() {
    let project = Project::new(TEXT);
    let served = Served::start(&project);
    let port = served.port();
    let host = format!("Host: 127.0.0.1:{port}");
    let own = format!("Origin: http://127.0.0.1:{port}");
    let strange = [
        "Origin: https://evil.example".into(),
        "Origin: null".into(),
        "Origin:".into(),
        "Origin: http://127.0.0.1".into(),
        format!("Origin: http://127.0.0.1:{}", port ^ 1),
        format!("Origin: https://127.0.0.1:{port}"),
        format!("Origin: http://127.0.0.1:{port}.evil.example"),
        format!("Origin: http://127.0.0.1:{port}, https://evil.example"),
        format!("Origin: http://127.0.0.1:{port}/"),
        format!("{own}\r\nOrigin: https://evil.example"),
    ];
    for origin in &strange {
        for method in ["GET", "HEAD", "POST", "PUT"] {
            let response = served.ask(method, "/", &[&host, origin]);
            assert_refused(&response, &format!("{method} with {origin:?}"));
        }
        match served.try_live_reload(&[&host, origin]) {
            Ok(_) => panic!("a WebSocket for {origin:?}"),
            Err(response) => assert_refused(&response, origin),
        }
    }
    match served.try_live_reload(&[&host]) {
        Ok(_) => panic!("a WebSocket for nobody"),
        Err(response) => assert_refused(&response, "a WebSocket without an origin"),
    }
    for name in ["127.0.0.1", "localhost"] {
        let origin = format!("Origin: http://{name}:{port}");
        assert_eq!(served.ask("GET", "/", &[&host, &origin]).status, 200);
        assert!(
            served.try_live_reload(&[&host, &origin]).is_ok(),
            "{origin}"
        );
    }
}

#[test]
fn a_request_cannot_change_anything() {
    let project = Project::new(TEXT);
    let served = Served::start(&project);
    let before = snapshot(&project.root);
    let host = format!("Host: {}", served.host());
    let own = format!("Origin: http://{}", served.host());
    for method in [
        "POST", "PUT", "PATCH", "DELETE", "MKCOL", "MOVE", "TRACE", "OPTIONS",
    ] {
        for path in ["/chapter.html", "/new.html", "/new/", "/"] {
            for origin in [&*own, "X-Origin: none"] {
                let length = "Content-Length: 7";
                let to = "Destination: /moved.html";
                let head = [&*host, origin, length, to];
                let line = format!("{method} {path} HTTP/1.1");
                let mut bytes = request(&line, &head);
                bytes.extend(b"new one");
                assert_refused(&served.ask_raw(&bytes), &format!("{line} {origin}"));
            }
        }
    }
    assert!(snapshot(&project.root) == before, "something has changed");
    assert!(served.get("/chapter.html").text().contains(TEXT));
}

#[test]
fn no_path_leads_out_of_the_book() {
    let project = Project::new(TEXT);
    for name in [
        "secret.txt",
        "target/secret.txt",
        "target/book/secret.txt",
        "src/secret.md",
    ] {
        project.write(name, SECRET);
    }
    let served = Served::start(&project);
    let outside = project.path("secret.txt").display().to_string();
    let mut paths: Vec<String> = vec![
        outside.clone(),
        format!("/{outside}"),
        outside.replace('/', "%2f"),
        format!("/{}", outside.replace('/', "%5c")),
        format!("/file://{outside}"),
        "//etc/passwd".into(),
        "/%2fetc/passwd".into(),
        "/%2f%2fetc%2fpasswd".into(),
        "/etc/passwd%00.html".into(),
        "/chapter.html%00".into(),
        "/chapter.html%00/../../secret.txt".into(),
        "/C:/secret.txt".into(),
        "/secret.md".into(),
        "/%".into(),
        "/%zz".into(),
        "/%ff%fe".into(),
        "*".into(),
        "secret.txt".into(),
        "../secret.txt".into(),
    ];
    let ups = [
        "..",
        "%2e%2e",
        ".%2e",
        "%2E.",
        "..%00",
        "...",
        "..;",
        "%252e%252e",
        "%c0%ae%c0%ae",
        "%uff0e%uff0e",
    ];
    for up in ups {
        for slash in [
            "/", "%2f", "%2F", "\\", "%5c", "//", "/./", "%252f", "%c0%af",
        ] {
            for depth in 1..=4 {
                let climb = format!("{up}{slash}").repeat(depth);
                paths.push(format!("/{climb}secret.txt"));
                paths.push(format!("/css{slash}{climb}secret.txt"));
                paths.push(format!("/chapter.html{slash}{climb}secret.txt"));
            }
        }
    }
    let host = format!("Host: {}", served.host());
    for path in &paths {
        let response = served.ask("GET", path, &[&host]);
        assert_refused(&response, path);
        assert!(!response.text().contains("root:"), "{path}");
    }
    for bytes in [
        &b"GET /../secret.txt\0 HTTP/1.1\r\n"[..],
        b"GET /..\\secret.txt HTTP/1.1\r\n",
        b"GET /../secret.txt HTTP/1.0\r\n",
        b"GET /\xff/../secret.txt HTTP/1.1\r\n",
        b"GET\t/../secret.txt\tHTTP/1.1\r\n",
    ] {
        let rest = format!("{host}\r\nConnection: close\r\n\r\n");
        let response = served.ask_raw(&[bytes, rest.as_bytes()].concat());
        assert_refused(&response, &bytes.escape_ascii().to_string());
    }
    assert_eq!(served.get("/css/../chapter.html").status, 404);
    assert_eq!(served.get("/chapter.html").status, 200);
}

/// A link would lead out of the book, and would do so later, too.
#[test]
fn there_is_no_symbolic_link_in_the_pages() {
    let project = Project::new(TEXT);
    project.write("outside/secret.txt", SECRET);
    let link = |name: &str, target: &Path| {
        std::os::unix::fs::symlink(target, project.path(name)).expect("a link");
    };
    link("src/link.txt", &project.path("outside/secret.txt"));
    link("src/folder", &project.path("outside"));
    let served = Served::start(&project);
    for entry in walkdir::WalkDir::new(served.pages()) {
        let entry = entry.expect("an entry of the pages");
        assert!(!entry.path_is_symlink(), "{}", entry.path().display());
    }
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs /proc")]
fn it_listens_on_the_loopback_address_only() {
    let project = Project::new(TEXT);
    let served = Served::start(&project);
    let process = format!("/proc/{}", served.pid.as_raw_nonzero());
    let entries = fs::read_dir(format!("{process}/fd")).expect("its open files");
    let open: Vec<String> = entries
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .map(|target| target.display().to_string())
        .collect();
    let mut addresses = Vec::new();
    for table in ["tcp", "tcp6", "udp", "udp6", "raw", "raw6"] {
        // A machine without IPv6 has no such table.
        let Ok(table) = fs::read_to_string(format!("{process}/net/{table}")) else {
            continue;
        };
        for socket in table.lines().skip(1) {
            let fields: Vec<&str> = socket.split_whitespace().collect();
            if open.contains(&format!("socket:[{}]", fields[9])) {
                addresses.push(fields[1].to_owned());
            }
        }
    }
    let address = u32::from_ne_bytes(Ipv4Addr::LOCALHOST.octets());
    assert_eq!(addresses, [format!("{address:08X}:{:04X}", served.port())]);
}

#[test]
fn connections_that_say_nothing_keep_nobody_waiting() {
    let project = Project::new(TEXT);
    let served = Served::start(&project);
    let pages: Vec<LiveReload> = (0..200).map(|_| served.live_reload()).collect();
    let idle: Vec<TcpStream> = (0..200).map(|_| served.connect()).collect();
    let mut halves = Vec::new();
    for _ in 0..100 {
        let mut stream = served.connect();
        stream
            .write_all(b"GET /chapter.html HTTP/1.1\r\nHost: ")
            .expect("half a request");
        halves.push(stream);
    }
    assert!(served.get("/chapter.html").text().contains(TEXT));
    project.chapter("chapter", "All of them see this.");
    for mut page in pages {
        page.wait_for_reload();
    }
    served.wait_for_page("/chapter.html", "All of them see this.");
    drop((idle, halves));
}
