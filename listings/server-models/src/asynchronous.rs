//! A connection whose waits leave the thread to others, for tokio.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Poll, ready};

use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::conversation::{Conversation, Next, Protocol};
use crate::socket::hold_until_close;
use crate::{BUFFER_SIZE, TIMEOUT};

// ANCHOR: serve
/// Serves one client to its end.
pub async fn serve(
    mut stream: TcpStream,
    peer: SocketAddr,
    protocol: Protocol,
    is_stopping: &AtomicBool,
) {
    if let Err(error) = converse(&mut stream, protocol, is_stopping).await {
        eprintln!("{peer}: {error}");
    }
}

async fn converse(
    stream: &mut TcpStream,
    protocol: Protocol,
    is_stopping: &AtomicBool,
) -> io::Result<()> {
    let mut conversation = Conversation::new(protocol);
    let mut deadline = Instant::now() + TIMEOUT;
    loop {
        let mut answer = Vec::new();
        let received = receive(stream, |bytes| {
            conversation.take(bytes, is_stopping.load(Relaxed), &mut answer)
        });
        let Some(next) = timeout_at(deadline, received).await?? else {
            return Ok(());
        };
        if !answer.is_empty() {
            if next == Next::Close {
                hold_until_close(stream);
            }
            timeout_at(deadline, stream.write_all(&answer)).await??;
            deadline = Instant::now() + TIMEOUT;
        }
        match next {
            Next::Read => {}
            Next::Finish => stream.shutdown().await?,
            // Closing alone could lose what is held back.
            Next::Close => return stream.shutdown().await,
        }
    }
}
// ANCHOR_END: serve

// ANCHOR: receive
/// Waits for bytes and has them taken in; none at the end of the stream.
async fn receive(
    stream: &mut TcpStream,
    mut take: impl FnMut(&[u8]) -> Next,
) -> io::Result<Option<Next>> {
    poll_fn(|context| {
        // Here, and not in the task: a task that waits for its client owns no buffer.
        let mut space = [MaybeUninit::uninit(); BUFFER_SIZE];
        let mut buffer = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer))?;
        Poll::Ready(Ok(match buffer.filled() {
            [] => None,
            bytes => Some(take(bytes)),
        }))
    })
    .await
}
// ANCHOR_END: receive
