//! Asks a web server for the head of a page: an HTTP/1.1 HEAD request, written by hand.

use std::io::{self, BufReader, Write};

use anyhow::{Context, Result};
use http::connection::{CLIENT, Connection};
use http::response::Response;

fn main() -> Result<()> {
    let target = http::target();
    let address = target.address();

    let mut connection = Connection::open(&target.host, target.port, CLIENT)
        .with_context(|| format!("cannot connect to {address}"))?;

    // ANCHOR: request
    let request = format!(
        "HEAD {} HTTP/1.1\r\n\
         Host: {}\r\n\
         User-Agent: sockets-in-rust\r\n\
         Accept: text/html\r\n\
         Connection: close\r\n\
         \r\n",
        target.path,
        target.authority()
    );
    connection
        .write_all(request.as_bytes())
        .context("the request could not be sent")?;
    // ANCHOR_END: request

    // The answer to HEAD ends with its head, whatever it says about a body.
    let mut reader = BufReader::new(connection);
    let response = Response::read(&mut reader).context("no proper answer came")?;
    writeln!(io::stdout(), "{}", response.text)
        .context("the answer could not be printed")?;
    Ok(())
}
