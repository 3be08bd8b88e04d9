//! Starts the server of this listing as a child, for the programs that show what becomes of
//! it, and stops it again.

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// How long the server may take for its next line, on a machine that is busy with something
/// else.
const DEADLINE: Duration = Duration::from_secs(30);

/// A server under way, stopped when it is dropped.
pub struct Server {
    pub address: SocketAddr,
    process: Child,
    log: Receiver<String>,
}

impl Server {
    /// Starts the server on a free port and waits until it listens.
    pub fn start() -> Result<Server> {
        Server::start_as(&mut Command::new(beside("server")?))
    }

    /// The same, with at most `limit` file descriptors.
    pub fn start_with_descriptors(limit: usize) -> Result<Server> {
        // A shell can limit itself, and then become the server.
        let script = format!("ulimit -n {limit} && exec \"$0\" \"$@\"");
        let mut shell = Command::new("sh");
        Server::start_as(shell.arg("-c").arg(script).arg(beside("server")?))
    }

    /// The same, however `command` starts it.
    pub fn start_as(command: &mut Command) -> Result<Server> {
        let mut process = command
            .arg("127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start the server")?;
        let output = process.stdout.take().context("stdout is no pipe")?;
        let log = process.stderr.take().context("stderr is no pipe")?;
        let first = lines(output).recv_timeout(DEADLINE).unwrap_or_default();
        let address = first.strip_prefix("listening on ").map(str::parse);
        let Some(Ok(address)) = address else {
            stop(&mut process);
            bail!("the server does not say where it listens");
        };
        Ok(Server {
            address,
            process,
            log: lines(log),
        })
    }

    /// The number that the system knows the server by.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The next line that the server logs.
    pub fn next_log_line(&self) -> Result<String> {
        self.log
            .recv_timeout(DEADLINE)
            .context("the server logs nothing more")
    }

    /// Sends the server the signal that Ctrl-C sends.
    pub fn interrupt(&self) -> Result<()> {
        let kill = format!("kill -INT {}", self.id());
        let status = Command::new("sh").args(["-c", &kill]).status()?;
        ensure!(status.success(), "cannot send the server a signal");
        Ok(())
    }

    /// Waits for the server's end and tells how it ended.
    pub fn wait(mut self) -> Result<ExitStatus> {
        while self.log.recv_timeout(DEADLINE).is_ok() {}
        Ok(self.process.wait()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        stop(&mut self.process);
    }
}

fn stop(process: &mut Child) {
    // It may have ended already.
    let _ = process.kill();
    let _ = process.wait();
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

/// The program `name` of this listing, in the folder of the one that runs.
fn beside(name: &str) -> Result<PathBuf> {
    let this = env::current_exe().context("cannot find this program")?;
    // Started by cargo? `cargo run` compiles one program, and leaves beside it whatever was
    // there before: the server of another listing, perhaps.
    if let (Some(cargo), Some(_)) =
        (env::var_os("CARGO"), env::var_os("CARGO_MANIFEST_DIR"))
    {
        let target = this
            .ancestors()
            .nth(2)
            .context("this program has no folder")?;
        let profile = if cfg!(debug_assertions) {
            "dev"
        } else {
            "release"
        };
        let status = Command::new(cargo)
            .args(["build", "--quiet", "--bin", name, "--profile", profile])
            .args([
                "--manifest-path",
                concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
            ])
            .arg("--target-dir")
            .arg(target)
            .status()
            .context("cannot start cargo")?;
        ensure!(status.success(), "{name} does not compile");
    }
    Ok(this.with_file_name(name))
}
