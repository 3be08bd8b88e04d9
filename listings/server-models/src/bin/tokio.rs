//! A task for every connection: written like a thread, run like an event loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::{Context, Result};
use server_models::asynchronous::serve;
use server_models::conversation::Protocol;
use server_models::{ACCEPT_PAUSE, CONNECTION_LIMIT, GRACE, say_goodbye};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::select;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

// ANCHOR: main
fn main() -> Result<()> {
    let (address, protocol, all_cores) = server_models::arguments_and(Some("all-cores"));
    let mut runtime = match all_cores {
        true => Builder::new_multi_thread(),
        false => Builder::new_current_thread(),
    };
    let runtime = runtime.enable_all().build()?;
    runtime.block_on(run(&address, protocol))
}

async fn run(address: &str, protocol: Protocol) -> Result<()> {
    // From here on Ctrl-C is ours, even if it comes before anybody waits for it.
    let mut ctrl_c = signal(SignalKind::interrupt()).context("cannot wait for Ctrl-C")?;
    let listener = server_models::socket::listen(address)?;
    println!("listening on {}", listener.local_addr()?);
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;

    let slots = Arc::new(Semaphore::new(CONNECTION_LIMIT));
    let is_stopping = Arc::new(AtomicBool::new(false));
    select! {
        never = accept_all(&listener, protocol, &slots, &is_stopping) => never,
        _ = ctrl_c.recv() => {}
    }

    is_stopping.store(true, Relaxed);
    drop(listener);
    eprintln!("no new connections");
    // All slots are free when the last connection has ended.
    let all_slots = slots.acquire_many(CONNECTION_LIMIT as u32);
    say_goodbye(select! {
        result = timeout(GRACE, all_slots) => result.is_ok(),
        // A second Ctrl-C cuts it short.
        _ = ctrl_c.recv() => false,
    });
    Ok(())
}
// ANCHOR_END: main

// ANCHOR: accept
/// Accepts one connection after another, and leaves each to a task of its own.
async fn accept_all(
    listener: &TcpListener,
    protocol: Protocol,
    slots: &Arc<Semaphore>,
    is_stopping: &Arc<AtomicBool>,
) {
    // Nobody closes the semaphore.
    while let Ok(slot) = Arc::clone(slots).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let is_stopping = Arc::clone(is_stopping);
                tokio::spawn(async move {
                    serve(stream, peer, protocol, &is_stopping).await;
                    // Not before: the connection has its slot until it ends.
                    drop(slot);
                });
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
