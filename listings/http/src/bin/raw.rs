//! Sends whatever it is told to, byte for byte, and prints whatever comes back until the
//! other side has finished.

use std::io::{self, Read, Write};

use anyhow::{Context, Result, bail};
use http::connection::{CLIENT, Connection};
use http::response::{BODY_LIMIT, Text};
use http::target::Target;

fn main() -> Result<()> {
    let (address, request) = http::address_and_request();
    let Some(target) = Target::parse(&address) else {
        bail!("no address: {address:?}");
    };

    let mut connection = Connection::open(&target.host, target.port, CLIENT)
        .with_context(|| format!("cannot connect to {address}"))?;
    connection
        .write_all(request.as_bytes())
        .context("the request could not be sent")?;

    // ANCHOR: read
    let mut answer = connection.take(BODY_LIMIT);
    let mut text = Text::default();
    let mut buffer = [0; 1024];
    loop {
        let length = answer.read(&mut buffer).context("the answer has no end")?;
        if length == 0 {
            break;
        }
        write!(io::stdout(), "{}", text.decode(&buffer[..length]))?;
        io::stdout().flush()?;
    }
    // ANCHOR_END: read
    Ok(())
}
