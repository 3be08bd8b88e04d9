//! How long a reader waits who changes a line of a listing in its page, and runs it again.

use std::fs;
use std::io::BufRead;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::median;
use crate::server::Server;

const PORT: u16 = 3919;
const FILE: &str = "src/bin/server.rs";

/// Pages whose scenes have a server, the listings, and what these are made with.
const LISTINGS: [(&str, &str, &str); 3] = [
    ("/echo.html", "echo", "std"),
    ("/async-echo.html", "async-echo", "tokio"),
    ("/https-head.html", "https", "rustls"),
];

/// Serves the book of this checkout, asks as its pages do, and prints a table.
pub fn measure() -> Result<()> {
    let server = Server::start(
        Command::new("cargo").args(["book", "serve", "--no-open", "--port", &PORT.to_string()]),
        PORT,
    )?;
    let rest = server.wait_to_hear(&format!("the book is at http://127.0.0.1:{PORT}"))?;
    let cookie = cookie(&server, rest.split(' ').next().unwrap_or_default())?;

    let mut rows = Vec::new();
    for (page, listing, made_with) in LISTINGS {
        let scene = scene_with_server(&server.get(page)?)
            .with_context(|| format!("{page} has no server"))?
            .to_owned();
        let text = fs::read_to_string(format!("listings/{listing}/{FILE}"))?;
        let run = |round: usize| {
            let changes = json!({ listing: { FILE: with_a_line(&text, round)? } });
            start(
                &server,
                &cookie,
                &json!({"scene": scene, "changes": changes}),
            )
        };
        // The first run is not a second one.
        run(usize::MAX)?;
        rows.push((listing, made_with, median(run)?));
    }
    println!();
    println!("| a second run, after a line has been changed, until its first program starts | |");
    println!("|---|---|");
    for (listing, made_with, time) in rows {
        println!(
            "| `{listing}`, made with {made_with} | {:.2} s |",
            time.as_secs_f64()
        );
    }
    Ok(())
}

/// What a browser gets that opens the address with the token.
fn cookie(server: &Server, opened: &str) -> Result<String> {
    let answer = server.get(opened)?;
    let mut lines = answer.lines();
    let cookie = lines.find_map(|line| line.strip_prefix("set-cookie: ")?.split(';').next());
    Ok(cookie.context("the token is not taken")?.to_owned())
}

/// The program, which now prints a number first.
fn with_a_line(text: &str, number: usize) -> Result<String> {
    let main = text.find("fn main()").context("no main")?;
    let begin = text[main..].find("{\n").context("no body")? + main + 2;
    let (before, after) = text.split_at(begin);
    Ok(format!("{before}    eprintln!(\"{number}\");\n{after}"))
}

/// The first scene of a page that has a server.
fn scene_with_server(page: &str) -> Option<&str> {
    page.split("data-scene=\"").skip(1).find_map(|bench| {
        let (tag, _) = bench.split_once('>')?;
        let (id, rest) = tag.split_once('"')?;
        rest.contains("data-server=").then_some(id)
    })
}

/// Runs a scene to its end. Returns how long it took until it began.
fn start(server: &Server, cookie: &str, body: &Value) -> Result<Duration> {
    let headers = [
        &*format!("Cookie: {cookie}"),
        &*format!("Origin: http://127.0.0.1:{PORT}"),
        "Content-Type: application/json",
    ];
    let asked = Instant::now();
    let answer = server.ask("POST /__workbench/run", &headers, &body.to_string())?;
    let mut begun = None;
    let mut said = Vec::new();
    for line in answer.lines() {
        let line = line?;
        let Some(event) = line.strip_prefix("data: ") else {
            continue;
        };
        let event: Value = serde_json::from_str(event)?;
        if event["event"] == "begin" {
            begun.get_or_insert_with(|| asked.elapsed());
        }
        said.push(event);
    }
    let has = |kind| said.iter().any(|event| event["event"] == kind);
    ensure!(has("compile") && has("over"), "it did not run: {said:?}");
    begun.context("nothing began")
}
