//! A server that answers at once, but for half of every second: then it holds everybody up.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use server_models::conversation::{Conversation, Next, Protocol};
use server_models::{BUFFER_SIZE, TIMEOUT};

const STALL: Duration = Duration::from_millis(500);

/// Whoever answers needs this.
static TABLE: Mutex<()> = Mutex::new(());

fn main() -> Result<()> {
    let (address, protocol) = server_models::arguments();
    let listener = server_models::socket::listen(&address)?;
    println!("listening on {}", listener.local_addr()?);

    // ANCHOR: stall
    thread::spawn(|| {
        loop {
            thread::sleep(STALL);
            // Somebody is cleaning up.
            let _held = TABLE.lock();
            thread::sleep(STALL);
        }
    });
    // ANCHOR_END: stall
    loop {
        let (stream, peer) = match listener.accept() {
            Ok(connection) => connection,
            Err(error) => {
                eprintln!("cannot accept a connection: {error}");
                // Too many open files, say: the next attempt would fail at once.
                thread::sleep(server_models::ACCEPT_PAUSE);
                continue;
            }
        };
        let work = move || {
            if let Err(error) = serve(stream, protocol) {
                eprintln!("{peer}: {error}");
            }
        };
        if let Err(error) = thread::Builder::new().spawn(work) {
            eprintln!("{peer}: no thread: {error}");
        }
    }
}

fn serve(mut stream: TcpStream, protocol: Protocol) -> io::Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let mut conversation = Conversation::new(protocol);
    let mut buffer = vec![0; BUFFER_SIZE];
    let mut answer = Vec::new();
    loop {
        let length = match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        // ANCHOR: wait
        drop(TABLE.lock());
        // ANCHOR_END: wait
        let next = conversation.take(&buffer[..length], false, &mut answer);
        stream.write_all(&answer)?;
        answer.clear();
        match next {
            Next::Read => {}
            Next::Finish => stream.shutdown(std::net::Shutdown::Write)?,
            Next::Close => return Ok(()),
        }
    }
}
