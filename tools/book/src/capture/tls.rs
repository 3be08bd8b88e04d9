//! The names of the TLS messages in a TCP stream (RFC 9846, sections 4 and 5.1; RFC 5246, sections 6.2 and 7.4). What is encrypted
//! has no names but those of its records.
//!
//! No crate does this for streams with gaps, and the few bytes of headers that matter here need none.

use std::collections::HashMap;

/// Of a message: its type and its length (RFC 9846, section 4).
const MESSAGE_HEADER: usize = 4;

/// Of a record: its type, a version and its length (RFC 9846, section 5.1).
const RECORD_HEADER: usize = 5;

/// No record's content is longer: 2^14 bytes, and what TLS 1.2 may add (RFC 5246, section 6.2.3).
const LONGEST_RECORD: usize = (1 << 14) + 2048;

/// How many different names one packet may have; a hostile one could have thousands.
const NAMES: usize = 16;

const HANDSHAKE: u8 = 22;

/// The random number that makes a ServerHello a HelloRetryRequest (RFC 9846, section 4.1.3).
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// All streams of a capture; each is one direction of one connection.
#[derive(Debug, Default)]
pub struct Streams(HashMap<(usize, usize), Stream>);

impl Streams {
    /// The messages that begin in a segment of `length` bytes, of which `data` was kept; `sequence` is relative, the first byte of a
    /// stream has 1. A name that comes several times in a row is told once: `ApplicationData ×3`.
    pub fn names(
        &mut self,
        stream: (usize, usize),
        sequence: u32,
        data: &[u8],
        length: usize,
    ) -> Vec<String> {
        if length == 0 {
            return Vec::new();
        }
        let stream = self.0.entry(stream).or_default();
        // The numbers go round: what is less than half of them ahead is ahead.
        let begin = sequence.wrapping_sub(1);
        let ahead = begin.wrapping_sub(stream.length);
        let is_gap = ahead > 0 && ahead < 1 << 31;
        // What was sent before is not told again.
        let old = if is_gap {
            0
        } else {
            stream.length.wrapping_sub(begin) as usize
        };
        if old >= length {
            return Vec::new();
        }
        stream.is_lost |= is_gap;
        stream.length = begin.wrapping_add(u32::try_from(length).unwrap_or(u32::MAX));
        let new = data.get(old..).unwrap_or_default();
        let mut names = Vec::new();
        stream.read(new, &mut names);
        stream.skip(length - old - new.len());
        counted(&names)
    }
}

