//! A task for every connection: written like a thread, run like an event loop.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Poll, ready};

use anyhow::{Context, Result};
use server_models::conversation::{Conversation, Next, Protocol};
use server_models::{ACCEPT_PAUSE, BUFFER_SIZE, CONNECTION_LIMIT, GRACE, TIMEOUT};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio::{select, signal};

/// What all tasks share.
struct Server {
    protocol: Protocol,
    is_stopping: AtomicBool,
}

// ANCHOR: main
fn main() -> Result<()> {
    let (address, protocol, all_cores) = server_models::arguments_and(Some("all-cores"));
    let mut runtime = match all_cores {
        true => Builder::new_multi_thread(),
        false => Builder::new_current_thread(),
    };
    runtime
        .enable_all()
        .build()?
        .block_on(run(&address, protocol))
}

async fn run(address: &str, protocol: Protocol) -> Result<()> {
    let listener = server_models::listen(address)?;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let slots = Arc::new(Semaphore::new(CONNECTION_LIMIT));
    let server = Arc::new(Server {
        protocol,
        is_stopping: AtomicBool::new(false),
    });
    select! {
        never = accept_all(&listener, &slots, &server) => never,
        stop = signal::ctrl_c() => stop.context("cannot wait for Ctrl-C")?,
    }

    server.is_stopping.store(true, Relaxed);
    drop(listener);
    eprintln!("no new connections");
    // All slots are free when the last connection has ended.
    let all_slots = slots.acquire_many(CONNECTION_LIMIT as u32);
    let all_ended = select! {
        result = timeout(GRACE, all_slots) => result.is_ok(),
        // A second Ctrl-C cuts it short.
        _ = signal::ctrl_c() => false,
    };
    match all_ended {
        true => eprintln!("all connections have ended"),
        false => eprintln!("some connections are still open"),
    }
    Ok(())
}
// ANCHOR_END: main

// ANCHOR: accept
/// Accepts one connection after another, and leaves each to a task of its own.
async fn accept_all(listener: &TcpListener, slots: &Arc<Semaphore>, server: &Arc<Server>) {
    // Nobody closes the semaphore.
    while let Ok(slot) = Arc::clone(slots).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, peer)) => {
                tokio::spawn(serve(stream, peer, Arc::clone(server), slot));
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
async fn serve(
    mut stream: TcpStream,
    peer: SocketAddr,
    server: Arc<Server>,
    _slot: OwnedSemaphorePermit,
) {
    if let Err(error) = converse(&mut stream, &server).await {
        eprintln!("{peer}: {error}");
    }
}

async fn converse(stream: &mut TcpStream, server: &Server) -> io::Result<()> {
    let mut conversation = Conversation::new(server.protocol);
    let mut deadline = Instant::now() + TIMEOUT;
    loop {
        let mut answer = Vec::new();
        let received = receive(stream, |bytes| {
            let is_stopping = server.is_stopping.load(Relaxed);
            conversation.take(bytes, is_stopping, &mut answer)
        });
        let next = timeout_at(deadline, received).await??;
        if !answer.is_empty() {
            timeout_at(deadline, stream.write_all(&answer)).await??;
            deadline = Instant::now() + TIMEOUT;
        }
        match next {
            Next::Read => {}
            Next::Finish => stream.shutdown().await?,
            Next::Close => return Ok(()),
        }
    }
}

/// Waits for bytes, and has them taken in. At the end of the stream there are none.
async fn receive(
    stream: &mut TcpStream,
    mut take: impl FnMut(&[u8]) -> Next,
) -> io::Result<Next> {
    poll_fn(|context| {
        // Here, and not in the task: a task that waits for its client owns no buffer.
        let mut space = [MaybeUninit::uninit(); BUFFER_SIZE];
        let mut buffer = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer))?;
        Poll::Ready(Ok(match buffer.filled() {
            [] => Next::Close,
            bytes => take(bytes),
        }))
    })
    .await
}
// ANCHOR_END: serve
