//! `load` tells the truth about servers whose delay is known.

mod conversation;
mod programs;
mod stand_in;

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use stand_in::{ANSWER, load, next_request, percentile, serving};

/// How long a server of known delay takes for an answer.
const DELAY: Duration = Duration::from_millis(20);
/// How long one that stalls once does.
const STALL: Duration = Duration::from_millis(300);
/// How far off a median may be, in milliseconds.
const TOLERANCE: f64 = 1.0;
/// How often a test is tried: a machine that is busy with something else may be late at any
/// time, which is no fault of the program. A program that counts wrong always does.
const ROUNDS: usize = 10;

/// Tries until there is nothing to object to; fails with the last objection.
#[track_caller]
fn at_last(mut attempt: impl FnMut() -> Result<(), String>) {
    let mut objection = String::new();
    for _ in 0..ROUNDS {
        match attempt() {
            Ok(()) => return,
            Err(found) => objection = found,
        }
    }
    panic!("in {ROUNDS} rounds, and at last: {objection}");
}

/// A server that answers after [`DELAY`]; and how many milliseconds it took in each case.
fn delaying() -> (String, Arc<Mutex<Vec<f64>>>) {
    let delays = Arc::new(Mutex::new(vec![]));
    let found = Arc::clone(&delays);
    let address = serving(move |mut stream| {
        while next_request(&mut stream) {
            let began = Instant::now();
            thread::sleep(DELAY);
            let delay = began.elapsed();
            if stream.write_all(ANSWER.as_bytes()).is_err() {
                break;
            }
            found.lock().unwrap().push(delay.as_secs_f64() * 1000.0);
        }
    });
    (address, delays)
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

#[track_caller]
fn assert_shows_the_delay(arguments: &[&str], kinds: &[&str]) {
    at_last(|| {
        let (address, delays) = delaying();
        let common = ["--warm-up", "0", "--duration", "0.6", "--connections", "4"];
        let report = load(&address, &[&common, arguments].concat());
        assert_eq!(report["failures"], json!({}));
        let delay = median(delays.lock().unwrap().clone());
        for kind in kinds {
            let shown = percentile(&report, kind, "50");
            // A microsecond is what it counts in.
            if !(delay - 0.001..delay + TOLERANCE).contains(&shown) {
                return Err(format!("{shown} ms {kind}, where it is {delay} ms"));
            }
        }
        Ok(())
    });
}

#[test]
fn the_median_of_a_server_of_known_delay_is_right() {
    assert_shows_the_delay(&[], &["since_sent"]);
}

#[test]
fn with_a_rate_so_is_the_time_since_a_request_was_due() {
    assert_shows_the_delay(&["--rate", "100"], &["since_sent", "since_due"]);
}

/// One request of about 500 waits for 300 ms. While it does, 150 others are due, and the first
/// of them wait nearly as long. But they are sent only afterwards.
#[test]
fn a_stall_shows_in_the_time_since_due_and_hides_in_the_time_since_sent() {
    at_last(|| {
        let has_stalled = AtomicBool::new(false);
        let address = serving(move |mut stream| {
            while next_request(&mut stream) {
                if !has_stalled.swap(true, Relaxed) {
                    thread::sleep(STALL);
                }
                if stream.write_all(ANSWER.as_bytes()).is_err() {
                    break;
                }
            }
        });
        let common = ["--warm-up", "0", "--duration", "1", "--rate", "500"];
        let report = load(&address, &common);
        assert_eq!(report["failures"], json!({}));
        let since_due = percentile(&report, "since_due", "99");
        let since_sent = percentile(&report, "since_sent", "99");
        if since_due < 250.0 || since_sent > 50.0 {
            return Err(format!(
                "{since_due} ms since due, {since_sent} ms since sent"
            ));
        }
        // As the longest of all it shows in both.
        assert!(percentile(&report, "since_sent", "100") >= 300.0);
        Ok(())
    });
}

/// Nobody waits here, and so both are the same.
#[test]
fn without_a_stall_both_times_agree() {
    at_last(|| {
        let (address, _) = delaying();
        let common = ["--warm-up", "0", "--duration", "0.5", "--rate", "50"];
        let report = load(&address, &[&common[..], &["--connections", "10"]].concat());
        let [since_due, since_sent] =
            ["since_due", "since_sent"].map(|kind| percentile(&report, kind, "90"));
        match since_due - since_sent < TOLERANCE {
            true => Ok(()),
            false => Err(format!(
                "{since_due} ms since due, {since_sent} ms since sent"
            )),
        }
    });
}
