//! Measures how long a reader waits for the first page, and an author for a change, and prints both beside what stock mdBook with stock
//! mdbook-cmdrun takes, in one run: `cargo run -p bench`. It takes about ten minutes, most of them for the stock programs.
//! `cargo run -p bench workbench` measures how long a reader waits who changes a listing in its page, and takes a minute.
//!
//! mdbook-cmdrun 0.7.3 cannot read what mdBook 0.5 sends it. So it is measured with the last mdBook that it understands, 0.4.52.

mod server;
mod workbench;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use server::Server;

/// How many times each change is made; the median counts.
const ROUNDS: usize = 7;

const CHAPTER: &str = "src/echo.md";
const PAGE: &str = "/echo.html";
const PROGRAM: &str = "listings/echo/src/bin/server.rs";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => book(),
        ["workbench"] => workbench::measure(),
        _ => {
            eprintln!("usage: cargo run -p bench [workbench]");
            std::process::exit(2);
        }
    }
}

/// How long readers and authors wait for pages.
fn book() -> Result<()> {
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

    let prose = median(|round| edit_chapter(&server, &clone, round))?;
    let listing = median(|round| edit_listing(&server, &clone, round))?;
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
    median(|round| edit_chapter(&server, &book, round))
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

fn edit_chapter(server: &Server, book: &Path, round: usize) -> Result<Duration> {
    let path = book.join(CHAPTER);
    let text = fs::read_to_string(&path)?;
    let mark = format!("This is edit number {round}, made by the benchmark.");
    fs::write(&path, format!("{text}\n{mark}\n"))?;
    server.wait_for(PAGE, &mark, Instant::now())
}

/// From the moment at which cargo says that it is done.
fn edit_listing(server: &Server, book: &Path, round: usize) -> Result<Duration> {
    while server.log.try_recv().is_ok() {}
    let path = book.join(PROGRAM);
    let text = fs::read_to_string(&path)?;
    let mark = format!("Edit number {round} of the program, made by the benchmark.");
    fs::write(&path, format!("{text}\n// {mark}\n"))?;
    server.wait_for(PAGE, &mark, Instant::now())?;
    let page = Instant::now();
    while let Ok((time, line)) = server.log.try_recv() {
        if line.trim_start().starts_with("Finished") {
            return Ok(page - time);
        }
    }
    bail!("cargo did not say that it was done")
}
