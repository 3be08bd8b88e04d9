//! What `load` does, and what it counts.

mod conversation;
mod programs;
mod stand_in;

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Instant;

use conversation::{assert_fails, stderr, stdout};
use programs::{DEADLINE, Server, closed_port, run};
use serde_json::{Value, json};
use stand_in::{ANSWER, answering, load, next_request, number, percentile, serving};

/// A run that is as short as possible.
const SHORT: [&str; 4] = ["--warm-up", "0", "--duration", "0.2"];
const IMPATIENT: [&str; 6] = ["--warm-up", "0", "--duration", "0.2", "--timeout", "0.2"];

/// The one kind of failure in a report.
#[track_caller]
fn only_failure(report: &Value) -> &str {
    let failures = report["failures"].as_object().expect("an object");
    let kinds: Vec<_> = failures.iter().collect();
    let [(kind, count)] = kinds[..] else {
        panic!("one kind of failure, not {report:#}");
    };
    assert!(count.as_u64() > Some(0));
    assert_eq!(number(report, "answers"), 0.0, "{report:#}");
    kind
}

#[test]
fn json_has_all_there_is_to_know() {
    let server = Server::start("event-loop");
    let report = load(&server.address.to_string(), &SHORT);
    let names: Vec<_> = report.as_object().expect("an object").keys().collect();
    assert_eq!(
        names,
        [
            "answers",
            "answers_in_all",
            "answers_per_second",
            "closed",
            "connections",
            "failures",
            "idle",
            "new_connections",
            "protocol",
            "rate",
            "seconds",
            "silent",
            "since_due",
            "since_sent",
            "size",
            "unsent",
        ]
    );
    assert_eq!(report["protocol"], "http");
    assert_eq!(report["size"], Value::Null);
    assert_eq!(report["connections"], 1);
    assert_eq!(report["new_connections"], false);
    assert_eq!(report["rate"], Value::Null);
    assert_eq!(report["since_due"], Value::Null);
    assert_eq!(report["failures"], json!({}));
    assert_eq!(number(&report, "seconds"), 0.2);
    let per_second = number(&report, "answers") / number(&report, "seconds");
    assert_eq!(number(&report, "answers_per_second"), per_second);
    let times = ["50", "75", "90", "99", "99.9", "100"];
    let times = times.map(|percent| percentile(&report, "since_sent", percent));
    assert!(times.is_sorted(), "{report:#}");
    assert!(times[0] > 0.0, "{report:#}");
}

#[test]
fn every_design_answers_both_protocols_however_the_load_is_made() {
    let try_it = |design, protocol: &[&str]| {
        let server = Server::start_with(design, protocol);
        let address = server.address.to_string();
        for option in [&[][..], &["--rate", "100"], &["--new-connections"]] {
            let arguments = [&SHORT[..], protocol, option].concat();
            let report = load(&address, &arguments);
            assert_eq!(report["failures"], json!({}), "{design} {arguments:?}");
            assert!(number(&report, "answers_in_all") > 0.0, "{report:#}");
        }
    };
    thread::scope(|scope| {
        for design in ["sequential", "threads", "pool", "event-loop", "tokio"] {
            scope.spawn(move || try_it(design, &[]));
            scope.spawn(move || try_it(design, &["--echo"]));
        }
    });
}

#[test]
fn an_echo_may_be_larger_than_all_buffers() {
    let server = Server::start_with("threads", &["--echo"]);
    let arguments = ["--echo", "--size", "1048576", "--connections", "2"];
    let report = load(&server.address.to_string(), &arguments);
    assert_eq!(report["failures"], json!({}));
    assert_eq!(report["size"], 1_048_576);
    assert!(number(&report, "answers_in_all") > 0.0);
}

#[test]
fn with_a_rate_every_request_that_is_due_is_accounted_for() {
    let address = answering(ANSWER);
    let common = ["--warm-up", "0", "--duration", "0.5", "--rate", "200"];
    for connections in ["1", "10"] {
        let report = load(
            &address,
            &[&common[..], &["--connections", connections]].concat(),
        );
        let due = number(&report, "answers_in_all") + number(&report, "unsent");
        assert!((99.0..=101.0).contains(&due), "{report:#}");
        assert_eq!(report["failures"], json!({}));
        assert!(percentile(&report, "since_due", "50") > 0.0);
    }
}

