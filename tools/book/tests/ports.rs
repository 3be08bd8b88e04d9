//! Where the programs of a scene listen and connect to: at the documented address, or at another that is shown. That one is needed where
//! a scene has no network of its own; `namespaces.rs` is about those that have.

mod fixture;

use std::net::{SocketAddr, TcpListener, UdpSocket};

use fixture::{Project, address, programs, scene};

#[test]
fn a_tcp_scene_moves_to_a_free_port_if_the_documented_one_is_taken() {
    let address = address();
    let port = address.port();
    let taken = TcpListener::bind(address).expect("the port was free");
    let mut project = Project::with_server(
        &format!("demo 'server' 'client' 'client {address}' 'client localhost:{port}'"),
        address,
    );
    project.deny_namespaces();
    project.build();
    let page = project.page();
    let outputs = page.outputs();
    let moved: SocketAddr = outputs[0]["listening on ".len()..].parse().unwrap();
    assert_ne!(moved, address);
    assert_eq!(outputs[1..], ["welcome", "welcome", "welcome"]);
    let client = "cargo run -q -p demo --bin client --";
    assert_eq!(
        page.commands(),
        [
            "cargo run -q -p demo --bin server -- 127.0.0.1:0".to_owned(),
            format!("{client} {moved}"),
            format!("{client} {moved}"),
            format!("{client} localhost:{}", moved.port())
        ]
    );
    // Nobody has disturbed the server that a reader may have there.
    taken.set_nonblocking(true).unwrap();
    assert!(taken.accept().is_err());
}

#[test]
fn a_path_stays_behind_a_port_that_moves() {
    let address = address();
    let port = address.port();
    let _taken = TcpListener::bind(address).expect("the port was free");
    let server = r#"fn main() -> std::io::Result<()> {
        let address = std::env::args().nth(1).unwrap_or("DOCUMENTED".into());
        let listener = std::net::TcpListener::bind(address)?;
        println!("listening on {}", listener.local_addr()?);
        listener.accept()?;
        Ok(())
    }"#;
    let client = r#"fn main() {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        println!("{}", arguments.join(" "));
    }"#;
    let mut project = Project::with_listing(
        &scene(&format!(
            "demo 'server' 'client localhost:{port}/a:{port} --ca x/y:{port}'"
        )),
        Some(address),
        &[
            (
                "server",
                &server.replace("DOCUMENTED", &address.to_string()),
            ),
            ("client", client),
        ],
    );
    project.deny_namespaces();
    project.build();
    let outputs = project.page().outputs();
    let (_, moved) = outputs[0].rsplit_once(':').expect("a port");
    assert_eq!(
        outputs[1],
        format!("localhost:{moved}/a:{port} --ca x/y:{port}")
    );
}

#[test]
fn a_udp_scene_moves_to_a_free_port_if_the_documented_one_is_taken() {
    let address = address();
    let server = r#"fn main() -> std::io::Result<()> {
        let address = std::env::args().nth(1).unwrap_or("DOCUMENTED".into());
        let socket = std::net::UdpSocket::bind(address)?;
        println!("listening on {}", socket.local_addr()?);
        let (_, peer) = socket.recv_from(&mut [0; 8])?;
        socket.send_to(b"welcome", peer)?;
        Ok(())
    }"#;
    let client = r#"fn main() -> std::io::Result<()> {
        let address = std::env::args().nth(1).unwrap_or("DOCUMENTED".into());
        let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
        socket.send_to(b"hi", address)?;
        let mut answer = [0; 8];
        let length = socket.recv(&mut answer)?;
        println!("{}", String::from_utf8_lossy(&answer[..length]));
        Ok(())
    }"#;
    let documented = address.to_string();
    let mut project = Project::with_listing(
        &scene("demo 'server' 'client'"),
        Some(address),
        &[
            ("server", &server.replace("DOCUMENTED", &documented)),
            ("client", &client.replace("DOCUMENTED", &documented)),
        ],
    );
    project.deny_namespaces();
    project.build();
    let free = project.page().outputs();
    assert_eq!(free, [format!("listening on {address}"), "welcome".into()]);

    let taken = UdpSocket::bind(address).expect("the port is free again");
    project.builds(&["build", "--fresh"]);
    let page = project.page();
    let outputs = page.outputs();
    let moved: SocketAddr = outputs[0]["listening on ".len()..].parse().unwrap();
    assert_ne!(moved, address);
    assert_eq!(outputs[1], "welcome");
    assert_eq!(
        page.commands()[1],
        format!("cargo run -q -p demo --bin client -- {moved}")
    );
    taken.set_nonblocking(true).unwrap();
    assert!(taken.recv(&mut [0; 8]).is_err());
}