/// `[A, B, B]` becomes `[A, B ×2]`.
fn counted(names: &[&'static str]) -> Vec<String> {
    let groups: Vec<&[&str]> = names.chunk_by(|one, next| one == next).collect();
    let shown = groups.iter().take(NAMES).map(|group| match group {
        [name] => (*name).to_owned(),
        _ => format!("{} ×{}", group[0], group.len()),
    });
    let more = (groups.len() > NAMES).then(|| "…".to_owned());
    shown.chain(more).collect()
}

/// One direction of a connection, as far as it has been read.
#[derive(Debug, Default)]
struct Stream {
    /// Bytes that have been sent.
    length: u32,
    /// It is not TLS, or bytes are missing without which one cannot go on.
    is_lost: bool,
    /// It began as TLS does.
    is_tls: bool,
    /// The header of the next record, as far as it has come.
    header: Vec<u8>,
    /// How many bytes of the current record are to come, and what it holds.
    left: usize,
    is_clear_handshake: bool,
    /// The next handshake message's header, as far as it has come, and how many bytes of the current one are to come.
    message: Vec<u8>,
    message_left: usize,
    /// After ChangeCipherSpec: TLS 1.2 encrypts what follows. TLS 1.3 sends one, too, but it means nothing there.
    has_changed_cipher: bool,
    /// Nothing has been sent since ChangeCipherSpec.
    is_first_encrypted: bool,
}

impl Stream {
    fn read(&mut self, mut data: &[u8], names: &mut Vec<&'static str>) {
        while !data.is_empty() && !self.is_lost {
            if self.left > 0 {
                let (body, rest) = data.split_at(data.len().min(self.left));
                self.left -= body.len();
                if self.is_clear_handshake {
                    self.read_messages(body, names);
                }
                data = rest;
                continue;
            }
            let missing = RECORD_HEADER - self.header.len();
            let (header, rest) = data.split_at(data.len().min(missing));
            self.header.extend_from_slice(header);
            data = rest;
            if let [kind, major, _, high, low] = self.header[..] {
                let length = usize::from(u16::from_be_bytes([high, low]));
                self.header.clear();
                self.begin(kind, major, length, data, names);
            }
        }
    }

    /// A record of `length` bytes begins; `data` is what of it and what follows is here already.
    fn begin(
        &mut self,
        kind: u8,
        major: u8,
        length: usize,
        data: &[u8],
        names: &mut Vec<&'static str>,
    ) {
        let is_tls = major == 3 && length <= LONGEST_RECORD && (self.is_tls || kind == HANDSHAKE);
        if !is_tls {
            self.is_lost = true;
            return;
        }
        self.is_tls = true;
        self.left = length;
        self.is_clear_handshake = false;
        match kind {
            20 => {
                names.push("ChangeCipherSpec");
                self.has_changed_cipher = true;
                self.is_first_encrypted = true;
                return;
            }
            21 => names.push("Alert"),
            HANDSHAKE if self.has_changed_cipher && !is_hello(data, length) => {
                // RFC 5246, section 7.4.9: what follows a ChangeCipherSpec is Finished.
                names.push(if self.is_first_encrypted {
                    "Finished"
                } else {
                    "Handshake"
                });
            }
            HANDSHAKE => self.is_clear_handshake = true,
            23 => names.push("ApplicationData"),
            _ => {
                self.is_lost = true;
                return;
            }
        }
        self.is_first_encrypted = false;
    }

    fn read_messages(&mut self, mut body: &[u8], names: &mut Vec<&'static str>) {
        while !body.is_empty() {
            let skipped = body.len().min(self.message_left);
            self.message_left -= skipped;
            body = &body[skipped..];
            if body.is_empty() {
                return;
            }
            let missing = MESSAGE_HEADER - self.message.len();
            let (header, rest) = body.split_at(body.len().min(missing));
            self.message.extend_from_slice(header);
            body = rest;
            if let [kind, high, middle, low] = self.message[..] {
                self.message.clear();
                self.message_left =
                    usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
                // A version of two bytes comes before the random number.
                let is_retry = body.get(2..).is_some_and(|rest| rest.starts_with(&RETRY));
                names.push(name(kind, is_retry));
            }
        }
    }

    /// `missing` bytes have been sent that were not kept.
    fn skip(&mut self, missing: usize) {
        if missing == 0 {
            return;
        }
        let is_inside = missing <= self.left;
        let is_inside_message = !self.is_clear_handshake || missing <= self.message_left;
        if is_inside && is_inside_message {
            self.left -= missing;
            if self.is_clear_handshake {
                self.message_left -= missing;
            }
        } else {
            self.is_lost = true;
        }
    }
}

/// Whether a record holds a ClientHello or a ServerHello in clear, and nothing else: with TLS 1.3 they may follow a ChangeCipherSpec
/// (RFC 9846, appendix E.4).
fn is_hello(data: &[u8], length: usize) -> bool {
    matches!(data, [1 | 2, high, middle, low, ..]
        if (usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low)) + MESSAGE_HEADER == length)
}

/// RFC 9846, section 4, and what earlier versions had: RFC 5246, section 7.4; RFC 5077; RFC 6066.
fn name(kind: u8, is_retry: bool) -> &'static str {
    match kind {
        0 => "HelloRequest",
        1 => "ClientHello",
        2 if is_retry => "HelloRetryRequest",
        2 => "ServerHello",
        4 => "NewSessionTicket",
        5 => "EndOfEarlyData",
        8 => "EncryptedExtensions",
        11 => "Certificate",
        12 => "ServerKeyExchange",
        13 => "CertificateRequest",
        14 => "ServerHelloDone",
        15 => "CertificateVerify",
        16 => "ClientKeyExchange",
        20 => "Finished",
        22 => "CertificateStatus",
        24 => "KeyUpdate",
        _ => "Handshake",
    }
}

#[cfg(test)]
mod tests {
    use super::{HANDSHAKE, RETRY, Streams};

