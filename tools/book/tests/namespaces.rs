//! What a scene's own little internet is like: nobody else is in it, and nothing leaves it.

#![cfg(target_os = "linux")]

mod fixture;

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use fixture::{Project, address, programs, scene};
use walkdir::WalkDir;

#[test]
#[ignore = "needs namespaces"]
fn a_scene_has_its_documented_port_though_somebody_else_has_it_and_that_one_hears_nothing() {
    let address = address();
    let outsiders = (
        TcpListener::bind(address).expect("the port was free"),
        UdpSocket::bind(address).expect("the port was free"),
    );
    let datagram = r#"fn main() -> std::io::Result<()> {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
        socket.connect("DOCUMENTED")?;
        socket.send(b"hi")?;
        println!("UDP: {:?}", socket.recv(&mut [0; 8]).map_err(|error| error.kind()));
        Ok(())
    }"#;
    let project = Project::with_listing(
        &scene(&format!(
            "demo 'server' 'client' 'client {address}' 'datagram'"
        )),
        Some(address),
        &[
            ("server", &programs::server(address)),
            ("client", &programs::client(address)),
            (
                "datagram",
                &datagram.replace("DOCUMENTED", &address.to_string()),
            ),
        ],
    );
    project.build();
    let page = project.page();
    assert_eq!(
        page.outputs(),
        [
            &format!("listening on {address}"),
            "welcome",
            "welcome",
            "UDP: Err(ConnectionRefused)"
        ]
    );
    assert_eq!(
        page.commands()[..2],
        [
            "cargo run -q -p demo --bin server",
            "cargo run -q -p demo --bin client"
        ]
    );
    let (listener, socket) = outsiders;
    listener.set_nonblocking(true).unwrap();
    socket.set_nonblocking(true).unwrap();
    let is_silence = |error: io::Error| error.kind() == io::ErrorKind::WouldBlock;
    assert!(listener.accept().is_err_and(is_silence));
    assert!(socket.recv(&mut [0; 8]).is_err_and(is_silence));
}

#[test]
#[ignore = "needs namespaces"]
fn the_documented_port_is_closed_in_a_scene_though_somebody_listens_there() {
    let address = address();
    let program = format!(
        r#"fn main() {{
            let refused = std::net::TcpStream::connect("{address}").map_err(|error| error.kind());
            println!("{{refused:?}}");
        }}"#
    );
    let project = Project::with_listing(
        &scene("--closed-port demo 'program'"),
        Some(address),
        &[("program", &program)],
    );
    let _taken = TcpListener::bind(address).expect("the port was free");
    project.build();
    let page = project.page();
    assert_eq!(page.outputs(), ["Err(ConnectionRefused)"]);
    assert_eq!(page.commands(), ["cargo run -q -p demo --bin program"]);
}

/// The addresses are for documentation (RFC 5737, RFC 3849): nobody has them, but a machine with a default route would send to them.
#[test]
#[ignore = "needs namespaces"]
fn what_would_leave_the_machine_fails_at_once() {
    let program = r#"use std::net::{TcpStream, UdpSocket};

    fn main() -> std::io::Result<()> {
        for (from, to) in [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")] {
            let begin = std::time::Instant::now();
            let Ok(socket) = UdpSocket::bind(from) else {
                println!("no such family");
                continue;
            };
            println!("TCP: {:?}", TcpStream::connect(to).map_err(|error| error.kind()));
            println!("UDP: {:?}", socket.send_to(b"hi", to).map_err(|error| error.kind()));
            assert!(begin.elapsed().as_secs() < 1);
        }
        Ok(())
    }"#;
    let project = Project::with_listing(&scene("demo 'program'"), None, &[("program", program)]);
    project.build();
    let output = &project.page().outputs()[0];
    let unreachable = "TCP: Err(NetworkUnreachable)\nUDP: Err(NetworkUnreachable)";
    let families = [unreachable, "no such family"];
    let (first, second) = output.split_at(unreachable.len());
    assert_eq!(first, unreachable);
    assert!(families.contains(&second.trim()), "{output}");
}

