//! The servers and `load` beside programs that others have written.

mod conversation;
mod programs;
mod stand_in;

use std::io::Write;
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use programs::Server;
use stand_in::{ANSWER, load, next_request, number, serving};

const SERVERS: [&str; 5] = ["sequential", "threads", "pool", "event-loop", "tokio"];
/// How often two programs are compared, and how often at most.
const PAIRS: usize = 5;
const MOST_PAIRS: usize = 25;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What the program `name` prints.
#[track_caller]
fn output_of(name: &str, arguments: &[&str]) -> String {
    let output = Command::new(name).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{name}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

/// What stands behind `name:` in the output.
#[track_caller]
fn value<'a>(output: &'a str, name: &str) -> &'a str {
    let value = output.lines().find_map(|line| {
        let value = line.trim().strip_prefix(name)?.strip_prefix(':')?;
        Some(value.trim())
    });
    value.unwrap_or_else(|| panic!("{name} in {output}"))
}

/// With keep-alive, ab never leaves, and so keeps a worker for each of its connections: with
/// more of them than workers it would wait for ever.
#[test]
#[ignore = "needs apache2-utils"]
fn ab_gets_an_answer_to_every_request() {
    let _alone = ONE_AT_A_TIME.lock();
    for name in SERVERS {
        let at_a_time = match name {
            "sequential" => "1",
            "pool" => "4",
            _ => "20",
        };
        for option in [&["-c", "20"][..], &["-c", at_a_time, "-k"]] {
            let server = Server::start(name);
            let url = format!("http://{}/", server.address);
            let common = ["-q", "-n", "2000"];
            let output = output_of("ab", &[&common, option, &[&*url]].concat());
            assert_eq!(value(&output, "Complete requests"), "2000", "{name}");
            assert_eq!(value(&output, "Failed requests"), "0", "{name}");
            assert_eq!(value(&output, "Document Length"), "27 bytes", "{name}");
            assert!(!output.contains("Non-2xx"), "{name}: {output}");
            if option.contains(&"-k") {
                assert_eq!(value(&output, "Keep-Alive requests"), "2000", "{name}");
            }
        }
    }
}

#[test]
#[ignore = "needs curl"]
fn curl_gets_the_page() {
    let _alone = ONE_AT_A_TIME.lock();
    for name in SERVERS {
        let server = Server::start(name);
        let url = format!("http://{}/", server.address);
        for option in ["--http1.1", "--http1.0"] {
            let arguments = ["-sS", "--fail", option, &url, &url];
            let page = "Hello from the other side.\n";
            assert_eq!(output_of("curl", &arguments), page.repeat(2), "{name}");
        }
        let head = output_of("curl", &["-sS", "--head", &url]);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{name}: {head}");
        let status = ["-sS", "-o", "/dev/null", "-w", "%{http_code}"];
        let missing = format!("{url}missing");
        let not_found = output_of("curl", &[&status[..], &[&*missing]].concat());
        assert_eq!(not_found, "404", "{name}");
        let content = output_of("curl", &[&status[..], &["-d", "x", &*url]].concat());
        assert_eq!(content, "413", "{name}");
    }
}

/// Answers each second, as wrk says.
fn wrk_finds(address: &str, connections: &str) -> f64 {
    let url = format!("http://{address}/");
    let output = output_of("wrk", &["-t1", "-c", connections, "-d1s", &url]);
    assert!(!output.contains("Socket errors"), "{output}");
    assert!(!output.contains("Non-2xx"), "{output}");
    value(&output, "Requests/sec").parse().expect("a number")
}

/// And as `load` says.
fn load_finds(address: &str, connections: &str) -> f64 {
    let options = ["--connections", connections, "--duration", "1"];
    let report = load(address, &options);
    assert_eq!(report["failures"], serde_json::json!({}));
    number(&report, "answers_per_second")
}

/// Asserts that both find the same, more or less: as the median of five pairs of runs, or of
/// more, since a machine that is busy with something else may disturb any of them.
#[track_caller]
fn assert_agree(address: &str, connections: &str) {
    // Other tests would disturb both.
    let _alone = ONE_AT_A_TIME.lock();
    let mut ratios = vec![];
    for pair in 1..=MOST_PAIRS {
        // Neither is always the first.
        let (ours, theirs) = if pair % 2 == 0 {
            let ours = load_finds(address, connections);
            (ours, wrk_finds(address, connections))
        } else {
            let theirs = wrk_finds(address, connections);
            (load_finds(address, connections), theirs)
        };
        println!("load: {ours} answers/s, wrk: {theirs} answers/s");
        ratios.push(ours / theirs);
        ratios.sort_by(f64::total_cmp);
        let median = ratios[ratios.len() / 2];
        if pair >= PAIRS && (0.9..1.1).contains(&median) {
            return;
        }
    }
    panic!("load / wrk: {ratios:?}");
}

/// Ten connections, each of which has an answer every ten milliseconds.
#[test]
#[ignore = "needs wrk"]
fn load_and_wrk_agree_on_a_server_of_known_delay() {
    let address = serving(|mut stream| {
        while next_request(&mut stream) {
            thread::sleep(Duration::from_millis(10));
            if stream.write_all(ANSWER.as_bytes()).is_err() {
                break;
            }
        }
    });
    assert_agree(&address, "10");
}

/// One thread for all, which takes half a millisecond for each answer and never rests.
#[test]
#[ignore = "needs wrk"]
fn load_and_wrk_agree_on_a_server_that_can_do_no_more() {
    let is_free = Mutex::new(());
    let address = serving(move |mut stream| {
        while next_request(&mut stream) {
            let turn = is_free.lock();
            thread::sleep(Duration::from_micros(500));
            drop(turn);
            if stream.write_all(ANSWER.as_bytes()).is_err() {
                break;
            }
        }
    });
    assert_agree(&address, "50");
}

#[test]
#[ignore = "needs wrk"]
fn load_and_wrk_agree_on_a_busy_server() {
    let server = Server::start("tokio");
    assert_agree(&server.address.to_string(), "50");
}
