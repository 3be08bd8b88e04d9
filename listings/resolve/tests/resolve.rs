// No name in here is ever asked for on the network: `localhost`, addresses, and names that
// the resolver refuses by itself.

#[allow(dead_code)] // This listing has no server.
mod programs;

use std::net::{IpAddr, ToSocketAddrs};
use std::process::Output;

use programs::run;

/// The label between the two dots is empty, and only the root of all names may have such a
/// label (RFC 1034, section 3.1).
const IMPOSSIBLE: &str = "www..example.com";

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_address_is_its_own_answer() {
    let output = run("resolve", &["192.0.2.7", "2001:db8::7", "2001:DB8:0::8"]);
    assert_eq!(
        stdout(&output),
        "192.0.2.7 192.0.2.7\n2001:db8::7 2001:db8::7\n2001:DB8:0::8 2001:db8::8\n"
    );
    assert_eq!(stderr(&output), "");
    assert!(output.status.success());
}

#[test]
fn without_an_argument_the_host_is_localhost_and_every_address_of_it_is_loopback() {
    let output = run("resolve", &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_ne!(stdout(&output), "");
    for line in stdout(&output).lines() {
        let address = line.strip_prefix("localhost ").expect("the host is first");
        let address: IpAddr = address.parse().expect("an address follows");
        assert!(address.is_loopback(), "{line}");
    }
}

#[test]
fn all_addresses_are_printed_in_the_order_in_which_the_system_gives_them() {
    let expected: String = ("localhost", 0)
        .to_socket_addrs()
        .unwrap()
        .map(|address| format!("localhost {}\n", address.ip()))
        .collect();
    assert_eq!(stdout(&run("resolve", &["localhost"])), expected);
}

#[test]
fn a_host_that_fails_keeps_no_other_from_being_printed() {
    for program in ["resolve", "resolve-ipv4"] {
        let output = run(program, &["192.0.2.9", IMPOSSIBLE, "192.0.2.8"]);
        assert_eq!(
            stdout(&output),
            "192.0.2.9 192.0.2.9\n192.0.2.8 192.0.2.8\n"
        );
        assert!(
            stderr(&output).starts_with("cannot resolve www..example.com: "),
            "{}",
            stderr(&output)
        );
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn every_host_that_fails_has_a_line_of_its_own() {
    let long_label = format!("{}.example.com", "a".repeat(64));
    let long_name = "a.".repeat(5000);
    let names = [IMPOSSIBLE, "..", long_label.as_str(), long_name.as_str()];
    let output = run("resolve", &names);
    assert_eq!(stdout(&output), "");
    assert_eq!(stderr(&output).lines().count(), names.len());
    for (line, name) in stderr(&output).lines().zip(names) {
        assert!(
            line.starts_with(&format!("cannot resolve {name}: ")),
            "{line}"
        );
    }
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn the_system_reads_four_numbers_as_c_does_where_rust_would_not() {
    assert!("0300.0.2.7".parse::<IpAddr>().is_err());
    assert_eq!(
        stdout(&run("resolve", &["0300.0.2.7", "192.519"])),
        "0300.0.2.7 192.0.2.7\n192.519 192.0.2.7\n"
    );
}

#[test]
fn resolve_ipv4_prints_one_ipv4_address_or_says_that_there_is_none() {
    let output = run("resolve-ipv4", &["2001:db8::7", "192.0.2.7"]);
    assert_eq!(stdout(&output), "192.0.2.7 192.0.2.7\n");
    assert_eq!(
        stderr(&output),
        "cannot resolve 2001:db8::7: it has no IPv4 address\n"
    );
    assert_eq!(output.status.code(), Some(1));

    let all = stdout(&run("resolve", &["localhost"]));
    let first = all
        .lines()
        .find(|line| !line.contains(':'))
        .map(|line| format!("{line}\n"));
    let output = run("resolve-ipv4", &["localhost"]);
    assert_eq!(stdout(&output), first.unwrap_or_default());
}

#[test]
fn wrong_arguments_are_one_line_and_exit_code_2() {
    for program in ["resolve", "resolve-ipv4"] {
        for arguments in [
            &["-4"][..],
            &["--help"],
            &[""],
            &["192.0.2.7", "-v"],
            &["two\nlines"],
            &["\u{1b}[2J"],
        ] {
            let output = run(program, arguments);
            assert_eq!(output.status.code(), Some(2), "{program} {arguments:?}");
            assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
            assert!(!stderr(&output).contains('\u{1b}'));
            assert_eq!(stdout(&output), "");
        }
    }
}
