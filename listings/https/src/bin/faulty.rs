//! An HTTPS server with one fault, the one that it is told to have. It serves one client
//! after the other.

use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use https::certificates::{self, AUTHORITY, Authority, HEAD_START, Identity, NAMES};
use https::connection::{Connection, SERVER};
use https::request::Request;
use https::response::BODY_LIMIT;
use https::{site, tls};
use rustls::{ServerConfig, Stream};

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const BUFFER_SIZE: usize = 1024;

// ANCHOR: answer
/// The answer that does not come whole.
const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n";
const CONTENT: &str = "Pay 100 to Alice.\n";
const MISSING: &str = "But only if she asks.\n";
// ANCHOR_END: answer

/// A ServerHello as before TLS 1.2 (RFC 4346, section 7.4.1.3), up to its random bytes.
const SERVER_HELLO: [u8; 11] = [
    22, 3, 2, 0, 42, // a record: handshake, TLS 1.1, 42 bytes
    2, 0, 0, 38, // a message: ServerHello, 38 bytes
    3, 2, // TLS 1.1
];
const RANDOM: [u8; 32] = [7; 32];
/// No session, TLS_RSA_WITH_AES_128_CBC_SHA, no compression.
const CHOICE: [u8; 4] = [0, 0, 47, 0];

/// What a server shows, and what it does with a connection.
type Show = fn(&Authority) -> Result<Identity>;
type Serve = fn(&mut Connection, SocketAddr, &Arc<ServerConfig>) -> io::Result<()>;

const FAULTS: [(&str, Show, Serve); 14] = [
    ("unknown-issuer", unknown_issuer, pages),
    ("other-key", other_key, pages),
    ("expired", expired, pages),
    ("not-yet-valid", not_yet_valid, pages),
    ("wrong-host", wrong_host, pages),
    ("leaf-as-ca", leaf_as_ca, pages),
    ("ca-as-leaf", ca_as_leaf, pages),
    ("plain-http", no_fault, plain_http),
    ("tls-1.1", no_fault, tls_1_1),
    ("cut", no_fault, cut),
    ("short", no_fault, short),
    ("stall", no_fault, stall),
    ("huge", no_fault, huge),
    ("hang", no_fault, hang),
];

fn main() -> Result<()> {
    let (address, fault, ca) = https::address_name_and_ca(&FAULTS.map(|(name, ..)| name));
    let (_, show, serve) = FAULTS
        .into_iter()
        .find(|(name, ..)| *name == fault)
        .context("no such fault")?;

    let listener = TcpListener::bind(&address)
        .with_context(|| format!("cannot listen on {address}"))?;
    let authority = certificates::authority(AUTHORITY)?;
    let config = tls::config(show(&authority)?)?;
    if let Some(file) = ca {
        certificates::publish(&authority, &file)?;
    }
    println!("listening on {}", listener.local_addr()?);

    loop {
        let (stream, peer) = match listener.accept() {
            Ok(connection) => connection,
            Err(error) => {
                eprintln!("cannot accept a connection: {error}");
                // Too many open files, say: the next attempt would fail at once.
                thread::sleep(ACCEPT_PAUSE);
                continue;
            }
        };
        match Connection::accepted(stream, SERVER) {
            Ok(mut connection) => {
                if let Err(error) = serve(&mut connection, peer, &config) {
                    eprintln!("{peer}: {error}");
                }
                connection.close();
            }
            Err(error) => eprintln!("{peer}: {error}"),
        }
    }
}

// What the server shows.

fn no_fault(authority: &Authority) -> Result<Identity> {
    certificates::sign(&certificates::leaf(&NAMES)?, authority)
}

fn unknown_issuer(_: &Authority) -> Result<Identity> {
    no_fault(&certificates::authority("An authority nobody knows")?)
}

/// An authority of the same name, with a key of its own.
fn other_key(_: &Authority) -> Result<Identity> {
    no_fault(&certificates::authority(AUTHORITY)?)
}

fn expired(authority: &Authority) -> Result<Identity> {
    let mut params = certificates::leaf(&NAMES)?;
    params.not_after = params.not_before;
    params.not_before -= DAY;
    certificates::sign(&params, authority)
}

fn not_yet_valid(authority: &Authority) -> Result<Identity> {
    let mut params = certificates::leaf(&NAMES)?;
    params.not_before += HEAD_START + DAY;
    certificates::sign(&params, authority)
}

fn wrong_host(authority: &Authority) -> Result<Identity> {
    certificates::sign(&certificates::leaf(&["example.org"])?, authority)
}

