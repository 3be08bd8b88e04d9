//! A small web server: a handful of pages, a thread for every connection.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use http::connection::{Connection, SERVER};
use http::site;

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const CONNECTION_LIMIT: usize = 500;

fn main() -> Result<()> {
    let address = http::address();

    let listener = TcpListener::bind(&address)
        .with_context(|| format!("cannot listen on {address}"))?;
    println!("listening on {}", listener.local_addr()?);

    // ANCHOR: accept
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
        let work = move || {
            serve(stream, peer);
            drop(share);
        };
        if let Err(error) = thread::Builder::new().spawn(work) {
            eprintln!("{peer}: no thread: {error}");
        }
    }
    // ANCHOR_END: accept
}

fn serve(stream: TcpStream, peer: SocketAddr) {
    match Connection::accepted(stream, SERVER) {
        Ok(mut connection) => {
            site::serve(&mut connection, peer);
            connection.close();
        }
        Err(error) => eprintln!("{peer}: {error}"),
    }
}
