//! An echo server: sends everyone back what they say, many clients at once.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio::{select, signal};

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const READ_TIMEOUT: Duration = Duration::from_secs(5);
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
const BUFFER_SIZE: usize = 4096;

/// How many connections are served at the same time. Others wait in the backlog.
const CONNECTION_LIMIT: u32 = 10_000;
/// How long open connections may go on after Ctrl-C.
const GRACE: Duration = Duration::from_secs(5);

// ANCHOR: main
#[tokio::main]
async fn main() -> Result<()> {
    let address = async_echo::address();

    let listener = TcpListener::bind(&address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    println!("listening on {}", listener.local_addr()?);

    let slots = Arc::new(Semaphore::new(CONNECTION_LIMIT as usize));
    select! {
        never = accept_all(&listener, &slots) => never,
        stop = signal::ctrl_c() => stop.context("cannot wait for Ctrl-C")?,
    }

    // From now on, whoever wants to connect is refused.
    drop(listener);
    eprintln!("no new connections");
    // All slots are free when the last connection has ended.
    match timeout(GRACE, slots.acquire_many(CONNECTION_LIMIT)).await {
        Ok(_) => eprintln!("all connections have ended"),
        Err(_) => eprintln!("connections are still open after {GRACE:?}"),
    }
    Ok(())
}
// ANCHOR_END: main

// ANCHOR: accept
/// Accepts one connection after another, and leaves each to a task of its own.
async fn accept_all(listener: &TcpListener, slots: &Arc<Semaphore>) {
    // Nobody closes the semaphore.
    while let Ok(slot) = Arc::clone(slots).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, peer)) => {
                tokio::spawn(serve(stream, peer, slot));
            }
            Err(error) => {
                eprintln!("cannot accept a connection: {error}");
                // Too many open files, say: the next attempt would fail at once.
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
// ANCHOR_END: accept

// ANCHOR: serve
/// Serves one client to its end. The slot is free again when this is over.
async fn serve(mut stream: TcpStream, peer: SocketAddr, _slot: OwnedSemaphorePermit) {
    match echo(&mut stream).await {
        Ok(length) => eprintln!("{peer}: echoed {length} bytes"),
        Err(error) => eprintln!("{peer}: {error}"),
    }
}

/// Sends back what comes in until the peer has finished sending, and counts the bytes.
async fn echo(stream: &mut TcpStream) -> io::Result<u64> {
    let mut buffer = [0; BUFFER_SIZE];
    let mut echoed = 0;
    loop {
        let length = within(READ_TIMEOUT, stream.read(&mut buffer)).await?;
        if length == 0 {
            return Ok(echoed);
        }
        within(WRITE_TIMEOUT, stream.write_all(&buffer[..length])).await?;
        echoed += length as u64;
    }
}

/// What `operation` comes to, or an error after `limit`.
async fn within<T>(
    limit: Duration,
    operation: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    timeout(limit, operation)
        .await
        .unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
}
// ANCHOR_END: serve