    fn record(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&[kind, 3, 3], &length[..], body].concat()
    }

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&[kind], &length[1..], body].concat()
    }

    /// The names in each of these segments of one stream.
    fn names<'a>(segments: impl IntoIterator<Item = &'a [u8]>) -> Vec<Vec<String>> {
        let mut streams = Streams::default();
        let mut sequence = 1;
        segments
            .into_iter()
            .map(|data| {
                let names = streams.names((0, 0), sequence, data, data.len());
                sequence += u32::try_from(data.len()).unwrap();
                names
            })
            .collect()
    }

    fn flight() -> Vec<u8> {
        [
            record(HANDSHAKE, &message(2, &[1; 70])),
            record(20, &[1]),
            record(23, &[0; 50]),
            record(23, &[0; 500]),
            record(23, &[0; 60]),
        ]
        .concat()
    }

    #[test]
    fn a_flight_of_tls_1_3_is_named() {
        assert_eq!(
            names([&flight()[..]]),
            [["ServerHello", "ChangeCipherSpec", "ApplicationData ×3"]]
        );
    }

    #[test]
    fn the_messages_are_the_same_however_the_stream_is_cut() {
        for size in 1..60 {
            let found = names(flight().chunks(size)).concat();
            let kinds = found.iter().map(|name| name.split(' ').next().unwrap());
            assert!(
                kinds.eq([
                    "ServerHello",
                    "ChangeCipherSpec",
                    "ApplicationData",
                    "ApplicationData",
                    "ApplicationData"
                ]),
                "cut into pieces of {size}: {found:?}"
            );
        }
    }

    #[test]
    fn several_messages_may_be_in_one_record_and_one_in_several() {
        let messages = [
            message(2, &[0; 40]),
            message(11, &[0; 300]),
            message(14, &[]),
        ]
        .concat();
        let one = record(HANDSHAKE, &messages);
        let several: Vec<u8> = messages
            .chunks(100)
            .flat_map(|part| record(HANDSHAKE, part))
            .collect();
        let all = [["ServerHello", "Certificate", "ServerHelloDone"]];
        assert_eq!(names([&one[..]]), all);
        assert_eq!(names([&several[..]]), all);
    }

    #[test]
    fn a_retry_is_told_by_its_random_and_hellos_follow_it_in_clear() {
        let retry = [&[3, 3], &RETRY[..], &[0; 10]].concat();
        let server = [
            record(HANDSHAKE, &message(2, &retry)),
            record(20, &[1]),
            record(HANDSHAKE, &message(2, &[7; 50])),
        ]
        .concat();
        assert_eq!(
            names([&server[..]]),
            [["HelloRetryRequest", "ChangeCipherSpec", "ServerHello"]]
        );
    }

    #[test]
    fn what_tls_1_2_encrypts_after_its_change_is_finished() {
        let client = [
            record(HANDSHAKE, &message(16, &[0; 33])),
            record(20, &[1]),
            record(HANDSHAKE, &[0xa7; 40]),
            record(21, &[0xa7; 26]),
        ]
        .concat();
        assert_eq!(
            names([&client[..]]),
            [["ClientKeyExchange", "ChangeCipherSpec", "Finished", "Alert"]]
        );
    }

    #[test]
    fn what_is_not_tls_has_no_names() {
        assert_eq!(names([&b"GET / HTTP/1.1\r\n\r\n"[..]]), [[""; 0]]);
        assert_eq!(names([&record(23, &[0; 9])[..]]), [[""; 0]]);
        assert_eq!(names([&[22, 3, 1, 0xff, 0xff, 1][..]]), [[""; 0]]);
        let broken = [flight(), b"hello".to_vec(), flight()].concat();
        assert_eq!(names([&broken[..]])[0].len(), 3);
    }

    #[test]
    fn a_packet_of_a_thousand_messages_has_few_names() {
        let many: Vec<u8> = [21, 23]
            .repeat(500)
            .into_iter()
            .flat_map(|kind| record(kind, &[]))
            .collect();
        let all = [record(HANDSHAKE, &message(1, &[0; 40])), many].concat();
        assert_eq!(names([&all[..]])[0].len(), 17);
    }

    #[test]
    fn bytes_that_were_not_kept_do_no_harm_inside_a_record() {
        let hello = record(HANDSHAKE, &message(1, &[0; 40]));
        let long = record(23, &[0; 5000]);
        let next = record(23, &[0; 10]);
        let mut streams = Streams::default();
        let mut sequence = 1;
        for (data, kept, names) in [
            (&hello, 30, vec!["ClientHello"]),
            (&long, 100, vec!["ApplicationData"]),
            (&next, 15, vec!["ApplicationData"]),
            (
                &[next.clone(), next.clone()].concat(),
                15,
                vec!["ApplicationData"],
            ),
            (&next, 15, vec![]),
        ] {
            assert_eq!(
                streams.names((0, 0), sequence, &data[..kept], data.len()),
                names
            );
            sequence += u32::try_from(data.len()).unwrap();
        }
    }

    #[test]
    fn a_retransmission_is_not_told_again_and_a_gap_ends_it() {
        let hello = record(HANDSHAKE, &message(1, &[0; 40]));
        let length = u32::try_from(hello.len()).unwrap();
        let next = record(23, &[0; 10]);
        let mut streams = Streams::default();
        let mut names = |sequence, data: &[u8]| streams.names((0, 0), sequence, data, data.len());
        assert_eq!(names(1, &hello), ["ClientHello"]);
        assert_eq!(names(1, &hello), [""; 0]);
        let both = [hello.clone(), next.clone()].concat();
        assert_eq!(names(1, &both), ["ApplicationData"]);
        assert_eq!(names(length + 99, &next), [""; 0]);
        assert_eq!(names(length + 99 + 15, &next), [""; 0]);
    }
}
