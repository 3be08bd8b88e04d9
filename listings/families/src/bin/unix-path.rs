//! Binds Unix sockets to a path that was left behind, to one that is in use, and to one
//! that is too long.

use std::env;
use std::fs;
use std::io;
use std::path::Path;
use std::process;

use anyhow::{Context, Result};
use socket2::{Domain, SockAddr, Socket, Type};

/// What `sun_path` in the C struct holds on Linux, less the zero byte at its end.
const LONGEST_PATH: usize = 107;

fn main() -> Result<()> {
    if let Some(argument) = env::args_os().nth(1) {
        eprintln!("expected no arguments, got: {argument:?}");
        process::exit(2);
    }

    let folder = env::temp_dir().join(format!("unix-path-{}", process::id()));
    fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let outcome = env::set_current_dir(&folder).map(|()| bind_sockets());
    fs::remove_dir_all(&folder)
        .with_context(|| format!("cannot remove {}", folder.display()))?;
    outcome.with_context(|| format!("cannot enter {}", folder.display()))
}

/// Binds sockets to paths in the current folder and prints what came of it.
fn bind_sockets() {
    // ANCHOR: taken
    let path = Path::new("socket");
    println!("bind: {}", answer(&bind(path)));
    println!("closed; the file is still there: {}", path.exists());
    println!("bind: {}", answer(&bind(path)));
    println!("remove the file: {}", answer(&fs::remove_file(path)));
    let socket = bind(path);
    println!("bind: {}", answer(&socket));
    println!("bind while it is open: {}", answer(&bind(path)));
    // ANCHOR_END: taken

    // ANCHOR: long
    for length in [LONGEST_PATH, LONGEST_PATH + 1] {
        let path = "x".repeat(length);
        println!("bind {length} bytes: {}", answer(&bind(path.as_ref())));
    }
    // ANCHOR_END: long
}

// ANCHOR: bind
fn bind(path: &Path) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    Ok(socket)
}
// ANCHOR_END: bind

fn answer<T>(result: &io::Result<T>) -> String {
    match result {
        Ok(_) => "ok".into(),
        Err(error) => error.to_string(),
    }
}
