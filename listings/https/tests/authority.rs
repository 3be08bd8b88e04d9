//! The file with the authority's certificate: as the server writes it, and as clients read it.

mod programs;
mod sessions;

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;
use std::process::{Command, Stdio};

use https::certificates::{self, AUTHORITY, FILE_LIMIT};
use programs::{Server, closed_port, run};
use sessions::{
    CLIENTS, Certified, Folder, HOME, assert_fails, assert_success, complaint, program,
    rest, stdout,
};

#[test]
fn a_file_without_a_proper_certificate_is_an_error() {
    let folder = Folder::new();
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let good = certificates::authority("somebody").unwrap().pem();
    let broken = good.replace("MII", "!!!");
    let no_certificate =
        "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
    let huge = " ".repeat(FILE_LIMIT as usize);
    for (name, content, expected) in [
        ("empty", "", "no certificate in FILE"),
        ("notes", "not PEM at all\n", "no certificate in FILE"),
        ("key", &key, "no certificate in FILE"),
        ("huge", &huge, "FILE has no end within 4194304 bytes"),
        ("broken", &broken, "no proper certificate in FILE"),
        ("hello", no_certificate, "no proper certificate in FILE"),
        ("half", &good[..200], "no proper certificate in FILE"),
        (
            "second",
            &(good.clone() + no_certificate),
            "no proper certificate in FILE",
        ),
    ] {
        let file = folder.with(name, content);
        assert_unusable(&file, &expected.replace("FILE", &file));
    }
    let folder = folder.path().to_str().unwrap();
    assert_unusable(folder, &format!("cannot read {folder}"));
    let missing = format!("{folder}/missing.pem");
    assert_unusable(&missing, &format!("cannot read {missing}"));
    let below = format!("{folder}/notes/file.pem");
    assert_unusable(&below, &format!("cannot read {below}"));
    if cfg!(unix) {
        assert_unusable("/dev/null", "no certificate in /dev/null");
    }
    if cfg!(target_os = "linux") {
        let endless = "/dev/zero has no end within 4194304 bytes";
        assert_unusable("/dev/zero", endless);
    }
}

/// Asserts that the clients do not even connect, but say what is wrong with the file.
#[track_caller]
fn assert_unusable(file: &str, expected: &str) {
    let (address, _held) = closed_port();
    for client in CLIENTS {
        let said = complaint(&run(client, &[&address, "--ca", file]));
        let said = said.strip_prefix("Error: ").unwrap();
        assert!(said.starts_with(&format!("{expected}\n")), "{said}");
        let has_cause = said.contains("\n\nCaused by:\n");
        let needs_cause =
            expected.starts_with("cannot read") || expected.starts_with("no proper");
        assert_eq!(has_cause, needs_cause, "{said}");
    }
}

/// Nobody is kept from reading by that who is root.
#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_read_is_an_error_and_stays_as_it_is() {
    use std::os::unix::fs::PermissionsExt;

    let folder = Folder::new();
    let file = folder.with("ca.pem", "");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o0)).unwrap();
    if fs::read(&file).is_ok() {
        return;
    }
    assert_unusable(&file, &format!("cannot read {file}"));
    let output = run("server", &["127.0.0.1:0", "--ca", &file]);
    assert_fails(
        &output,
        &format!("cannot read {file}"),
        "Permission denied (os error 13)",
    );
    assert_eq!(folder.names(), ["ca.pem"]);
}

#[test]
fn several_certificates_in_one_file_are_all_trusted_and_so_are_those_among_other_things() {
    let [one, two] = [Certified::start(), Certified::start()];
    let folder = Folder::new();
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let [first, second] =
        [&one, &two].map(|server| fs::read_to_string(&server.ca).unwrap());
    let both = folder.with("both.pem", format!("# one\n{first}{key}# two\n{second}"));
    for server in [&one, &two] {
        let output = run("get", &[&server.address.to_string(), "--ca", &both]);
        assert_success(&output);
        assert_eq!(rest(&output), HOME);
    }
    let output = run("get", &[&one.address.to_string(), &format!("--ca={both}")]);
    assert_success(&output);
    let output = run("get", &["--ca", &both, &one.address.to_string()]);
    assert_success(&output);
}

#[test]
fn the_server_replaces_what_it_has_written_itself_and_nothing_else() {
    let folder = Folder::new();
    let ours = certificates::authority(AUTHORITY).unwrap().pem();
    let others = certificates::authority("Somebody").unwrap().pem();
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let like_ours = ours.replace("MII", "MIJ");
    for (content, is_replaced) in [
        ("", true),
        (" \n", true),
        (&ours[..], true),
        (&format!("\n{ours}\n"), true),
        ("notes", false),
        ("\0", false),
        (&others, false),
        (&key, false),
        (&format!("{ours}{ours}"), false),
        (&format!("{ours}{others}"), false),
        (&format!("{ours}{key}"), false),
        (&format!("{key}{ours}"), false),
        (&format!("notes\n{ours}"), false),
        (&format!("{ours}notes\n"), false),
        (&ours[..200], false),
        (&like_ours, false),
    ] {
        let file = folder.with("ca.pem", content);
        if is_replaced {
            let server = Server::start_with("server", &["--ca", &file]);
            let output = run("head", &[&server.address.to_string(), "--ca", &file]);
            assert_success(&output);
            assert_ne!(fs::read_to_string(&file).unwrap(), content);
        } else {
            assert_stays(&file);
            assert_eq!(fs::read_to_string(&file).unwrap(), content);
        }
        assert_eq!(folder.names(), ["ca.pem"]);
    }
    let huge = " ".repeat(FILE_LIMIT as usize);
    let file = folder.with("ca.pem", &huge);
    let output = run("server", &["127.0.0.1:0", "--ca", &file]);
    assert!(complaint(&output).contains("has no end within"));
    assert_eq!(fs::read_to_string(&file).unwrap(), huge);
}

