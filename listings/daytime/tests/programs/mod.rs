//! Starts the programs of this listing, as a reader would, and stops them again.

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// How long a program may take, on a machine that is busy with something else, before a
/// test gives up.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A program that serves, stopped when the test is over.
pub struct Server {
    pub address: SocketAddr,
    process: Child,
    log: Receiver<String>,
}

impl Server {
    /// Starts the program `name` on a free port and waits until it listens.
    #[allow(dead_code)]
    pub fn start(name: &str) -> Server {
        Server::start_with(name, &[])
    }

    /// The same, with further arguments behind the address.
    #[allow(dead_code)]
    pub fn start_with(name: &str, arguments: &[&str]) -> Server {
        let mut process = command(name, &[&["127.0.0.1:0"], arguments].concat())
            .spawn()
            .expect("the server starts");
        let output = lines(process.stdout.take().expect("stdout is a pipe"));
        let log = lines(process.stderr.take().expect("stderr is a pipe"));
        let first = output
            .recv_timeout(DEADLINE)
            .expect("the server prints a line");
        let address = first
            .strip_prefix("listening on ")
            .expect("the first line says where it listens");
        let address = address.parse().expect("an address follows");
        Server {
            address,
            process,
            log,
        }
    }

    /// The next line that the server logs.
    #[allow(dead_code)]
    pub fn next_log_line(&self) -> String {
        self.log.recv_timeout(DEADLINE).expect("a line in the log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs the program `name` to its end.
#[allow(dead_code)]
pub fn run(name: &str, arguments: &[&str]) -> Output {
    let process = command(name, arguments)
        .spawn()
        .expect("the program starts");
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(process.wait_with_output()));
    receiver
        .recv_timeout(DEADLINE)
        .expect("the program ends in time")
        .expect("its output can be read")
}

/// An address where nobody listens, and where nobody can as long as the connection is kept: its
/// client has taken the port. A connection that is reset has none, so the listener is kept, too.
#[allow(dead_code)]
pub fn closed_port() -> (String, (TcpListener, TcpStream)) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let stream = TcpStream::connect(listener.local_addr().expect("an address"))
        .expect("a listener that has not accepted yet can be connected to");
    let address = stream.local_addr().expect("an address").to_string();
    (address, (listener, stream))
}

/// The lines of `stream`, as they come.
fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

fn command(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAMS.join(name));
    command
        .args(arguments)
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The folder of the programs, built where no other crate builds.
///
/// `env!("CARGO_BIN_EXE_server")` would be shorter. But where several crates of one
/// workspace have a program called `server`, cargo links them all to the same path, and a
/// test would start whichever came last (<https://github.com/rust-lang/cargo/issues/6313>).
static PROGRAMS: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(env!("CARGO_PKG_NAME"));
    let status = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()))
        .args(["build", "--quiet", "--bins", "--manifest-path"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&folder)
        .status()
        .expect("cargo starts");
    assert!(status.success(), "the programs do not compile");
    folder.join("debug")
});
