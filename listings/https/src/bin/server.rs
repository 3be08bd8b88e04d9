//! A small HTTPS server: a handful of pages, a thread for every connection.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use https::certificates::{self, AUTHORITY, Identity, NAMES};
use https::connection::{Connection, SERVER};
use https::{site, tls};
use rustls::{ServerConfig, Stream};

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const CONNECTION_LIMIT: usize = 500;

fn main() -> Result<()> {
    let (address, ca) = https::address_and_ca();

    let listener = TcpListener::bind(&address)
        .with_context(|| format!("cannot listen on {address}"))?;
    let config = tls::config(identity(ca.as_deref())?)?;
    println!("listening on {}", listener.local_addr()?);

    // Every open connection has a share in this.
    let open = Arc::new(());
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
        let share = Arc::clone(&open);
        if Arc::strong_count(&open) > CONNECTION_LIMIT + 1 {
            eprintln!("{peer}: too many connections");
            continue;
        }
        let config = Arc::clone(&config);
        let work = move || {
            serve(stream, peer, &config);
            drop(share);
        };
        if let Err(error) = thread::Builder::new().spawn(work) {
            eprintln!("{peer}: no thread: {error}");
        }
    }
}

// ANCHOR: identity
/// A certificate for this machine, signed by an authority made for it. With the end of this
/// function the authority's private key is gone: it signs nothing else.
fn identity(ca: Option<&Path>) -> Result<Identity> {
    let authority = certificates::authority(AUTHORITY)?;
    match ca {
        Some(file) => certificates::publish(&authority, file)?,
        None => eprintln!("without --ca FILE, no client has a reason to trust this server"),
    }
    certificates::sign(&certificates::leaf(&NAMES)?, &authority)
}
// ANCHOR_END: identity

fn serve(stream: TcpStream, peer: SocketAddr, config: &Arc<ServerConfig>) {
    match Connection::accepted(stream, SERVER) {
        Ok(mut connection) => {
            match tls::accept(&mut connection, config) {
                Ok(mut session) => {
                    site::serve(Stream::new(&mut session, &mut connection), peer);
                    tls::finish(&mut session, &mut connection);
                }
                Err(error) => eprintln!("{peer}: no secure connection: {error}"),
            }
            connection.close();
        }
        Err(error) => eprintln!("{peer}: {error}"),
    }
}
