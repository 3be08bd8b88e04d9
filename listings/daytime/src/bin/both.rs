//! A daytime server (RFC 867) and its client in one process: the server is a thread. It
//! needs nothing but the standard library.

use std::env;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Port 0 stands for a free one.
const ADDRESS: &str = "127.0.0.1:0";
const READ_TIMEOUT: Duration = Duration::from_secs(5);
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_LIMIT: usize = 4096;

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(argument) = env::args_os().nth(1) {
        eprintln!("expected no arguments, got: {argument:?}");
        process::exit(2);
    }

    let listener = TcpListener::bind(ADDRESS)?;
    let address = listener.local_addr()?;
    println!("listening on {address}");
    let server = thread::spawn(move || serve_one(&listener));

    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    // The server speaks first and then closes, so the answer is everything up to the end of
    // the stream.
    let mut answer = Vec::new();
    stream.take(ANSWER_LIMIT as u64).read_to_end(&mut answer)?;
    if answer.len() == ANSWER_LIMIT {
        return Err(format!("the answer has no end within {ANSWER_LIMIT} bytes").into());
    }
    println!("{}", String::from_utf8_lossy(&answer).trim_end());

    server.join().map_err(|_| "the server panicked")??;
    Ok(())
}

/// Tells one client the time and closes.
fn serve_one(listener: &TcpListener) -> io::Result<()> {
    let (mut stream, peer) = listener.accept()?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    // The standard library has no calendar, and RFC 867 demands no form: seconds will do.
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_err(io::Error::other)?.as_secs();
    stream.write_all(format!("Unix time {now}\r\n").as_bytes())?;
    eprintln!("{peer}: told the time");
    Ok(())
}
