//! One connection after another: whoever is served is served to the end.

use anyhow::Result;
use server_models::blocking::Server;

fn main() -> Result<()> {
    let (address, protocol) = server_models::arguments();
    Server::bind(&address, protocol)?.run(|server| {
        while let Some((stream, peer)) = server.accept() {
            server.serve(stream, peer);
        }
    })
}
