//! The story of a scene: what its programs asked of the system, and what travelled between them, as strace and a capture of the
//! loopback interface saw it. A replay shows it.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use crate::process::Stream;

/// Microseconds since the story's first event.
pub type Time = u64;

/// What happened in a scene.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Story {
    /// In the order in which they were started.
    pub programs: Vec<Program>,
    /// In the order of the programs.
    pub lanes: Vec<Lane>,
    /// In the order in which they began.
    pub calls: Vec<Call>,
    /// In the order in which they were sent.
    pub packets: Vec<Packet>,
    /// How many packets between those that are told have been left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub packets_left_out: usize,
}

/// A program, and its terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// What a reader types.
    pub command: String,
    /// None if it was stopped at the end of the scene.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// How many of its threads have no lane.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub threads_left_out: usize,
}

/// Whoever does one thing after another: a thread of a program; or nobody, where packets go that no program gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Lane {
    /// `server`, `client`, `client-2`, `server-thread-2`, `nobody`: another one for each.
    pub name: String,
    /// Which of the programs; none for nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<usize>,
    /// How many calls between those that are told have been left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub calls_left_out: usize,
}

/// A system call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Call {
    pub lane: usize,
    /// What its manual page is called: `accept`.
    pub name: String,
    /// `accept(3)`
    pub text: String,
    /// `4, from 127.0.0.1:40000`; none if it had not returned when the scene ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// Whether the result is an error.
    #[serde(default, skip_serializing_if = "is_false")]
    pub failed: bool,
    pub start: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Time>,
    /// The line of a listing that made it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceLine>,
    /// What it printed on the program's terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Output>,
}

/// A line of a listing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SourceLine {
    /// `listings/echo/src/bin/server.rs`
    pub file: String,
    /// The first one is 1.
    pub line: u32,
}

/// What a program printed with one call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Output {
    pub stream: Stream,
    pub text: String,
}

/// What one socket sent to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Packet {
    pub time: Time,
    pub from: End,
    pub to: End,
    pub protocol: Protocol,
    /// `SYN`, `SYN-ACK`, `ACK`, `FIN-ACK`, `RST`, `PSH-ACK`, and so on; of ICMP the message; empty for a datagram.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub flags: String,
    /// Of TCP, both since the beginning of the connection: the SYN has 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledgement: Option<u32>,
    /// Bytes of data.
    pub length: usize,
    /// Whether all of them had been sent before: TCP sends again what is not acknowledged in time.
    #[serde(default, skip_serializing_if = "is_false")]
    pub again: bool,
    /// The first bytes of data, as text or as hexadecimal digits.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub data: String,
    /// The TLS messages that begin in it, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tls: Vec<String>,
}

/// One end of a packet's way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct End {
    pub lane: usize,
    /// `127.0.0.1:8001`
    pub address: String,
    /// The state of its TCP (RFC 9293, section 3.3.2) after the packet, if that changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Tcp,
    Udp,
    Icmp,
}

impl Packet {
    /// Whether it has this flag: `SYN`.
    pub fn has(&self, flag: &str) -> bool {
        self.flags.split('-').any(|found| found == flag)
    }
}

impl Story {
    /// Fails if it contradicts itself, as a damaged file might.
    pub fn check(&self) -> Result<()> {
        let names: BTreeSet<&str> = self.lanes.iter().map(|lane| lane.name.as_str()).collect();
        ensure!(
            names.len() == self.lanes.len(),
            "two lanes have the same name"
        );
        for lane in &self.lanes {
            let is_known = lane
                .program
                .is_none_or(|program| program < self.programs.len());
            ensure!(is_known, "the lane {:?} has no program", lane.name);
        }
        for call in &self.calls {
            ensure!(
                call.lane < self.lanes.len(),
                "the call {:?} has no lane",
                call.text
            );
            ensure!(
                call.end.is_none_or(|end| call.start <= end),
                "the call {:?} ends before it begins",
                call.text
            );
            ensure!(
                call.end.is_some() == call.result.is_some(),
                "the call {:?} has an end or a result, not both",
                call.text
            );
        }
        for packet in &self.packets {
            let is_known = packet.from.lane.max(packet.to.lane) < self.lanes.len();
            ensure!(is_known, "a packet comes from or goes to an unknown lane");
        }
        ensure!(
            self.calls.is_sorted_by_key(|call| call.start)
                && self.packets.is_sorted_by_key(|packet| packet.time),
            "the events are not in order"
        );
        Ok(())
    }
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After a change that was meant: `SNAPSHOTS=overwrite cargo test -p book the_schema`.
    #[test]
    fn the_schema_beside_this_file_is_that_of_a_story() {
        let schema = serde_json::to_string_pretty(&schemars::schema_for!(Story)).unwrap() + "\n";
        snapbox::Assert::new()
            .action_env("SNAPSHOTS")
            .eq(schema, snapbox::file!["../story.schema.json"].raw());
    }

    #[test]
    fn a_story_with_an_unknown_field_or_a_call_in_no_lane_is_refused() {
        let text = r#"{"programs":[],"lanes":[],"calls":[],"packets":[],"script":""}"#;
        assert!(serde_json::from_str::<Story>(text).is_err());
        let call = r#"{"lane":0,"name":"socket","text":"socket()","start":0}"#;
        let text = format!(r#"{{"programs":[],"lanes":[],"calls":[{call}],"packets":[]}}"#);
        let story: Story = serde_json::from_str(&text).unwrap();
        assert!(story.check().unwrap_err().to_string().contains("no lane"));
    }
}
