//! A thread for every connection.

use std::sync::Arc;
use std::thread;

use anyhow::Result;
use server_models::CONNECTION_LIMIT;
use server_models::blocking::Server;

fn main() -> Result<()> {
    let (address, protocol) = server_models::arguments();
    Server::bind(&address, protocol)?.run(|server| {
        // The scope ends when all of its threads have ended.
        thread::scope(|scope| {
            // Every open connection has a share in this.
            let open = Arc::new(());
            while let Some((stream, peer)) = server.accept() {
                let share = Arc::clone(&open);
                if Arc::strong_count(&open) > CONNECTION_LIMIT + 1 {
                    eprintln!("{peer}: too many connections");
                    continue;
                }
                let work = move || {
                    server.serve(stream, peer);
                    drop(share);
                };
                if let Err(error) = thread::Builder::new().spawn_scoped(scope, work) {
                    eprintln!("{peer}: no thread: {error}");
                }
            }
        });
    })
}
