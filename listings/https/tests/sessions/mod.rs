//! Talks TLS to the programs of this listing over real sockets, and plays the other side.

#![allow(dead_code)]

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use https::certificates::{self, AUTHORITY, Authority, NAMES};
use https::tls;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned};
use socket2::SockRef;

use crate::programs::{DEADLINE, Server, run};

pub const GREETINGS: &str = "Hello\nGrüß Gott\nΓειά σου\nこんにちは\n🦀\n";

pub const HOME: &str =
    "<!doctype html>\n<title>It works</title>\n<p>Hello from the other side.\n";

pub const CLIENTS: [&str; 3] = ["head", "get", "piecewise"];

/// What `head` says of a session: the value of the line with this name.
#[track_caller]
pub fn line<'a>(description: &'a str, name: &str) -> &'a str {
    description
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name:<14}")))
        .unwrap_or_else(|| panic!("no {name} in {description}"))
}

/// A request that is the last one of its connection.
pub const REQUEST: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a client prints above the first empty line, and that: `get` the head of the answer,
/// `head` what was agreed on.
pub fn top(output: &Output) -> String {
    let mut printed = stdout(output);
    if let Some(end) = printed.find("\n\n") {
        printed.truncate(end + 2);
    }
    printed
}

/// What a client prints beneath it: `get` the body, `head` the head of the answer.
pub fn rest(output: &Output) -> String {
    stdout(output)[top(output).len()..].into()
}

/// What a program says that fails at run time, behind whatever it said before.
#[track_caller]
pub fn complaint(output: &Output) -> String {
    let all = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{all}");
    let start = if all.starts_with("Error: ") {
        0
    } else {
        all.find("\nError: ").expect("an error") + 1
    };
    all[start..].into()
}

/// The same for a failure that has one cause.
pub fn error(what: &str, cause: &str) -> String {
    format!("Error: {what}\n\nCaused by:\n    {cause}\n")
}

/// Asserts that a program has failed at this, and for this reason.
#[track_caller]
pub fn assert_fails(output: &Output, what: &str, cause: &str) {
    assert_eq!(complaint(output), error(what, cause));
}

/// Asserts that a client has not come to trust the server at this address.
#[track_caller]
pub fn assert_distrusts(output: &Output, address: &str, cause: &str) {
    assert_fails(output, &format!("no secure connection to {address}"), cause);
    assert_eq!(stdout(output), "");
}

#[track_caller]
pub fn assert_success(output: &Output) {
    assert!(output.status.success(), "{}", stderr(output));
}

