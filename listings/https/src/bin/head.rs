//! Asks a web server for the head of a page, over TLS: an HTTP/1.1 HEAD request, written by
//! hand.

use std::io::{self, BufReader, Write};

use anyhow::{Context, Result};
use https::connection::{CLIENT, Connection};
use https::response::Response;
use https::{session, tls};

fn main() -> Result<()> {
    let (target, ca) = https::target_and_ca();
    let address = target.address();
    let roots = tls::roots(ca.as_deref())?;

    let connection = Connection::open(&target.host, target.port, CLIENT)
        .with_context(|| format!("cannot connect to {address}"))?;
    let mut stream = tls::connect(connection, &target.host, roots)
        .with_context(|| format!("no secure connection to {address}"))?;
    writeln!(io::stdout(), "{}", session::describe(&stream.conn))
        .context("the session could not be printed")?;

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
    stream
        .write_all(request.as_bytes())
        .and_then(|()| stream.flush())
        .context("the request could not be sent")?;

    // The answer to HEAD ends with its head, whatever it says about a body.
    let mut reader = BufReader::new(stream);
    let response = Response::read(&mut reader).context("no proper answer came")?;
    writeln!(io::stdout(), "{}", response.text)
        .context("the answer could not be printed")?;

    let stream = reader.get_mut();
    tls::finish(&mut stream.conn, &mut stream.sock);
    Ok(())
}
