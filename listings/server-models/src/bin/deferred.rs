//! One connection after another, without those that have not said anything yet: a mend that
//! lasts for a second.

use anyhow::Result;
use server_models::blocking::Server;

fn main() -> Result<()> {
    let (address, protocol) = server_models::arguments();
    Server::bind_deferred(&address, protocol)?.run(|server| {
        while let Some((stream, peer)) = server.accept() {
            server.serve(stream, peer);
        }
    })
}