/// A program that [`run`] has compiled, for those who want more of it than `run` does.
pub fn program(name: &str) -> Command {
    run("roots", &[]);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(env!("CARGO_PKG_NAME"));
    let mut command = Command::new(folder.join("debug").join(name));
    command
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// One read. A signal may come first, since a machine that is stopped for a moment sends one to
/// all who wait; nothing is lost by that.
pub fn read_once(stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

/// An empty folder, which is gone after the test.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("https-{}-{number}", process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        // Somebody had the same number, and no time to tidy up.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a new folder");
        Folder(folder)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of a file in it.
    pub fn file(&self, name: &str) -> String {
        let path = self.0.join(name).into_os_string();
        path.into_string().expect("a path in UTF-8")
    }

    /// The same, with this content.
    pub fn with(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let file = self.file(name);
        fs::write(&file, content).expect("a new file");
        file
    }

    /// The names of all that is in it.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("a folder");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name())
            .map(|name| name.into_string().expect("a name in UTF-8"))
            .collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server that has written its authority's certificate to a file.
pub struct Certified {
    server: Server,
    pub ca: String,
    _folder: Folder,
}

impl Certified {
    pub fn start() -> Certified {
        Certified::start_as("server", &[])
    }

    /// One that serves with this fault.
    pub fn faulty(fault: &str) -> Certified {
        Certified::start_as("faulty", &[fault])
    }

    fn start_as(name: &str, arguments: &[&str]) -> Certified {
        let folder = Folder::new();
        let ca = folder.file("ca.pem");
        let server = Server::start_with(name, &[arguments, &["--ca", &ca]].concat());
        Certified {
            server,
            ca,
            _folder: folder,
        }
    }

    /// Runs a client against it that trusts its authority.
    pub fn ask(&self, client: &str, path: &str) -> Output {
        let target = format!("{}{path}", self.server.address);
        run(client, &[&target, "--ca", &self.ca])
    }

    /// A connection to it that is secure already.
    pub fn session(&self) -> StreamOwned<ClientConnection, TcpStream> {
        let roots = tls::roots(Some(Path::new(&self.ca))).unwrap();
        let config = ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let mut session = ClientConnection::new(config.into(), name).unwrap();
        let mut stream = connect(self);
        session.complete_io(&mut stream).expect("a handshake");
        StreamOwned::new(session, stream)
    }

    /// What it sends back to this request, up to a proper end.
    pub fn reply(&self, request: impl AsRef<[u8]>) -> String {
        let mut session = self.session();
        session.write_all(request.as_ref()).unwrap();
        let mut reply = String::new();
        session
            .read_to_string(&mut reply)
            .expect("an answer and its end");
        reply
    }

    /// Asserts that the next client is served, and that there was nothing else in the log.
    #[track_caller]
    pub fn assert_serves(&self) {
        assert!(self.reply(REQUEST).starts_with("HTTP/1.1 200 OK\r\n"));
        let log = self.next_log_line();
        assert!(log.ends_with(": GET /: 200 OK"), "{log}");
    }
}

impl Deref for Certified {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

/// A connection to the server, on which the test itself does not wait for ever.
pub fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address).unwrap();
    patient(&stream);
    stream
}

fn patient(stream: &TcpStream) {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream.set_nodelay(true).unwrap();
}

/// A listener on a free port, and its address.
pub fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// The server's end of the next connection.
pub fn patient_end(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().unwrap();
    patient(&stream);
    stream
}

/// A server that does as it likes with one client; returns its address.
pub fn serving(behave: impl FnOnce(TcpStream) + Send + 'static) -> String {
    let (listener, address) = listen();
    thread::spawn(move || behave(patient_end(&listener)));
    address
}

/// Ends a connection with a reset.
pub fn reset(stream: TcpStream) {
    SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
}

/// Waits until the other side has had enough.
pub fn wait(mut stream: TcpStream) {
    let _ = io::copy(&mut stream, &mut io::sink());
}

/// The first thing that a client says.
pub fn client_hello() -> Vec<u8> {
    let config = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(tls::roots(None).unwrap())
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut session = ClientConnection::new(config.into(), name).unwrap();
    let mut hello = Vec::new();
    session.write_tls(&mut hello).unwrap();
    hello
}

/// The stream of a server that the test plays.
pub type Session = StreamOwned<ServerConnection, TcpStream>;

/// A place for such servers, and an authority that a client can be told to trust.
pub struct Host {
    pub authority: Authority,
    pub ca: String,
    pub config: Arc<ServerConfig>,
    folder: Folder,
}

impl Host {
    pub fn new() -> Host {
        let folder = Folder::new();
        let authority = certificates::authority(AUTHORITY).unwrap();
        let ca = folder.with("ca.pem", authority.pem());
        let params = certificates::leaf(&NAMES).unwrap();
        let identity = certificates::sign(&params, &authority).unwrap();
        Host {
            authority,
            ca,
            config: tls::config(identity).unwrap(),
            folder,
        }
    }

    /// Runs a client that trusts its authority.
    pub fn ask(&self, client: &str, target: &str) -> Output {
        run(client, &[target, "--ca", &self.ca])
    }

    /// A server that shakes hands with one client, reads its request, and then does as it
    /// likes; returns its address.
    pub fn serving(&self, behave: impl FnOnce(Session) + Send + 'static) -> String {
        let config = Arc::clone(&self.config);
        serving(move |stream| {
            let mut session = shake_hands(stream, config);
            read_head(&mut session);
            behave(session);
        })
    }

    /// A server that sends this and ends as one should; returns its address.
    pub fn answering(&self, answer: impl AsRef<[u8]> + Send + 'static) -> String {
        self.serving(move |mut session| {
            if session.write_all(answer.as_ref()).is_ok() {
                finish(session);
            }
        })
    }
}

/// What a server says first to this client: all it needs for its part of the handshake.
pub fn flight(config: Arc<ServerConfig>, client: &mut impl Read) -> Vec<u8> {
    let mut session = ServerConnection::new(config).unwrap();
    let mut flight = Vec::new();
    while !session.wants_write() {
        session.read_tls(client).expect("a ClientHello");
        session.process_new_packets().expect("a ClientHello");
    }
    while session.wants_write() {
        session.write_tls(&mut flight).unwrap();
    }
    flight
}

pub fn shake_hands(mut stream: TcpStream, config: Arc<ServerConfig>) -> Session {
    let mut session = ServerConnection::new(config).unwrap();
    session.complete_io(&mut stream).expect("a handshake");
    StreamOwned::new(session, stream)
}

/// Everything up to an empty line, read so that nothing beyond it is.
pub fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("the rest of a head");
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("a head is text")
}

/// Says that nothing more will come, and waits until the other side has gone.
pub fn finish(mut session: Session) {
    session.conn.send_close_notify();
    let _ = session.flush();
    let _ = session.sock.shutdown(std::net::Shutdown::Write);
    wait(session.sock);
}
