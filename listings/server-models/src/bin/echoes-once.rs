//! An echo server as many tutorials have it, with one mistake: it takes the first piece for
//! the whole message, and closes.

use std::io;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const READ_TIMEOUT: Duration = Duration::from_secs(5);
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
const BUFFER_SIZE: usize = 1024;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let (address, _) = server_models::arguments();

    let listener = TcpListener::bind(&address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    println!("listening on {}", listener.local_addr()?);

    loop {
        match listener.accept().await {
            Ok((mut stream, peer)) => {
                tokio::spawn(async move {
                    if let Err(error) = serve(&mut stream).await {
                        eprintln!("{peer}: {error}");
                    }
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

// ANCHOR: serve
/// Sends back what the first read brings.
async fn serve(stream: &mut TcpStream) -> io::Result<()> {
    let mut buffer = [0; BUFFER_SIZE];
    let length = timeout(READ_TIMEOUT, stream.read(&mut buffer)).await??;
    timeout(WRITE_TIMEOUT, stream.write_all(&buffer[..length])).await?
}
// ANCHOR_END: serve
