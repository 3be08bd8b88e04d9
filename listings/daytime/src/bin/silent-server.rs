//! A daytime server with nothing to say: it listens, and never looks who has come.

use std::net::TcpListener;
use std::thread;

use anyhow::{Context, Result};

fn main() -> Result<()> {
    let address = daytime::address();

    let listener = TcpListener::bind(&address)
        .with_context(|| format!("cannot listen on {address}"))?;
    println!("listening on {}", listener.local_addr()?);

    // The system shakes hands with clients on its own, as many as the backlog holds. Nobody
    // ever accepts them.
    loop {
        thread::park();
    }
}
