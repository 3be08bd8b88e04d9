//! Peers that somebody else has written: nginx as a server, curl and Python as clients, and the
//! system's own names. CI has them all and runs these tests too.

mod conversation;
mod programs;

use std::ffi::OsStr;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use conversation::{stderr, stdout};
use programs::{Server, run};

const GREETINGS: &str = "Hello\nGrüß Gott\nΓειά σου\nこんにちは\n🦀\n";

/// Where nginx complains, in its folder.
const LOG: &str = "error.log";

/// nginx on a free port, stopped when the test is over.
struct Nginx {
    address: String,
    process: Child,
    folder: PathBuf,
}

impl Nginx {
    /// Starts nginx with these directives for its server, in a folder of its own.
    fn start(name: &str, directives: &str) -> Nginx {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("nginx-{name}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let configuration = format!(
            "daemon off;
            worker_processes 1;
            pid nginx.pid;
            error_log {LOG};
            events {{}}
            http {{
                access_log off;
                client_body_temp_path body;
                proxy_temp_path proxy;
                fastcgi_temp_path fastcgi;
                uwsgi_temp_path uwsgi;
                scgi_temp_path scgi;
                default_type text/plain;
                server {{
                    listen {address};
                    {directives}
                }}
            }}"
        );
        let file = folder.join("nginx.conf");
        fs::write(&file, configuration).unwrap();
        // nginx cannot listen on port 0 and say which port that is. But it takes over a listening
        // socket, as when it replaces itself: there is no port that another could take first,
        // and nothing to wait for.
        let process = tool("nginx")
            .arg("-p")
            .arg(&folder)
            .arg("-c")
            .arg(&file)
            .args(["-e", LOG])
            .env("NGINX", "0;")
            .stdin(OwnedFd::from(listener))
            .stdout(Stdio::null())
            .spawn()
            .expect("nginx is installed");
        Nginx {
            address,
            process,
            folder,
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its worker is a process of its own, which it stops if it is asked to, but not if it is
        // killed.
        let kill = format!("kill {}", self.process.id());
        let _ = Command::new("sh").args(["-c", &kill]).status();
        let _ = self.process.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder.join(LOG));
            eprintln!("nginx: {}", log.unwrap_or_default());
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A program of the system, also one that not everybody has in their path.
fn tool(name: &str) -> Command {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    let mut command = Command::new(name);
    command.env("PATH", path);
    command
}

#[track_caller]
fn output(name: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Output {
    let output = tool(name)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{name} is needed: {error}"));
    assert!(output.status.success(), "{}", stderr(&output));
    output
}

/// What curl prints: on stdout what it got, on stderr what it did.
#[track_caller]
fn curl(arguments: &[&str]) -> Output {
    let ours = [
        "--silent",
        "--show-error",
        "--verbose",
        "--max-time",
        "20",
        "--noproxy",
        "*",
    ];
    output("curl", ours.iter().chain(arguments))
}

/// `> ` before what curl has sent and `< ` before what it got.
fn lines<'a>(log: &'a str, mark: &'a str) -> impl Iterator<Item = &'a str> {
    log.lines().filter_map(move |line| line.strip_prefix(mark))
}

#[test]
#[ignore = "needs nginx"]
fn head_prints_what_nginx_answers() {
    let nginx = Nginx::start(
        "head",
        "location = / { return 200 hello; }
        location = /moved { return 302 http://localhost/; }",
    );
    for (path, status, header) in [
        ("", "200 OK", "Content-Length: 5"),
        ("/", "200 OK", "Content-Length: 5"),
        (
            "/moved",
            "302 Moved Temporarily",
            "Location: http://localhost/",
        ),
        ("/nowhere", "404 Not Found", "Content-Type: text/html"),
    ] {
        let output = run("head", &[&format!("{}{path}", nginx.address)]);
        assert!(output.status.success(), "{}", stderr(&output));
        let printed = stdout(&output);
        assert!(
            printed.starts_with(&format!("HTTP/1.1 {status}\nServer: nginx")),
            "{printed}"
        );
        for line in [header, "Connection: close"] {
            assert!(printed.lines().any(|known| known == line), "{printed}");
        }
        assert!(!printed.contains("\n\n"), "{printed}");
    }
}

#[test]
#[ignore = "needs nginx"]
fn raw_gets_every_answer_to_pipelined_requests_from_nginx() {
    let nginx = Nginx::start("raw", "return 200 \"you asked for $uri\\n\";");
    let request = r"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nHEAD /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let output = run("raw", &[&nginx.address, request]);
    assert!(output.status.success(), "{}", stderr(&output));
    let printed = stdout(&output);
    assert_eq!(
        printed.matches("HTTP/1.1 200 OK\r\n").count(),
        3,
        "{printed}"
    );
    assert!(
        printed.contains("\r\n\r\nyou asked for /1\nHTTP/1.1 "),
        "{printed}"
    );
    assert!(!printed.contains("you asked for /2"), "{printed}");
    assert!(printed.ends_with("\r\n\r\nyou asked for /3\n"), "{printed}");
}

#[test]
#[ignore = "needs nginx"]
fn nginx_finds_fault_with_what_our_server_refuses_too() {
    let nginx = Nginx::start("refuse", "return 200 hello;");
    let server = Server::start("server");
    for (request, status) in [
        (r"GET / HTTP/1.1\r\n\r\n", "400 "),
        (r"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400 "),
        (r"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505 "),
        (
            r"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "400 ",
        ),
        (r"hello\r\n\r\n", "400 "),
    ] {
        for address in [&nginx.address, &server.address.to_string()] {
            let printed = stdout(&run("raw", &[address, request]));
            assert!(
                printed.starts_with(&format!("HTTP/1.1 {status}")),
                "{request}: {printed}"
            );
        }
    }
}

/// nginx asks the server on behalf of its own clients.
#[test]
#[ignore = "needs nginx"]
fn nginx_understands_every_page_of_our_server() {
    let server = Server::start("server");
    for version in ["1.0", "1.1"] {
        let nginx = Nginx::start(
            &format!("proxy-{version}"),
            &format!(
                "location / {{
                    proxy_pass http://{};
                    proxy_http_version {version};
                    proxy_set_header Connection '';
                }}",
                server.address
            ),
        );
        for path in ["/greetings", "/slow", "/chunked", "/until-close"] {
            let request = format!(r"GET {path} HTTP/1.0\r\n\r\n");
            let printed = stdout(&run("raw", &[&nginx.address, &request]));
            assert!(printed.starts_with("HTTP/1.1 200 OK\r\n"), "{printed}");
            let (_, body) = printed.split_once("\r\n\r\n").expect("an empty line");
            assert_eq!(body, GREETINGS, "{path}");
            let log = server.next_log_line();
            assert!(log.ends_with(&format!(": GET {path}: 200 OK")), "{log}");
        }
    }
}

#[test]
#[ignore = "needs curl"]
fn curl_gets_every_page_with_http_1_0_and_1_1() {
    let server = Server::start("server");
    for version in ["--http1.0", "--http1.1"] {
        for path in ["/greetings", "/slow", "/chunked", "/until-close"] {
            let output = curl(&[version, &format!("http://{}{path}", server.address)]);
            assert_eq!(stdout(&output), GREETINGS, "{version} {path}");
        }
        let output = curl(&[version, &format!("http://{}/", server.address)]);
        assert!(stdout(&output).starts_with("<!doctype html>\n"));
    }
}

#[test]
#[ignore = "needs curl"]
fn curl_is_content_with_the_answer_to_head() {
    let server = Server::start("server");
    for path in [
        "/greetings",
        "/slow",
        "/chunked",
        "/until-close",
        "/nowhere",
    ] {
        let output = curl(&["--head", &format!("http://{}{path}", server.address)]);
        let printed = stdout(&output);
        assert!(printed.starts_with("HTTP/1.1 "), "{printed}");
        assert!(printed.ends_with("\r\n\r\n"), "{printed}");
        let log = server.next_log_line();
        assert!(log.contains(&format!(": HEAD {path}: ")), "{log}");
    }
}

#[test]
#[ignore = "needs curl"]
fn curl_uses_a_connection_again() {
    let server = Server::start("server");
    let base = format!("http://{}", server.address);
    let urls =
        ["/", "/greetings", "/chunked", "/moved"].map(|path| format!("{base}{path}"));
    let output = curl(&urls.each_ref().map(|url| url.as_str()));
    let log = stderr(&output);
    assert_eq!(log.matches("Re-using existing").count(), 3, "{log}");
    assert!(stdout(&output).contains(GREETINGS), "{log}");
    // All from the same port.
    let peers: Vec<String> = urls
        .iter()
        .map(|_| server.next_log_line().split(": ").next().unwrap().into())
        .collect();
    assert!(peers.iter().all(|peer| *peer == peers[0]), "{peers:?}");

    // And it does not if it is told not to.
    let until_close = format!("{base}/until-close");
    let log = stderr(&curl(&[&until_close, &until_close]));
    assert!(!log.contains("Re-using existing"), "{log}");
    assert!(!log.contains("left intact"), "{log}");
}

#[test]
#[ignore = "needs curl"]
fn curl_follows_where_a_page_has_moved() {
    let server = Server::start("server");
    let url = format!("http://{}/moved", server.address);
    let output = curl(&["--location", &url]);
    assert!(stdout(&output).contains("<title>It works</title>"));
    let log = stderr(&output);
    let statuses: Vec<&str> = lines(&log, "< HTTP/1.1 ").collect();
    assert_eq!(statuses, ["301 Moved Permanently", "200 OK"], "{log}");
}

#[test]
#[ignore = "needs curl"]
fn curl_sends_a_path_as_it_is_and_is_told_that_there_is_no_such_page() {
    let server = Server::start("server");
    for path in [
        "/../etc/passwd",
        "/./greetings",
        "/greetings/..",
        "/%2e%2e/x",
    ] {
        let url = format!("http://{}{path}", server.address);
        let output = curl(&["--path-as-is", &url]);
        assert_eq!(stdout(&output), "404 Not Found\n");
        let log = server.next_log_line();
        assert!(
            log.ends_with(&format!(": GET {path}: 404 Not Found")),
            "{log}"
        );
    }
}

#[test]
#[ignore = "needs curl"]
fn curl_gets_an_answer_even_if_it_sends_what_nobody_reads() {
    let server = Server::start("server");
    let url = format!("http://{}/", server.address);
    let content = "x".repeat(10_000);
    for header in ["Expect:", "Transfer-Encoding: chunked"] {
        let output = curl(&["--data", &content, "--header", header, &url]);
        assert_eq!(stdout(&output), "405 Method Not Allowed\n");
        assert!(stderr(&output).contains("< Allow: GET, HEAD\r\n"));
    }
}

#[test]
#[ignore = "needs python3"]
fn the_client_of_python_gets_every_page_on_one_connection() {
    let server = Server::start("server");
    let script = "
import http.client, sys
connection = http.client.HTTPConnection('127.0.0.1', int(sys.argv[1]), timeout=20)
for method in ['GET', 'HEAD']:
    for path in ['/greetings', '/slow', '/chunked']:
        connection.request(method, path)
        response = connection.getresponse()
        assert response.status == 200, response.status
        sys.stdout.buffer.write(response.read())
";
    let port = server.address.port().to_string();
    let output = output("python3", ["-c", script, &port]);
    assert_eq!(stdout(&output), GREETINGS.repeat(3));
    let peers: Vec<String> = (0..6)
        .map(|_| server.next_log_line().split(": ").next().unwrap().into())
        .collect();
    assert!(peers.iter().all(|peer| *peer == peers[0]), "{peers:?}");
}

/// As a reader would run it against the real one. Here the name leads to this machine, in a
/// network and with files of its own (`tools/book/tests/isolation.rs` makes more of that).
const EXAMPLE_COM: &str = r#"
ip link set lo up
printf '127.0.0.1 example.com\n' > "$FOLDER/hosts"
mount --bind "$FOLDER/hosts" /etc/hosts
printf 'hosts: files\n' > "$FOLDER/nsswitch.conf"
[ ! -e /etc/nsswitch.conf ] || mount --bind "$FOLDER/nsswitch.conf" /etc/nsswitch.conf

mkfifo "$FOLDER/listening"
"$PROGRAMS/server" 127.0.0.1:80 > "$FOLDER/listening" &
trap "kill $!" EXIT
read -r line < "$FOLDER/listening"
[ "$line" = "listening on 127.0.0.1:80" ]
for target in example.com example.com/ example.com:80 example.com/nowhere; do
    "$PROGRAMS/head" "$target"
done
"#;

#[test]
#[ignore = "needs unshare"]
fn head_works_against_a_real_name_as_it_stands() {
    // Sees to it that the programs are built.
    drop(Server::start("server"));
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = tmp.join("example.com");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let output = tool("unshare")
        .args(["--user", "--map-root-user", "--mount", "--net", "--"])
        .args(["sh", "-euc", EXAMPLE_COM])
        .env("FOLDER", &folder)
        .env("PROGRAMS", tmp.join("http/debug"))
        .output()
        .expect("unshare is needed");
    assert!(output.status.success(), "{}", stderr(&output));
    let statuses: Vec<String> = stdout(&output)
        .lines()
        .filter_map(|line| line.strip_prefix("HTTP/1.1 ").map(String::from))
        .collect();
    assert_eq!(statuses, ["200 OK", "200 OK", "200 OK", "404 Not Found"]);
    fs::remove_dir_all(&folder).unwrap();
}

/// That what is done to start nginx is right: it is the one that answers there.
#[test]
#[ignore = "needs nginx"]
fn nginx_is_gone_when_its_test_is_over() {
    let nginx = Nginx::start("gone", "return 200 hello;");
    let address = nginx.address.clone();
    drop(TcpStream::connect(&address).unwrap());
    drop(nginx);
    TcpStream::connect(&address).unwrap_err();
}
