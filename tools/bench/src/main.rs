//! Measures how long a reader waits for the first page, and an author for a change, and prints both beside what stock mdBook with stock
//! mdbook-cmdrun takes, in one run: `cargo run -p bench`. It takes about ten minutes, most of them for the stock programs.
//!
//! mdbook-cmdrun 0.7.3 cannot read what mdBook 0.5 sends it. So it is measured with the last mdBook that it understands, 0.4.52.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// How many times each change is made; the median counts.
const ROUNDS: usize = 7;
/// Longer than anything here may take.
const DEADLINE: Duration = Duration::from_secs(1200);
/// How often a page is asked for while a change is awaited. Stock mdBook empties its folder while it builds, so errors are expected.
const TICK: Duration = Duration::from_millis(5);

const CHAPTER: &str = "src/echo.md";
const PAGE: &str = "/echo.html";
const PROGRAM: &str = "listings/echo/src/bin/server.rs";

fn main() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let folder = scratch.path();

    let clone = folder.join("clone");
    run(Command::new("git")
        .args(["clone", "--quiet", "."])
        .arg(&clone))?;
    let ours = Instant::now();
    let server = Server::start(
        Command::new("cargo")
            .args(["book", "serve", "--no-open", "--port", "3917"])
            .env("CARGO_HOME", folder.join("our-registry"))
            .env_remove("CARGO_TARGET_DIR")
            .current_dir(&clone),
        3917,
    )?;
    server.wait_for("/", "Sockets in Rust", Instant::now())?;
    let ours = ours.elapsed();

    let prose = median(|round| server.edit_chapter(&clone, round))?;
    let listing = median(|round| server.edit_listing(&clone, round))?;
    drop(server);

    let stock = Instant::now();
    install(folder, "stock", &["mdbook", "mdbook-cmdrun"])?;
    let stock = stock.elapsed();
    let stock_prose = stock_prose(folder, &clone)?;

    println!();
    println!("| from … to … | this book | stock | ratio |");
    println!("|---|---|---|---|");
    row(
        "a fresh clone, empty registry cache, to the first page; stock: `cargo install --locked mdbook mdbook-cmdrun` alone",
        ours,
        stock,
    );
    row(
        "a saved chapter to its page; stock: mdBook 0.4.52 with mdbook-cmdrun",
        prose,
        stock_prose,
    );
    println!(
        "| the compiler's end, after a saved listing, to its page | {:.2} s | | |",
        listing.as_secs_f64()
    );
    Ok(())
}

fn row(what: &str, ours: Duration, stock: Duration) {
    let (ours, stock) = (ours.as_secs_f64(), stock.as_secs_f64());
    println!(
        "| {what} | {ours:.2} s | {stock:.2} s | {:.2} |",
        ours / stock
    );
}

/// The same edits on a copy of the same book, served by programs that know nothing of ours but `book scene`.
fn stock_prose(folder: &Path, clone: &Path) -> Result<Duration> {
    let old = install(folder, "old", &["mdbook@0.4.52"])?;
    let book = folder.join("stock-book");
    run(Command::new("git")
        .args(["clone", "--quiet"])
        .arg(clone)
        .arg(&book))?;
    let config = fs::read_to_string(book.join("book.toml"))?;
    let ours = "cargo run --package book -- preprocess";
    ensure!(
        config.contains(ours),
        "book.toml does not start our preprocessor"
    );
    fs::write(
        book.join("book.toml"),
        config.replace(ours, "mdbook-cmdrun"),
    )?;

    let folders = [old, folder.join("stock/bin"), clone.join("target/debug")];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(folders.into_iter().chain(std::env::split_paths(&path)))?;
    let server = Server::start(
        Command::new("mdbook")
            .args(["serve", "--port", "3918"])
            .env("PATH", path)
            .current_dir(&book),
        3918,
    )?;
    server.wait_for("/", "Sockets in Rust", Instant::now())?;
    median(|round| server.edit_chapter(&book, round))
}

/// Installs programs from an empty registry cache; returns their folder.
fn install(folder: &Path, name: &str, programs: &[&str]) -> Result<PathBuf> {
    run(Command::new("cargo")
        .args(["install", "--locked", "--root"])
        .arg(folder.join(name))
        .args(programs)
        .env("CARGO_HOME", folder.join(format!("{name}-registry")))
        .env_remove("CARGO_TARGET_DIR")
        .current_dir(folder))?;
    Ok(folder.join(name).join("bin"))
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).status();
    let status = status.with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "{command:?} failed");
    Ok(())
}

fn median(mut round: impl FnMut(usize) -> Result<Duration>) -> Result<Duration> {
    let mut times = (0..ROUNDS).map(&mut round).collect::<Result<Vec<_>>>()?;
    times.sort();
    Ok(times[ROUNDS / 2])
}

/// A server of the book, and what it says.
struct Server {
    process: Child,
    port: u16,
    /// The lines of its stderr, and when they came.
    log: Receiver<(Instant, String)>,
}

impl Server {
    fn start(command: &mut Command, port: u16) -> Result<Server> {
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = BufReader::new(process.stderr.take().context("no stderr")?);
        let (sender, log) = mpsc::channel();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                eprintln!("{line}");
                let _ = sender.send((Instant::now(), line));
            }
        });
        Ok(Server { process, port, log })
    }

    /// How long after `start` the page has `text`.
    fn wait_for(&self, page: &str, text: &str, start: Instant) -> Result<Duration> {
        while start.elapsed() < DEADLINE {
            if self.get(page).is_ok_and(|body| body.contains(text)) {
                return Ok(start.elapsed());
            }
            thread::sleep(TICK);
        }
        bail!("{page} did not show {text:?}")
    }

    fn get(&self, page: &str) -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(DEADLINE))?;
        let host = format!("127.0.0.1:{}", self.port);
        write!(
            stream,
            "GET {page} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    fn edit_chapter(&self, book: &Path, round: usize) -> Result<Duration> {
        let path = book.join(CHAPTER);
        let text = fs::read_to_string(&path)?;
        let mark = format!("This is edit number {round}, made by the benchmark.");
        fs::write(&path, format!("{text}\n{mark}\n"))?;
        self.wait_for(PAGE, &mark, Instant::now())
    }

    /// From the moment at which cargo says that it is done.
    fn edit_listing(&self, book: &Path, round: usize) -> Result<Duration> {
        while self.log.try_recv().is_ok() {}
        let path = book.join(PROGRAM);
        let text = fs::read_to_string(&path)?;
        let mark = format!("Edit number {round} of the program, made by the benchmark.");
        fs::write(&path, format!("{text}\n// {mark}\n"))?;
        self.wait_for(PAGE, &mark, Instant::now())?;
        let page = Instant::now();
        while let Ok((time, line)) = self.log.try_recv() {
            if line.trim_start().starts_with("Finished") {
                return Ok(page - time);
            }
        }
        bail!("cargo did not say that it was done")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
