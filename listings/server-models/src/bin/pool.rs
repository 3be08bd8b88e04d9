//! A fixed number of threads, each of which takes one connection after another.

use std::thread;

use anyhow::Result;
use server_models::blocking::Server;

const THREADS: usize = 4;

fn main() -> Result<()> {
    let (address, protocol) = server_models::arguments();
    Server::bind(&address, protocol)?.run(|server| {
        // The scope ends when all of its threads have ended.
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    while let Some((stream, peer)) = server.accept() {
                        server.serve(stream, peer);
                    }
                });
            }
        });
    })
}
