//! Asks a web server for a page, over TLS: an HTTP/1.1 GET request, written by hand. What
//! comes is printed as it comes.

use std::io::{self, BufReader, Read, Write};

use anyhow::{Context, Result};
use https::connection::{CLIENT, Connection};
use https::response::{Response, Text};
use https::tls;

const BUFFER_SIZE: usize = 1024;

fn main() -> Result<()> {
    let (target, ca) = https::target_and_ca();
    let address = target.address();
    let roots = tls::roots(ca.as_deref())?;

    let connection = Connection::open(&target.host, target.port, CLIENT)
        .with_context(|| format!("cannot connect to {address}"))?;
    let mut stream = tls::connect(connection, &target.host, roots)
        .with_context(|| format!("no secure connection to {address}"))?;

    let request = format!(
        "GET {} HTTP/1.1\r\n\
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

    let mut reader = BufReader::new(stream);
    let response = Response::read(&mut reader).context("no proper answer came")?;
    let mut stdout = io::stdout();
    writeln!(stdout, "{}\n", response.text).context("the answer could not be printed")?;

    // ANCHOR: read-loop
    let mut body = response
        .body(&mut reader)
        .context("the body cannot be read")?;
    let mut text = Text::default();
    let mut buffer = [0; BUFFER_SIZE];
    loop {
        let length = body
            .read(&mut buffer)
            .context("the body did not arrive whole")?;
        if length == 0 {
            break;
        }
        write!(stdout, "{}", text.decode(&buffer[..length]))
            .and_then(|()| stdout.flush())
            .context("the answer could not be printed")?;
    }
    write!(stdout, "{}", text.finish())
        .and_then(|()| stdout.flush())
        .context("the answer could not be printed")?;
    // ANCHOR_END: read-loop

    // ANCHOR: finish
    let stream = reader.get_mut();
    tls::finish(&mut stream.conn, &mut stream.sock);
    // ANCHOR_END: finish
    Ok(())
}
