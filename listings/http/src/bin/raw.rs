//! Sends whatever it is told to, byte for byte, and prints whatever comes back until the
//! other side has finished.

use std::io::{self, Read, Write};

use anyhow::{Context, Result, ensure};
use http::connection::{CLIENT, Connection};
use http::response::{BODY_LIMIT, Text};

const BUFFER_SIZE: usize = 1024;

fn main() -> Result<()> {
    let (target, request) = http::address_and_request();
    let address = target.address();

    let mut connection = Connection::open(&target.host, target.port, CLIENT)
        .with_context(|| format!("cannot connect to {address}"))?;
    connection
        .write_all(request.as_bytes())
        .context("the request could not be sent")?;

    let outcome = print_answer(&mut connection);
    // The server learns that this was all, and has a moment to make something of it.
    connection.close();
    outcome
}

/// Prints what comes until the other side has finished.
fn print_answer(connection: &mut Connection) -> Result<()> {
    let mut answer = connection.take(BODY_LIMIT);
    let mut text = Text::default();
    let mut buffer = [0; BUFFER_SIZE];
    let mut stdout = io::stdout();
    loop {
        let length = answer.read(&mut buffer).context("the answer has no end")?;
        if length == 0 {
            break;
        }
        write!(stdout, "{}", text.decode(&buffer[..length]))
            .and_then(|()| stdout.flush())
            .context("the answer could not be printed")?;
    }
    // It may have ended in the middle of a character.
    write!(stdout, "{}", text.finish()).context("the answer could not be printed")?;
    ensure!(
        answer.limit() > 0,
        "the answer has no end within {BODY_LIMIT} bytes"
    );
    Ok(())
}