#[test]
fn what_cannot_be_sent_in_time_is_said() {
    // The only connection has no answer as long as the run lasts.
    let address = serving(|mut stream| {
        next_request(&mut stream);
        let _ = stream.read(&mut [0]);
    });
    let report = load(&address, &[&IMPATIENT[..], &["--rate", "1000"]].concat());
    // It gives up the first after 0.2 seconds, and may just send a second.
    let unsent = number(&report, "unsent");
    assert!((100.0..=200.0).contains(&unsent), "{report:#}");
    let table = run(
        "load",
        &[&[&*address], &IMPATIENT[..], &["--rate", "1000"]].concat(),
    );
    let table = stdout(&table);
    assert!(table.contains("could not even be sent in time"), "{table}");
    assert!(table.contains("failed: timed out"), "{table}");
}

#[test]
fn each_request_has_a_connection_of_its_own_if_that_is_wanted() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let address = serving(move |mut stream| {
        counted.fetch_add(1, Relaxed);
        let mut bytes = [0; 1024];
        let length = stream.read(&mut bytes).unwrap_or_default();
        let request = String::from_utf8_lossy(&bytes[..length]);
        let is_last = request.contains("\r\nConnection: close\r\n");
        assert!(is_last || length == 0, "{request}");
        let _ = stream.write_all(ANSWER.as_bytes());
    });
    let common = ["--new-connections", "--connections", "3"];
    let report = load(&address, &[&SHORT[..], &common].concat());
    let answers = number(&report, "answers_in_all");
    // And the first one of all, which only looks whether anybody is there.
    assert_eq!(count.load(Relaxed) as f64, answers + 1.0, "{report:#}");
}

#[test]
fn the_same_connections_are_used_again_if_nothing_else_is_wanted() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let address = serving(move |mut stream| {
        counted.fetch_add(1, Relaxed);
        while next_request(&mut stream) && stream.write_all(ANSWER.as_bytes()).is_ok() {}
    });
    let report = load(&address, &[&SHORT[..], &["--connections", "3"]].concat());
    assert_eq!(count.load(Relaxed), 4, "{report:#}");
    assert_eq!(report["failures"], json!({}));
}

