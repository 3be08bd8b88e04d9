//! Takes all file descriptors away from the server, gives them back, and asks for an echo.

use std::net::TcpStream;

use anyhow::{Context, Result};
use async_echo::child::Server;
use async_echo::talk;

const DESCRIPTORS: usize = 16;
const CLIENTS: usize = 8;

fn main() -> Result<()> {
    async_echo::no_arguments();

    // ANCHOR: story
    let server = Server::start_with_descriptors(DESCRIPTORS)?;
    println!("the server may have {DESCRIPTORS} descriptors");

    let clients = (0..CLIENTS)
        .map(|_| TcpStream::connect(server.address))
        .collect::<Result<Vec<_>, _>>()
        .context("cannot connect to the server")?;
    println!("{CLIENTS} clients are connected");
    println!("server: {}", server.next_log_line()?);

    drop(clients);
    println!("they have left");
    let mut stream = talk::connect(server.address)?;
    println!(
        "one more client gets its echo: {}",
        talk::say(&mut stream, "hello")?
    );
    // ANCHOR_END: story
    Ok(())
}
