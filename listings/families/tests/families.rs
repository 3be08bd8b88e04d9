#[allow(dead_code)] // nothing here serves
mod programs;

use std::process::Output;

use programs::run;

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_addresses_are_printed_as_the_standard_library_writes_them() {
    let output = run("addresses", &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let printed = stdout(&output);
    for line in [
        "IPv4  192.0.2.1:80: host 192.0.2.1, port 80",
        "IPv6  [2001:db8::1]:80: host 2001:db8::1, port 80, scope id 0",
        "IPv6  [fe80::1%2]:80: host fe80::1, port 80, scope id 2",
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{printed}");
    }
}

#[test]
fn a_text_that_is_no_socket_address_is_told_from_one_that_is_an_ip_address() {
    let output = run("parse", &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        stdout(&output),
        "127.0.0.1: invalid socket address syntax\n    \
             but it is an IP address: 127.0.0.1\n\
         256.0.0.1:80: invalid socket address syntax\n\
         localhost:80: invalid socket address syntax\n\
         ::1:80: invalid socket address syntax\n    \
             but it is an IP address: ::1:80\n"
    );
}

#[test]
fn wrong_arguments_are_one_line_and_exit_code_2() {
    for program in [
        "families",
        "addresses",
        "wrong-family",
        "parse",
        "unix-path",
    ] {
        for arguments in [
            &["nonsense"][..],
            &["--help"],
            &[""],
            &["two", "words"],
            &["two\nlines"],
        ] {
            let output = run(program, arguments);
            assert_eq!(output.status.code(), Some(2), "{program} {arguments:?}");
            assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
            assert_eq!(stdout(&output), "");
        }
    }
}

/// What Linux answers, by another way than the programs': straight through the C library.
#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::net::UdpSocket;
    use std::os::unix::net::UnixDatagram;
    use std::path::PathBuf;
    use std::process::Command;
    use std::{env, io};

    use nix::errno::Errno;
    use nix::libc;
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

    use super::*;

    /// The last column of the table for a socket of this family.
    fn answer(family: AddressFamily) -> String {
        match socket(family, SockType::Datagram, SockFlag::empty(), None) {
            Ok(_) => "ok".into(),
            Err(errno) => format!("{errno:?}: {}", errno.desc()),
        }
    }

    /// The last column of the table for an attempt of the standard library.
    fn answer_of_std<T>(result: io::Result<T>) -> String {
        match result {
            Ok(_) => "ok".into(),
            Err(error) => {
                let errno =
                    Errno::from_raw(error.raw_os_error().expect("the kernel's answer"));
                format!("{errno:?}: {}", errno.desc())
            }
        }
    }

    /// The last column of the line in `printed` that starts with `start`.
    fn answer_in(printed: &str, start: &str) -> String {
        let line = printed
            .lines()
            .find(|line| line.starts_with(start))
            .unwrap_or_else(|| panic!("no line starts with {start:?} in:\n{printed}"));
        let (_, answer) = line.rsplit_once("  ").expect("columns");
        answer.trim_start().into()
    }

    const LONGEST_PATH: usize = 107;

    /// An empty folder of this test alone.
    fn empty_folder(name: &str) -> PathBuf {
        let folder =
            env::temp_dir().join(format!("families-test-{}-{name}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        folder
    }

    #[test]
    fn the_table_has_the_numbers_of_the_c_headers_and_the_answers_of_the_kernel() {
        let output = run("families", &[]);
        assert!(output.status.success(), "{}", stderr(&output));
        let printed = stdout(&output);
        for (name, family, number) in [
            ("AF_UNIX", AddressFamily::Unix, libc::AF_UNIX),
            ("AF_INET", AddressFamily::Inet, libc::AF_INET),
            ("AF_INET6", AddressFamily::Inet6, libc::AF_INET6),
            ("AF_IPX", AddressFamily::Ipx, libc::AF_IPX),
            ("AF_BLUETOOTH", AddressFamily::Bluetooth, libc::AF_BLUETOOTH),
            ("AF_PACKET", AddressFamily::Packet, libc::AF_PACKET),
        ] {
            let start = format!("{name:<12} {number:>2}  ");
            assert_eq!(answer_in(&printed, &start), answer(family), "{printed}");
        }
    }

    #[test]
    fn an_address_can_be_bound_where_the_standard_library_can_bind_it() {
        let output = run("families", &[]);
        let printed = stdout(&output);
        let folder = empty_folder("bind");
        for (start, expected) in [
            (
                "bind AF_UNIX ",
                answer_of_std(UnixDatagram::bind(folder.join("socket"))),
            ),
            (
                "bind AF_INET ",
                answer_of_std(UdpSocket::bind("127.0.0.1:0")),
            ),
            ("bind AF_INET6 ", answer_of_std(UdpSocket::bind("[::1]:0"))),
        ] {
            assert_eq!(answer_in(&printed, start), expected, "{printed}");
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn nothing_is_left_in_the_temporary_folder() {
        for program in [
            env!("CARGO_BIN_EXE_families"),
            env!("CARGO_BIN_EXE_unix-path"),
        ] {
            let folder = empty_folder("left");
            let output = Command::new(program)
                .env("TMPDIR", &folder)
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", stderr(&output));
            fs::remove_dir(folder).expect("the folder is empty");
        }
    }

    #[test]
    fn a_temporary_folder_that_does_not_exist_is_an_error_with_its_cause() {
        for program in [
            env!("CARGO_BIN_EXE_families"),
            env!("CARGO_BIN_EXE_unix-path"),
        ] {
            let output = Command::new(program)
                .env("TMPDIR", "/nowhere")
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(1));
            assert!(
                stderr(&output).contains("cannot make /nowhere"),
                "{}",
                stderr(&output)
            );
            assert!(
                stderr(&output).contains("No such file or directory"),
                "{}",
                stderr(&output)
            );
        }
    }

    #[test]
    fn a_temporary_folder_with_a_long_name_costs_only_the_path() {
        let folder = empty_folder(&"x".repeat(LONGEST_PATH));
        let output = Command::new(env!("CARGO_BIN_EXE_families"))
            .env("TMPDIR", &folder)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let printed = stdout(&output);
        assert_eq!(
            answer_in(&printed, "bind AF_UNIX "),
            "path must be shorter than SUN_LEN",
            "{printed}"
        );
        fs::remove_dir(folder).unwrap();
    }

    #[test]
    fn an_ipv4_socket_cannot_send_to_an_ipv6_address() {
        let output = run("wrong-family", &[]);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(stdout(&output), "");
        assert!(
            stderr(&output)
                .contains("Address family not supported by protocol (os error 97)"),
            "{}",
            stderr(&output)
        );
    }

    #[test]
    fn a_unix_path_is_taken_until_its_file_is_removed_and_has_107_bytes_at_most() {
        let output = run("unix-path", &[]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(
            stdout(&output),
            "bind: ok\n\
             closed; the file is still there: true\n\
             bind: Address already in use (os error 98)\n\
             remove the file: ok\n\
             bind: ok\n\
             bind while it is open: Address already in use (os error 98)\n\
             bind 107 bytes: ok\n\
             bind 108 bytes: path must be shorter than SUN_LEN\n"
        );
    }

    #[test]
    fn the_three_kinds_of_unix_addresses_are_told_apart() {
        let printed = stdout(&run("addresses", &[]));
        for line in [
            "Unix  \"/run/example.socket\" (pathname)",
            "Unix  \"example\" (abstract)",
            "Unix  (unnamed)",
        ] {
            assert!(printed.lines().any(|printed| printed == line), "{printed}");
        }
    }

    #[test]
    #[ignore = "needs unshare"]
    fn packets_are_for_who_may_rule_the_network() {
        for (options, expected) in [
            (&["--user", "--net"][..], "EPERM: Operation not permitted"),
            (&["--user", "--net", "--map-root-user"], "ok"),
        ] {
            let output = Command::new("unshare")
                .args(options)
                .arg(env!("CARGO_BIN_EXE_families"))
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", stderr(&output));
            let printed = stdout(&output);
            assert_eq!(answer_in(&printed, "AF_PACKET "), expected, "{printed}");
        }
    }

    #[test]
    #[ignore = "needs unshare"]
    fn a_family_can_have_sockets_and_no_address() {
        let output = Command::new("unshare")
            .args(["--user", "--net", env!("CARGO_BIN_EXE_families")])
            .output()
            .unwrap();
        let printed = stdout(&output);
        assert_eq!(
            answer_in(&printed, "AF_INET6 "),
            answer(AddressFamily::Inet6)
        );
        assert_ne!(answer_in(&printed, "bind AF_INET6 "), "ok", "{printed}");
    }
}
