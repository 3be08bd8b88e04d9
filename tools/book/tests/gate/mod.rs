//! Holds programs back until the test lets them go. It is a socket with a path: a scene has a network of its own, and files in common
//! with all others.

// Every file of tests is a program of its own, and none needs all of this.
#![allow(dead_code)]

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;

use tempfile::TempDir;

use crate::fixture::receive;

pub struct Gate {
    path: PathBuf,
    held: Receiver<UnixStream>,
    /// Here is the socket.
    _folder: TempDir,
}

impl Gate {
    pub fn new() -> Gate {
        let folder = TempDir::new().expect("a temporary folder");
        let path = folder.path().join("gate");
        let listener = UnixListener::bind(&path).expect("a socket");
        let (sender, held) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                // Nobody holds it if the gate is open.
                let _ = sender.send(stream.expect("a connection"));
            }
        });
        Gate {
            path,
            held,
            _folder: folder,
        }
    }

    /// A program that waits at the gate, and then prints `text`.
    pub fn program(&self, text: &str) -> String {
        format!(
            "use std::io::Read;\n\n\
             fn main() -> std::io::Result<()> {{\n    \
                 std::os::unix::net::UnixStream::connect({:?})?.read_to_end(&mut Vec::new())?;\n    \
                 println!({text:?});\n    \
                 Ok(())\n\
             }}\n",
            self.path
        )
    }

    /// Waits for a program. It goes on when what is returned is dropped.
    #[track_caller]
    pub fn wait(&self) -> UnixStream {
        receive(&self.held, "a program")
    }

    /// From now on nobody is held.
    pub fn open(&mut self) {
        self.held = mpsc::channel().1;
    }

    /// Fails if another program has come.
    #[track_caller]
    pub fn assert_nobody_waits(&self) {
        assert!(matches!(self.held.try_recv(), Err(TryRecvError::Empty)));
    }
}
