//! An echo server: sends everyone back what they say, many clients at once.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::select;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const READ_TIMEOUT: Duration = Duration::from_secs(5);
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
const BUFFER_SIZE: usize = 4096;
/// How many connections are served at the same time. Many systems allow a program 1,024
/// descriptors; the server needs a few for itself.
const CONNECTION_LIMIT: u32 = 1024 - 16;
/// How long open connections may go on after Ctrl-C.
const GRACE: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let address = async_echo::address();
    let mut ctrl_c = signal(SignalKind::interrupt()).context("cannot wait for Ctrl-C")?;

    // ANCHOR: bind
    let listener = TcpListener::bind(&address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    println!("listening on {}", listener.local_addr()?);
    // ANCHOR_END: bind

    // ANCHOR: stop
    let slots = Arc::new(Semaphore::new(CONNECTION_LIMIT as usize));
    select! {
        never = accept_all(&listener, &slots) => never,
        _ = ctrl_c.recv() => {}
    }

    // From now on, whoever wants to connect is refused.
    drop(listener);
    eprintln!("no new connections");
    // All slots are free when the last connection has ended.
    let all_ended = select! {
        result = timeout(GRACE, slots.acquire_many(CONNECTION_LIMIT)) => result.is_ok(),
        // A second Ctrl-C cuts it short.
        _ = ctrl_c.recv() => false,
    };
    match all_ended {
        true => eprintln!("all connections have ended"),
        false => eprintln!("some connections are still open"),
    }
    Ok(())
    // ANCHOR_END: stop
}

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
/// Serves one client to its end. Then the slot is free again.
async fn serve(mut stream: TcpStream, peer: SocketAddr, _slot: OwnedSemaphorePermit) {
    match echo(&mut stream).await {
        Ok(length) => eprintln!("{peer}: echoed {length} bytes"),
        Err(error) => eprintln!("{peer}: {error}"),
    }
}

/// Sends back what comes in until the peer has finished sending, and counts the bytes.
async fn echo(stream: &mut TcpStream) -> io::Result<u64> {
    let mut echoed = 0;
    loop {
        let bytes = timeout(READ_TIMEOUT, receive(stream)).await??;
        if bytes.is_empty() {
            return Ok(echoed);
        }
        timeout(WRITE_TIMEOUT, stream.write_all(&bytes)).await??;
        echoed += bytes.len() as u64;
    }
}
// ANCHOR_END: serve

// ANCHOR: receive
/// Waits for bytes and returns them. At the end of the stream there are none.
async fn receive(stream: &TcpStream) -> io::Result<Vec<u8>> {
    loop {
        stream.readable().await?;
        // Only now: a task that waits for its client owns no buffer.
        let mut bytes = Vec::with_capacity(BUFFER_SIZE);
        match stream.try_read_buf(&mut bytes) {
            Ok(_) => return Ok(bytes),
            // A false alarm.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
// ANCHOR_END: receive
