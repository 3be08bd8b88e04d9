//! Servers that a test makes up, and `load` sent to them.

#![allow(dead_code)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;

use serde_json::Value;

use crate::conversation::{listen, stderr, stdout};
use crate::programs::run;

pub const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

/// A server that does as it likes with every client, each in a thread of its own; returns its
/// address. The first client of all is `load` finding out whether anybody is there.
pub fn serving(behave: impl Fn(TcpStream) + Send + Sync + 'static) -> String {
    let (listener, address) = listen();
    let behave = Arc::new(behave);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.expect("a connection");
            stream.set_nodelay(true).expect("an open connection");
            let behave = Arc::clone(&behave);
            thread::spawn(move || behave(stream));
        }
    });
    address
}

/// A server that gives this answer to every request.
pub fn answering(answer: impl AsRef<[u8]> + Send + Sync + 'static) -> String {
    serving(
        move |mut stream| {
            while next_request(&mut stream) && stream.write_all(answer.as_ref()).is_ok() {}
        },
    )
}

/// Reads a request; false if there is no further one.
pub fn next_request(stream: &mut TcpStream) -> bool {
    let mut head = vec![];
    while !head.ends_with(b"\r\n\r\n") {
        let mut bytes = [0; 1024];
        match stream.read(&mut bytes) {
            Ok(0) | Err(_) => return false,
            Ok(length) => head.extend_from_slice(&bytes[..length]),
        }
    }
    true
}

/// What `load` says about the server there, as JSON.
#[track_caller]
pub fn load(address: &str, arguments: &[&str]) -> Value {
    let output = run("load", &[&[address, "--json"], arguments].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
    serde_json::from_str(&stdout(&output)).expect("JSON")
}

/// A number of the report.
#[track_caller]
pub fn number(report: &Value, name: &str) -> f64 {
    report[name].as_f64().expect("a number")
}

/// The milliseconds at one percentile of `since_sent` or `since_due`.
#[track_caller]
pub fn percentile(report: &Value, name: &str, percent: &str) -> f64 {
    report[name][percent].as_f64().expect("a number")
}
