//! An echo server and its client in one process: the server is a thread. It needs nothing
//! but the standard library.

use std::env;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process;
use std::thread;
use std::time::Duration;

/// Port 0 stands for a free one.
const ADDRESS: &str = "127.0.0.1:0";
const READ_TIMEOUT: Duration = Duration::from_secs(5);
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
const MESSAGE: &str = "hello there";

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(argument) = env::args_os().nth(1) {
        eprintln!("expected no arguments, got: {argument:?}");
        process::exit(2);
    }

    let listener = TcpListener::bind(ADDRESS)?;
    let address = listener.local_addr()?;
    println!("listening on {address}");
    let server = thread::spawn(move || serve_one(&listener));

    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    stream.write_all(MESSAGE.as_bytes())?;
    // The server reads until it sees this end. The other direction stays open for the echo.
    stream.shutdown(Shutdown::Write)?;

    // One byte more than was sent is already no echo, so there is no reason to read on.
    let mut echo = Vec::new();
    let limit = MESSAGE.len() as u64 + 1;
    stream.take(limit).read_to_end(&mut echo)?;
    if echo != MESSAGE.as_bytes() {
        let got = String::from_utf8_lossy(&echo);
        let error = format!("the answer is not the message: sent {MESSAGE:?}, got {got:?}");
        return Err(error.into());
    }
    println!("{MESSAGE}");

    server.join().map_err(|_| "the server panicked")??;
    Ok(())
}

/// Sends one client back what it says, until it has finished sending.
fn serve_one(listener: &TcpListener) -> io::Result<()> {
    let (stream, peer) = listener.accept()?;
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    // `&TcpStream` reads and writes, so one stream can stand on both sides.
    let length = io::copy(&mut &stream, &mut &stream)?;
    eprintln!("{peer}: echoed {length} bytes");
    Ok(())
}