// ANCHOR: leaf-as-ca
/// Somebody has a proper certificate, and signs another one with its key.
fn leaf_as_ca(authority: &Authority) -> Result<Identity> {
    let params = certificates::leaf(&["example.org"])?;
    let key = rcgen::KeyPair::generate()?;
    let impostor = Authority::signed_by(params, key, authority)?;
    let mut identity = no_fault(&impostor)?;
    identity.chain.push(impostor.der().clone());
    Ok(identity)
}
// ANCHOR_END: leaf-as-ca

/// An authority for `localhost`, which serves by itself: what a recipe for "self-signed"
/// certificates often makes.
fn ca_as_leaf(authority: &Authority) -> Result<Identity> {
    let mut params = certificates::leaf(&NAMES)?;
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    certificates::sign(&params, authority)
}

// What it does with a connection.

/// What a proper server does.
fn pages(
    connection: &mut Connection,
    peer: SocketAddr,
    config: &Arc<ServerConfig>,
) -> io::Result<()> {
    let mut session = tls::accept(connection, config)?;
    site::serve(Stream::new(&mut session, connection), peer);
    tls::finish(&mut session, connection);
    Ok(())
}

/// What a web server answers that does not know TLS.
fn plain_http(
    connection: &mut Connection,
    peer: SocketAddr,
    _: &Arc<ServerConfig>,
) -> io::Result<()> {
    let _ = connection.read(&mut [0; BUFFER_SIZE])?;
    eprintln!("{peer}: is told, in plain HTTP, that its request is bad");
    connection.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
}

/// What a server answers that has not heard of TLS 1.2.
fn tls_1_1(
    connection: &mut Connection,
    peer: SocketAddr,
    _: &Arc<ServerConfig>,
) -> io::Result<()> {
    let _ = connection.read(&mut [0; BUFFER_SIZE])?;
    eprintln!("{peer}: offers TLS 1.1");
    connection.write_all(&[&SERVER_HELLO[..], &RANDOM, &CHOICE].concat())
}

/// Ends the stream in the middle of a body that has no length, without a word.
fn cut(
    connection: &mut Connection,
    peer: SocketAddr,
    config: &Arc<ServerConfig>,
) -> io::Result<()> {
    let answer = format!("{HEAD}\r\n{CONTENT}");
    send(connection, peer, config, &answer)?;
    Ok(())
}

/// An answer that is not as long as it says.
fn announcing(length: u64) -> String {
    format!("{HEAD}Content-Length: {length}\r\n\r\n{CONTENT}")
}

/// Announces more than it sends, and ends as one should.
fn short(
    connection: &mut Connection,
    peer: SocketAddr,
    config: &Arc<ServerConfig>,
) -> io::Result<()> {
    let answer = announcing((CONTENT.len() + MISSING.len()) as u64);
    let mut session = send(connection, peer, config, &answer)?;
    tls::finish(&mut session, connection);
    Ok(())
}

/// Announces more than it sends, and waits.
fn stall(
    connection: &mut Connection,
    peer: SocketAddr,
    config: &Arc<ServerConfig>,
) -> io::Result<()> {
    let answer = announcing((CONTENT.len() + MISSING.len()) as u64);
    send(connection, peer, config, &answer)?;
    wait(connection);
    Ok(())
}

/// Announces more than anybody wants.
fn huge(
    connection: &mut Connection,
    peer: SocketAddr,
    config: &Arc<ServerConfig>,
) -> io::Result<()> {
    send(connection, peer, config, &announcing(2 * BODY_LIMIT))?;
    wait(connection);
    Ok(())
}

fn hang(
    connection: &mut Connection,
    peer: SocketAddr,
    _: &Arc<ServerConfig>,
) -> io::Result<()> {
    eprintln!("{peer}: says nothing");
    wait(connection);
    Ok(())
}

/// Shakes hands, takes a request, and sends this.
fn send(
    connection: &mut Connection,
    peer: SocketAddr,
    config: &Arc<ServerConfig>,
    answer: &str,
) -> io::Result<rustls::ServerConnection> {
    let mut session = tls::accept(connection, config)?;
    let mut stream = Stream::new(&mut session, connection);
    match Request::read(&mut BufReader::new(&mut stream)) {
        Ok(_) => eprintln!("{peer}: sends a part of the answer"),
        Err(refusal) => return Err(io::Error::other(refusal.to_string())),
    }
    stream.write_all(answer.as_bytes())?;
    stream.flush()?;
    Ok(session)
}

/// Until the client has had enough.
fn wait(connection: &mut Connection) {
    // In whichever way it leaves.
    let _ = io::copy(connection, &mut io::sink());
}