/// Asserts that the server does not start because of what stands in this place.
#[track_caller]
fn assert_stays(file: &str) {
    for (name, arguments) in [("server", &[][..]), ("faulty", &["cut"])] {
        let arguments = [&["127.0.0.1:0"], arguments, &["--ca", file]].concat();
        let output = run(name, &arguments);
        let expected = format!("Error: {file} is something else, and stays as it is\n");
        assert_eq!(complaint(&output), expected);
        assert_eq!(stdout(&output), "");
    }
}

#[cfg(unix)]
#[test]
fn the_server_replaces_no_folder_no_device_and_no_link_that_leads_nowhere() {
    let folder = Folder::new();
    let inner = folder.file("folder");
    fs::create_dir(&inner).unwrap();
    assert_stays(&inner);
    assert_stays("/dev/null");
    assert_eq!(folder.names(), ["folder"]);

    let link = folder.file("link");
    std::os::unix::fs::symlink("elsewhere", &link).unwrap();
    assert_stays(&link);
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("elsewhere"));
    assert_eq!(folder.names(), ["folder", "link"]);
}

/// A full disk, say. Here the system lets the server write 0 bytes.
#[cfg(unix)]
#[test]
fn a_file_that_cannot_be_written_whole_is_not_there_at_all() {
    let folder = Folder::new();
    let ours = certificates::authority(AUTHORITY).unwrap().pem();
    let [new, old] = [folder.file("new.pem"), folder.with("old.pem", &ours)];
    let missing = folder.file("missing/ca.pem");
    for (file, script) in [
        (&new, "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\""),
        (&old, "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\""),
        (&missing, "exec \"$0\" \"$@\""),
    ] {
        let output = Command::new("sh")
            .args(["-c", script])
            .arg(program("server").get_program())
            .args(["127.0.0.1:0", "--ca", file])
            .env_remove("RUST_BACKTRACE")
            .output()
            .unwrap();
        let said = complaint(&output);
        assert!(
            said.starts_with(&format!("Error: cannot write {file}\n\nCaused by:\n")),
            "{said}"
        );
        assert_eq!(stdout(&output), "");
        assert_eq!(folder.names(), ["old.pem"]);
        assert_eq!(fs::read_to_string(&old).unwrap(), ours);
    }
}

/// It writes to a file beside it first, which has its process's number in its name.
#[cfg(unix)]
#[test]
fn a_file_of_somebody_else_that_is_in_the_way_stays_as_it_is() {
    let folder = Folder::new();
    let file = folder.file("ca.pem");
    let output = Command::new("sh")
        .args(["-c", "printf notes > \"$3.$$\"; exec \"$0\" \"$@\""])
        .arg(program("server").get_program())
        .args(["127.0.0.1:0", "--ca", &file])
        .env_remove("RUST_BACKTRACE")
        .output()
        .unwrap();
    let what = format!("cannot write {file}");
    assert_fails(&output, &what, "File exists (os error 17)");
    let names = folder.names();
    assert_eq!(names.len(), 1);
    assert_eq!(fs::read(folder.file(&names[0])).unwrap(), b"notes");
}

#[test]
fn the_certificate_is_all_that_the_server_leaves_on_the_disk() {
    let folder = Folder::new();
    let mut server = program("server")
        .args(["127.0.0.1:0", "--ca", "ca.pem"])
        .current_dir(folder.path())
        .envs(["HOME", "TMPDIR", "TMP", "TEMP"].map(|name| (name, folder.path())))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address = line.trim().strip_prefix("listening on ").unwrap();
    let ca = folder.file("ca.pem");
    assert_success(&run("get", &[address, "--ca", &ca]));

    assert_eq!(folder.names(), ["ca.pem"]);
    let pem = fs::read_to_string(&ca).unwrap();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"), "{pem}");
    assert_eq!(pem.matches("-----BEGIN").count(), 1, "{pem}");
    assert!(!pem.contains("KEY"), "{pem}");
    #[cfg(target_os = "linux")]
    for entry in fs::read_dir(format!("/proc/{}/fd", server.id())).unwrap() {
        // The connection's may be closed by now.
        let target = match fs::read_link(entry.unwrap().path()) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            target => target.unwrap(),
        };
        assert!(
            ["socket:", "pipe:", "/dev/null"]
                .iter()
                .any(|known| target.to_string_lossy().starts_with(known)),
            "{}",
            target.display()
        );
    }
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(folder.names(), ["ca.pem"]);
}

#[test]
fn the_certificate_is_there_when_the_server_says_that_it_listens_and_not_if_it_does_not() {
    let server = Certified::start();
    assert!(Path::new(&server.ca).exists());
    let folder = Folder::new();
    let file = folder.file("ca.pem");
    let address = server.address.to_string();
    for (name, arguments) in [("server", &[][..]), ("faulty", &["cut"])] {
        let arguments = [&[&address[..]], arguments, &["--ca", &file]].concat();
        let output = run(name, &arguments);
        assert_fails(
            &output,
            &format!("cannot listen on {address}"),
            "Address already in use (os error 98)",
        );
        assert_eq!(stdout(&output), "");
        assert!(folder.names().is_empty(), "{:?}", folder.names());
    }
}
