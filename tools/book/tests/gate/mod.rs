//! Holds programs back until the test lets them go.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;

use crate::fixture::receive;

pub struct Gate {
    address: SocketAddr,
    held: Receiver<TcpStream>,
}

impl Gate {
    pub fn new() -> Gate {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (sender, held) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                // Nobody holds it if the gate is open.
                let _ = sender.send(stream.expect("a connection"));
            }
        });
        Gate { address, held }
    }

    /// A program that waits at the gate, and then prints `text`.
    pub fn program(&self, text: &str) -> String {
        format!(
            "use std::io::Read;\n\n\
             fn main() -> std::io::Result<()> {{\n    \
                 std::net::TcpStream::connect(\"{}\")?.read_to_end(&mut Vec::new())?;\n    \
                 println!({text:?});\n    \
                 Ok(())\n\
             }}\n",
            self.address
        )
    }

    /// Waits for a program. It goes on when what is returned is dropped.
    #[track_caller]
    pub fn wait(&self) -> TcpStream {
        receive(&self.held, "a program")
    }

    /// From now on nobody is held.
    pub fn open(self) {}

    /// Fails if another program has come.
    #[track_caller]
    pub fn assert_nobody_waits(&self) {
        assert!(matches!(self.held.try_recv(), Err(TryRecvError::Empty)));
    }
}
