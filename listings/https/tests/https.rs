mod programs;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use programs::{DEADLINE, Server, closed_port, run};

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A server that has written its authority's certificate to a file of its own.
struct Certified {
    address: String,
    ca: PathBuf,
    process: Child,
}

impl Certified {
    fn start(name: &str, fault: &[&str]) -> Certified {
        let ca = file();
        let mut process = program(name)
            .arg("127.0.0.1:0")
            .args(fault)
            .arg("--ca")
            .arg(&ca)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().expect("a pipe"))
            .read_line(&mut line)
            .expect("the server prints a line");
        let address = line.trim().strip_prefix("listening on ");
        Certified {
            address: address.expect("where it listens").into(),
            ca,
            process,
        }
    }

    /// Runs a client against it that trusts its authority.
    fn ask(&self, client: &str, path: &str) -> Output {
        let target = format!("{}{path}", self.address);
        run(client, &[&target, "--ca", &self.ca.to_string_lossy()])
    }

    /// Everything that it has logged, after it has been stopped.
    fn log(mut self) -> String {
        self.process.kill().expect("it runs");
        let mut log = String::new();
        let stderr = self.process.stderr.as_mut().expect("a pipe");
        stderr.read_to_string(&mut log).expect("text");
        log
    }
}

impl Drop for Certified {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_file(&self.ca);
    }
}

/// A program of this listing, which [`run`] has compiled.
fn program(name: &str) -> Command {
    run("server", &["--compile"]);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(env!("CARGO_PKG_NAME"));
    let mut command = Command::new(folder.join("debug").join(name));
    command.env_remove("RUST_BACKTRACE").stdin(Stdio::null());
    command
}

/// Where no file is yet.
fn file() -> PathBuf {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("https-{}-{number}.pem", std::process::id());
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

#[test]
fn head_prints_what_was_agreed_on_stderr_and_the_answer_on_stdout() {
    let server = Certified::start("server", &[]);
    let output = server.ask("head", "");
    assert!(output.status.success(), "{}", stderr(&output));
    for line in [
        "version       TLS 1.3\n",
        "ALPN          http/1.1\n",
        "certificate   CN=localhost\n",
        "  names       localhost, 127.0.0.1, ::1\n",
        "  issuer      CN=Sockets in Rust example CA\n",
    ] {
        assert!(stderr(&output).contains(line), "{}", stderr(&output));
    }
    assert!(stdout(&output).starts_with("HTTP/1.1 200 OK\n"));
}

#[test]
fn get_prints_the_same_body_however_it_comes() {
    let server = Certified::start("server", &[]);
    let whole = stdout(&server.ask("get", "/greetings"));
    assert!(whole.contains("Γειά σου"), "{whole}");
    for path in ["/slow", "/chunked", "/until-close"] {
        let output = server.ask("get", path);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(stdout(&output), whole, "{path}");
        assert!(stderr(&output).starts_with("HTTP/1.1 200 OK\n"));
    }
    let pieces = stdout(&server.ask("piecewise", "/slow"));
    assert!(pieces.contains('\u{fffd}'), "{pieces}");
}

#[test]
fn each_fault_has_its_error() {
    for (fault, error) in [
        (
            "unknown-issuer",
            "invalid peer certificate: UnknownIssuer\n",
        ),
        ("expired", "invalid peer certificate: certificate expired: "),
        (
            "not-yet-valid",
            "invalid peer certificate: certificate not valid yet: ",
        ),
        (
            "wrong-host",
            "invalid peer certificate: certificate not valid for name \"127.0.0.1\"; \
             certificate is only valid for DnsName(\"example.org\")\n",
        ),
        ("leaf-as-ca", "EndEntityUsedAsCa"),
        ("ca-as-leaf", "CaUsedAsEndEntity"),
        (
            "plain-http",
            "received corrupt message of type InvalidContentType\n",
        ),
        (
            "tls-1.1",
            "peer is incompatible: ServerDoesNotSupportTls12Or13\n",
        ),
        ("cut", "without sending TLS close_notify"),
        ("short", "the body was cut short: 22 bytes are missing\n"),
        ("stall", "nothing came for 2s\n"),
        ("hang", "nothing came for 2s\n"),
    ] {
        let server = Certified::start("faulty", &[fault]);
        let output = server.ask("get", "");
        assert_eq!(output.status.code(), Some(1), "{fault}");
        assert!(
            stderr(&output).contains(error),
            "{fault}: {}",
            stderr(&output)
        );
        assert_eq!(server.log().lines().count(), 1, "{fault}");
    }
}

#[test]
fn without_the_file_nobody_trusts_the_server_which_serves_all_the_same() {
    let server = Server::start("server");
    assert!(server.next_log_line().starts_with("without --ca FILE"));
    let output = run("head", &[&server.address.to_string()]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr(&output),
        format!(
            "Error: no secure connection to {}\n\nCaused by:\n    \
             invalid peer certificate: UnknownIssuer\n",
            server.address
        )
    );
    let line = server.next_log_line();
    assert!(
        line.ends_with("no secure connection: received fatal alert: UnknownCA"),
        "{line}"
    );
}

#[test]
fn the_server_survives_what_is_no_handshake() {
    let server = Certified::start("server", &[]);
    drop(TcpStream::connect(&server.address).unwrap());
    let mut stream = TcpStream::connect(&server.address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
    assert!(server.ask("head", "").status.success());
    let log = server.log();
    assert!(
        log.contains("received corrupt message of type InvalidContentType"),
        "{log}"
    );
}

#[test]
fn the_server_replaces_its_own_certificate_and_nothing_else() {
    let ca = file();
    for (content, is_replaced) in [("", true), ("notes", false)] {
        fs::write(&ca, content).unwrap();
        let mut server = program("server")
            .arg("127.0.0.1:0")
            .arg("--ca")
            .arg(&ca)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line.starts_with("listening on "), is_replaced, "{content}");
        let _ = server.kill();
        server.wait().unwrap();
        assert_eq!(fs::read_to_string(&ca).unwrap() != content, is_replaced);
    }
    fs::remove_file(&ca).unwrap();
}

#[test]
fn a_file_without_a_certificate_is_an_error() {
    for (file, error) in [
        ("no-such-file.pem", "cannot read no-such-file.pem"),
        ("Cargo.toml", "no certificate in Cargo.toml"),
    ] {
        let output = run("get", &["127.0.0.1:1", "--ca", file]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(error), "{}", stderr(&output));
    }
}

#[test]
fn nobody_there_is_an_error_with_its_cause() {
    let (address, _held) = closed_port();
    for client in ["head", "get", "piecewise"] {
        let output = run(client, &[&address]);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            stderr(&output).contains("cannot connect to 127.0.0.1")
                && stderr(&output).contains("Connection refused"),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn wrong_arguments_are_one_line_and_exit_code_2() {
    for program in ["server", "faulty", "head", "get", "piecewise"] {
        for arguments in [
            &["127.0.0.1:99999"][..],
            &["::1:13"],
            &["--help"],
            &["--ca"],
            &["--ca="],
            &["--ca", "--ca"],
            &["--ca", "one", "--ca", "two"],
            &["--cat", "one"],
            &["127.0.0.1:0", "more"],
            &["two\nlines"],
        ] {
            let output = run(program, arguments);
            assert_eq!(output.status.code(), Some(2), "{program} {arguments:?}");
            assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
            assert_eq!(stdout(&output), "");
        }
    }
}
