//! What the programs are told.

mod conversation;
mod programs;

use std::net::TcpListener;

use conversation::{assert_fails, stderr, stdout};
use programs::run;

const SERVERS: [&str; 5] = ["sequential", "threads", "pool", "event-loop", "tokio"];

fn assert_refused(program: &str, arguments: &[&str]) {
    let output = run(program, arguments);
    assert_eq!(output.status.code(), Some(2), "{program} {arguments:?}");
    assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
    assert_eq!(stdout(&output), "");
}

#[test]
fn wrong_arguments_are_one_line_and_exit_code_2() {
    for program in SERVERS {
        for arguments in [
            &["nonsense"][..],
            &["127.0.0.1:99999"],
            &["::1:8001"],
            &["--help"],
            &["-x"],
            &["--echo=yes"],
            &["127.0.0.1:0", "more"],
            &["two\nlines"],
        ] {
            assert_refused(program, arguments);
        }
    }
    assert_refused("threads", &["--all-cores"]);
}

#[test]
fn wrong_arguments_of_load_are_one_line_and_exit_code_2() {
    for arguments in [
        &["nonsense"][..],
        &["127.0.0.1:99999"],
        &["127.0.0.1:1", "more"],
        &["--nonsense"],
        &["-c", "10"],
        &["--connections"],
        &["--connections", "0"],
        &["--connections", "-1"],
        &["--connections", "many"],
        &["--connections", "1e9"],
        &["--rate", "0"],
        &["--rate", "NaN"],
        &["--rate", "inf"],
        &["--duration", "0"],
        &["--duration", "1e300"],
        &["--timeout", "-1"],
        &["--size", "0"],
        &["--json=yes"],
        &["two\nlines"],
    ] {
        assert_refused("load", arguments);
    }
}

#[test]
fn load_helps() {
    let output = run("load", &["--help"]);
    assert!(output.status.success());
    for option in [
        "--echo",
        "--rate N",
        "--idle N",
        "--warm-up SECONDS",
        "--json",
    ] {
        assert!(stdout(&output).contains(option), "{option}");
    }
}

#[test]
fn a_taken_address_is_an_error_with_its_cause() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    for program in SERVERS {
        let output = run(program, &[&address]);
        assert_fails(&output, &format!("cannot listen on {address}"));
        assert_fails(&output, "Address already in use");
    }
}
