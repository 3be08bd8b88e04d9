//! Presses Ctrl-C for the server while a client is connected.

use std::net::TcpStream;

use anyhow::Result;
use async_echo::child::Server;
use async_echo::talk;

fn main() -> Result<()> {
    async_echo::no_arguments();

    // ANCHOR: story
    let server = Server::start()?;
    let mut stream = talk::connect(server.address)?;
    println!("a client gets its echo: {}", talk::say(&mut stream, "one")?);

    server.interrupt()?;
    println!("server: {}", server.next_log_line()?);
    match TcpStream::connect(server.address) {
        Ok(_) => println!("a new client is connected"),
        Err(error) => println!("a new client is not connected: {error}"),
    }
    println!(
        "the old one gets its echo: {}",
        talk::say(&mut stream, "two")?
    );

    drop(stream);
    println!("it has left");
    println!("server: {}", server.next_log_line()?);
    println!("server: {}", server.next_log_line()?);
    println!("the server has ended: {}", server.wait()?);
    // ANCHOR_END: story
    Ok(())
}