/// Tells whether a TCP connection is refused, and then whether a datagram is (by ICMP).
fn refused(documented: SocketAddr) -> String {
    r#"use std::net::{TcpStream, UdpSocket};

    fn main() -> std::io::Result<()> {
        let address = std::env::args().nth(1).unwrap_or("DOCUMENTED".into());
        println!("TCP: {:?}", TcpStream::connect(&address).map_err(|error| error.kind()));
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(&address)?;
        socket.send(b"hi")?;
        println!("UDP: {:?}", socket.recv(&mut [0; 8]).map_err(|error| error.kind()));
        Ok(())
    }"#
    .replace("DOCUMENTED", &documented.to_string())
}

const REFUSED: &str = "TCP: Err(ConnectionRefused)\nUDP: Err(ConnectionRefused)";

#[test]
fn a_closed_port_refuses_connections_and_datagrams() {
    let address = address();
    let project = Project::with_listing(
        &scene("--closed-port demo 'program' 'program'"),
        Some(address),
        &[("program", &refused(address))],
    );
    project.build();
    let page = project.page();
    assert_eq!(page.outputs(), [REFUSED, REFUSED]);
    assert_eq!(
        page.commands(),
        ["cargo run -q -p demo --bin program"; 2],
        "the documented port was free"
    );
}

/// The system remembers connections that the server closed for a minute (TIME-WAIT).
#[test]
fn the_documented_port_is_closed_after_a_server_closed_connections_there() {
    let address = address();
    let chapter = "<!-- cmdrun book scene demo 'server' 'client' -->\n\n\
                   <!-- cmdrun book scene --closed-port demo 'program' -->\n\n\
                   <!-- cmdrun book scene --deadline 9 demo 'server' 'client' -->";
    let mut project = Project::with_listing(
        chapter,
        Some(address),
        &[
            ("server", &programs::server(address)),
            ("client", &programs::client(address)),
            ("program", &refused(address)),
        ],
    );
    project.deny_namespaces();
    project.build();
    let page = project.page();
    let listening = format!("listening on {address}");
    assert_eq!(
        page.outputs(),
        [&listening, "welcome", REFUSED, &listening, "welcome"]
    );
    assert_eq!(page.commands()[2], "cargo run -q -p demo --bin program");
}

/// Nobody else can open it while the scene is on.
#[test]
fn a_closed_port_is_taken() {
    let address = address();
    let program = format!(
        r#"fn main() {{
            println!("{{:?}}", std::net::TcpListener::bind("{address}").map_err(|error| error.kind()));
            println!("{{:?}}", std::net::UdpSocket::bind("{address}").map_err(|error| error.kind()));
        }}"#
    );
    let project = Project::with_listing(
        &scene("--closed-port demo 'program'"),
        Some(address),
        &[("program", &program)],
    );
    project.build();
    assert_eq!(project.page().outputs(), ["Err(AddrInUse)\nErr(AddrInUse)"]);
}

#[test]
fn another_port_is_closed_if_somebody_listens_at_the_documented_one() {
    for protocol in ["TCP", "UDP"] {
        let address = address();
        let _tcp = (protocol == "TCP").then(|| TcpListener::bind(address).unwrap());
        let _udp = (protocol == "UDP").then(|| UdpSocket::bind(address).unwrap());
        let mut project = Project::with_listing(
            &scene("--closed-port demo 'program'"),
            Some(address),
            &[("program", &refused(address))],
        );
        project.deny_namespaces();
        project.build();
        let page = project.page();
        assert_eq!(page.outputs(), [REFUSED], "{protocol}");
        let command = &page.commands()[0];
        assert!(command.contains(" -- 127.0.0.1:"), "{command}");
        assert!(!command.contains(&address.to_string()), "{command}");
    }
}