#[test]
fn a_server_that_closes_after_each_answer_is_connected_to_again() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    ] {
        let address = serving(move |mut stream| {
            if next_request(&mut stream) {
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        let report = load(&address, &SHORT);
        assert_eq!(report["failures"], json!({}), "{answer}");
        assert!(number(&report, "answers_in_all") > 1.0, "{report:#}");
    }
}

#[test]
fn beside_the_load_there_are_idle_and_silent_connections() {
    let (asked, silent) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (asked_once, never) = (Arc::clone(&asked), Arc::clone(&silent));
    let address = serving(move |mut stream| {
        let mut requests = 0;
        while next_request(&mut stream) && stream.write_all(ANSWER.as_bytes()).is_ok() {
            requests += 1;
        }
        match requests {
            0 => never.fetch_add(1, Relaxed),
            1 => asked_once.fetch_add(1, Relaxed),
            _ => 0,
        };
    });
    let report = load(
        &address,
        &[&SHORT[..], &["--idle", "5", "--silent", "7"]].concat(),
    );
    assert_eq!(report["idle"], 5);
    assert_eq!(report["silent"], 7);
    assert_eq!(report["closed"], 0);
    // The first of all is silent too. The server hears of their end in its own time.
    let began = Instant::now();
    loop {
        let counts = (asked.load(Relaxed), silent.load(Relaxed));
        if counts == (5, 8) {
            break;
        }
        assert!(began.elapsed() < DEADLINE, "{counts:?}");
        thread::yield_now();
    }
}

#[test]
fn idle_connections_that_the_server_closes_are_counted() {
    let address = serving(|mut stream| {
        if next_request(&mut stream) {
            let _ = stream.write_all(ANSWER.as_bytes());
        }
    });
    let arguments = [&SHORT[..], &["--idle", "5", "--new-connections"]].concat();
    assert_eq!(load(&address, &arguments)["closed"], 5);
    let output = run("load", &[&[&*address], &arguments[..]].concat());
    let table = stdout(&output);
    assert!(table.contains("beside 5 idle connections\n"), "{table}");
    assert!(
        table.contains("the server has closed 5 of them\n"),
        "{table}"
    );
}

#[test]
fn answers_that_are_none_are_counted_by_their_kind() {
    for (answer, kind) in [
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            "status 404",
        ),
        ("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", "status 500"),
        ("hello\r\n\r\n", "not the answer"),
        ("\0\u{1}\u{2}", "not the answer"),
        ("HTTP/1.1 200 OK\r\n\r\nhi", "not the answer"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nhi",
            "not the answer",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nhi",
            "not the answer",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhi",
            "not the answer",
        ),
    ] {
        let report = load(&answering(answer), &SHORT);
        assert_eq!(only_failure(&report), kind, "{answer}");
    }
}

#[test]
fn an_echo_of_something_else_is_a_failure() {
    for answer in ["z", "abcz", "hello"] {
        let address = serving(move |mut stream| {
            let mut bytes = [0; 1024];
            while let Ok(1..) = stream.read(&mut bytes) {
                if stream.write_all(answer.as_bytes()).is_err() {
                    break;
                }
            }
        });
        let report = load(&address, &[&SHORT[..], &["--echo"]].concat());
        assert_eq!(only_failure(&report), "not the answer", "{answer}");
    }
}

#[test]
fn a_server_that_closes_without_an_answer_is_a_failure() {
    for answer in [
        "",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi",
    ] {
        let address = serving(move |mut stream| {
            if next_request(&mut stream) {
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        let report = load(&address, &SHORT);
        assert_eq!(only_failure(&report), "closed without an answer");
    }
}

#[test]
fn a_server_that_resets_the_connection_is_a_failure() {
    let address = serving(|mut stream| {
        if next_request(&mut stream) {
            conversation::reset(stream);
        }
    });
    let report = load(&address, &SHORT);
    assert!(only_failure(&report).starts_with("Connection reset by peer"));
}

/// It waits for those that are on their way when its time is over, but not for ever.
#[test]
fn a_run_ends_even_if_the_server_says_nothing_or_has_no_end() {
    let silent = serving(|mut stream| {
        let _ = stream.read_to_end(&mut vec![]);
    });
    assert_eq!(only_failure(&load(&silent, &IMPATIENT)), "timed out");

    for beginning in [
        "",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 10000000000000000\r\n\r\n",
    ] {
        let endless = serving(move |mut stream| {
            let _ = stream.write_all(beginning.as_bytes());
            let more = b"X: y\r\n".repeat(10_000);
            while stream.write_all(&more).is_ok() {}
        });
        let report = load(&endless, &IMPATIENT);
        let failures = report["failures"].as_object().expect("an object");
        assert!(!failures.is_empty(), "{beginning}");
        assert_eq!(number(&report, "answers"), 0.0);
    }
}

#[test]
fn a_server_that_never_reads_is_a_failure_too() {
    let deaf = serving(|stream| {
        std::mem::forget(stream);
    });
    let arguments = ["--echo", "--size", "1048576"];
    let report = load(&deaf, &[&IMPATIENT[..], &arguments].concat());
    assert_eq!(only_failure(&report), "timed out");
}

#[test]
fn nobody_there_is_an_error_with_its_cause() {
    let (address, _held) = closed_port();
    let output = run("load", &[&address]);
    assert_fails(&output, &format!("cannot connect to {address}"));
    assert_fails(&output, "Connection refused");
}

#[test]
fn an_idle_connection_that_has_no_answer_is_an_error() {
    let address = serving(drop);
    let output = run("load", &[&address, "--idle", "3"]);
    assert_fails(&output, "cannot open idle connection 1");
}

#[test]
fn the_table_says_what_was_done_and_how_long_it_took() {
    let server = Server::start("tokio");
    let address = server.address.to_string();
    let output = run("load", &[&[&*address], &SHORT[..]].concat());
    assert_eq!(stderr(&output), "");
    let table = stdout(&output);
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines[0], format!("GET http://{address}/: 1 connection"));
    assert!(lines[1].contains(" answers, "), "{table}");
    assert_eq!(lines[2], "percent  ms since sent");
    assert_eq!(lines.len(), 9, "{table}");

    let options = ["--rate", "100", "--connections", "3", "--new-connections"];
    let output = run("load", &[&[&*address], &SHORT[..], &options].concat());
    let table = stdout(&output);
    let lines: Vec<_> = table.lines().collect();
    let first = "a new connection each, 3 at a time, 100 requests/s";
    assert_eq!(lines[0], format!("GET http://{address}/: {first}"));
    // Above it, a busy machine may be told of what could not be sent in time.
    let head = "percent  ms since sent  ms since due";
    assert!(lines[2..].contains(&head), "{table}");
}