/// What is for root only, root of a new namespace might have.
const PRIVILEGED: &str = r#"unsafe extern "C" {
    fn socket(family: i32, kind: i32, protocol: i32) -> i32;
}

fn main() {
    for (name, family, protocol) in [("ICMP", 2, 1), ("packets", 17, 0)] {
        // SAFETY: it touches no memory.
        let socket = unsafe { socket(family, 3, protocol) };
        let error = (socket < 0).then(std::io::Error::last_os_error);
        println!("{name}: {:?}", error.map(|error| error.kind()));
    }
    println!("{:?}", std::fs::write("/proc/sys/net/ipv4/ip_default_ttl", "64").map_err(|error| error.kind()));
}
"#;

/// The program of a scene that has been played.
fn program(project: &Project, name: &str) -> PathBuf {
    let programs = WalkDir::new(project.path("target/book/programs"));
    let mut paths = programs
        .into_iter()
        .map(|entry| entry.expect("an entry").into_path());
    paths
        .find(|path| path.ends_with(name))
        .expect("it has been compiled")
}

/// What [`PRIVILEGED`] prints in a scene, and what it prints outside.
fn inside_and_outside(before: fn() -> io::Result<()>) -> [String; 2] {
    let scene = scene("demo 'privileged'");
    let mut project = Project::with_listing(&scene, None, &[("privileged", PRIVILEGED)]);
    project.before = before;
    project.build();
    let mut command = Command::new(program(&project, "privileged"));
    // SAFETY: it only makes system calls.
    unsafe { command.pre_exec(before) };
    let output = command.output().expect("it starts");
    let outside = String::from_utf8(output.stdout).expect("text");
    [project.page().outputs()[0].clone(), outside.trim().into()]
}

#[test]
#[ignore = "needs namespaces"]
fn a_raw_socket_is_to_be_had_in_a_scene_if_it_is_outside() {
    let [inside, outside] = inside_and_outside(|| Ok(()));
    let sockets = |text: &str| text.lines().take(2).map(String::from).collect::<Vec<_>>();
    assert_eq!(sockets(&inside), sockets(&outside));
}

#[test]
#[ignore = "needs namespaces"]
fn a_raw_socket_is_refused_in_a_scene_to_whom_it_is_refused_outside() {
    use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};

    let [inside, outside] = inside_and_outside(|| {
        // Who may not do this has no such socket to begin with.
        let _ = remove_capability_from_bounding_set(CapabilitySet::NET_RAW);
        Ok(())
    });
    let refused = "ICMP: Some(PermissionDenied)\npackets: Some(PermissionDenied)";
    assert!(outside.starts_with(refused), "{outside}");
    assert!(inside.starts_with(refused), "{inside}");
}

#[test]
#[ignore = "needs namespaces"]
fn where_namespaces_are_denied_the_same_page_comes_out() {
    let address = address();
    let mut project = Project::with_server(
        &format!("demo 'server' 'client' 'client {address}'"),
        address,
    );
    project.builds(&["namespace"]);
    project.build();
    let page = project.read("book/chapter.html");
    assert!(page.contains("welcome"));

    project.deny_namespaces();
    let said = project.fails(&["namespace"]);
    assert!(said.contains("does not allow user and network"), "{said}");
    project.builds(&["build", "--fresh"]);
    assert!(project.read("book/chapter.html") == page);
    // It is the network that everybody has.
    let taken = TcpListener::bind(address).expect("the port is free again");
    project.builds(&["build", "--fresh"]);
    let outputs = project.page().outputs();
    let moved: SocketAddr = outputs[0]["listening on ".len()..].parse().unwrap();
    assert_ne!(moved, address);
    drop(taken);
}
