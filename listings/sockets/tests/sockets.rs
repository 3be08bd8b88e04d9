#[allow(dead_code)] // nothing here serves
mod programs;

use std::process::{Command, Output};
use std::thread;

use programs::run;

const BOTH_TYPES: &str = r#"sent: ["hello", "world"]
TCP, room for 64: ["helloworld"]
TCP, room for 4: ["hell", "owor", "ld"]
UDP, room for 64: ["hello", "world"]
UDP, room for 4: ["hell", "worl"]
"#;

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_byte_stream_loses_the_boundaries_and_a_datagram_loses_what_does_not_fit() {
    let output = run("socket-types", &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output), BOTH_TYPES);
    assert_eq!(stderr(&output), "");
}

#[test]
fn every_run_prints_the_same_however_busy_the_machine_is() {
    thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| assert_eq!(stdout(&run("socket-types", &[])), BOTH_TYPES));
        }
    });
}

#[test]
fn a_read_that_ends_inside_a_character_is_no_text() {
    let output = run("cut-character", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stdout(&output),
        "sent: café, 5 bytes\nread: [63, 61, 66, c3]\n"
    );
    assert!(
        stderr(&output).contains("incomplete utf-8 byte sequence from index 3"),
        "{}",
        stderr(&output)
    );
}

#[test]
#[cfg(target_os = "linux")]
fn a_datagram_of_65508_bytes_is_too_long() {
    let output = run("too-large", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout(&output), "sent 65507 bytes\n");
    assert!(
        stderr(&output).contains("Message too long (os error 90)"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn datagrams_that_nobody_reads_are_lost_without_an_error() {
    let output = run("too-fast", &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let printed = stdout(&output);
    let received = printed
        .strip_prefix("sent 1000 datagrams, and no call failed\nreceived ")
        .and_then(|received| received.trim_end().parse::<usize>().ok())
        .unwrap_or_else(|| panic!("not in the expected form: {printed}"));
    assert!((1..1_000).contains(&received), "{printed}");
}

#[test]
fn wrong_arguments_are_one_line_and_exit_code_2() {
    for program in ["socket-types", "cut-character", "too-large", "too-fast"] {
        for arguments in [
            &["nonsense"][..],
            &["--help"],
            &[""],
            &["127.0.0.1:0"],
            &["two\nlines"],
        ] {
            let output = run(program, arguments);
            assert_eq!(output.status.code(), Some(2), "{program} {arguments:?}");
            assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
            assert_eq!(stdout(&output), "");
        }
    }
}

#[test]
#[ignore = "needs unshare"]
fn a_machine_without_loopback_is_an_error_with_its_cause() {
    let output = Command::new("unshare")
        .args(["--user", "--net", env!("CARGO_BIN_EXE_socket-types")])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("cannot connect to 127.0.0.1"),
        "{}",
        stderr(&output)
    );
    assert!(
        stderr(&output).contains("Network is unreachable"),
        "{}",
        stderr(&output)
    );
}
