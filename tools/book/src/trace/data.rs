//! The bytes that strace writes as C strings, and how a reader sees them.

use std::fmt::Write;

use super::syntax::{split, string_end};

/// How many characters of text a call shows.
const TEXT_SHOWN: usize = 48;
/// How many bytes of other data.
const BYTES_SHOWN: usize = 16;

/// What a call sent, received or wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Data {
    pub bytes: Vec<u8>,
    /// Whether there was more than strace shows.
    pub is_cut: bool,
}

impl Data {
    /// What a string says: `"hello\n"`, `"hel"...`. None if `text` is another thing: an address in memory, NULL.
    pub fn parse(text: &str) -> Option<Data> {
        let text = text.trim();
        if !text.starts_with('"') {
            return None;
        }
        let end = string_end(text, 0)?;
        Some(Data {
            bytes: unescape(&text[1..end - 1]),
            is_cut: text[end..].starts_with("..."),
        })
    }

    /// What a list of strings says: `[{iov_base="hello", iov_len=5}, {iov_base="\n", iov_len=1}]`.
    pub fn parse_vector(text: &str) -> Option<Data> {
        let (parts, _) = split(text.strip_prefix('[')?, ',');
        let mut all = Data::default();
        for part in parts {
            let one = Data::parse(part.strip_prefix("{iov_base=")?)?;
            all.bytes.extend(one.bytes);
            all.is_cut |= one.is_cut;
        }
        Some(all)
    }

    /// The first `length` bytes.
    pub fn up_to(mut self, length: usize) -> Data {
        if length <= self.bytes.len() {
            self.bytes.truncate(length);
            self.is_cut = false;
        }
        self
    }

    /// All of it as text.
    pub fn text(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.bytes).into_owned();
        if self.is_cut {
            text.push('…');
        }
        text
    }

    /// What a call shows of it: `"hello\n"`, `"Therefore, since"…`, `16 03 01 …`. Text has the escapes of a Rust string.
    pub fn shown(&self) -> String {
        if self.is_text() {
            self.quoted()
        } else {
            self.hexadecimal()
        }
    }

    /// Few bytes of text are not printable; of others, TLS for one, most are not.
    fn is_text(&self) -> bool {
        let strange = self.bytes.utf8_chunks().map(|chunk| {
            let is_strange = |char: &char| char.is_control() && !matches!(char, '\t' | '\n' | '\r');
            chunk.valid().chars().filter(is_strange).count() + chunk.invalid().len()
        });
        strange.sum::<usize>() * 10 <= self.bytes.len()
    }

    fn quoted(&self) -> String {
        let mut text = String::from("\"");
        let mut count = 0;
        let mut is_whole = !self.is_cut;
        'all: for chunk in self.bytes.utf8_chunks() {
            for char in chunk.valid().chars() {
                if count == TEXT_SHOWN {
                    is_whole = false;
                    break 'all;
                }
                count += 1;
                match char {
                    '\'' => text.push(char),
                    char => text.extend(char.escape_debug()),
                }
            }
            for byte in chunk.invalid() {
                if count == TEXT_SHOWN {
                    is_whole = false;
                    break 'all;
                }
                count += 1;
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
        text.push('"');
        if !is_whole {
            text.push('…');
        }
        text
    }

    fn hexadecimal(&self) -> String {
        let shown = self.bytes.iter().take(BYTES_SHOWN);
        let mut digits: Vec<String> = shown.map(|byte| format!("{byte:02x}")).collect();
        if self.is_cut || self.bytes.len() > BYTES_SHOWN {
            digits.push("…".to_owned());
        }
        digits.join(" ")
    }
}

/// C's escapes: `\n`, `\"`, up to three octal digits, `\x` with two hexadecimal ones.
fn unescape(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut found = Vec::with_capacity(bytes.len());
    let mut position = 0;
    while let Some(&byte) = bytes.get(position) {
        position += 1;
        if byte != b'\\' {
            found.push(byte);
            continue;
        }
        let Some(&escape) = bytes.get(position) else {
            break;
        };
        let number = |from: usize, most: usize, radix: u32| {
            let rest = bytes.get(from..).unwrap_or_default();
            let digits = rest.iter().take(most);
            let digits = digits.map_while(|byte| char::from(*byte).to_digit(radix));
            digits.fold((0, 0), |(length, value), digit| {
                (length + 1, value * radix + digit)
            })
        };
        match escape {
            b'0'..=b'7' => {
                let (length, value) = number(position, 3, 8);
                position += length;
                found.push((value & 0xff) as u8);
            }
            b'x' => {
                let (length, value) = number(position + 1, 2, 16);
                position += 1 + length;
                found.push((value & 0xff) as u8);
            }
            _ => {
                position += 1;
                found.push(match escape {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'v' => 0x0b,
                    b'f' => 0x0c,
                    b'a' => 0x07,
                    b'b' => 0x08,
                    other => other,
                });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Data::parse(text).unwrap().shown()
    }

    #[test]
    fn escapes_become_bytes() {
        let data = Data::parse(r#""a\n\r\t\"\\\0\1777\x41\303\251\33""#).unwrap();
        assert_eq!(data.bytes, b"a\n\r\t\"\\\0\x7f7A\xc3\xa9\x1b");
    }

    #[test]
    fn text_is_shown_as_text_and_other_data_as_digits() {
        assert_eq!(shown(r#""hello\r\n""#), r#""hello\r\n""#);
        assert_eq!(
            shown(r#""caf\303\251 isn't\t\"</script>\"""#),
            r#""café isn't\t\"</script>\"""#
        );
        assert_eq!(shown(r#""""#), r#""""#);
        assert_eq!(shown(r#""\26\3\1\2\0\1\0""#), "16 03 01 02 00 01 00");
        assert_eq!(
            shown(r#""\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0""#),
            "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 …"
        );
        assert_eq!(shown(r#""\26\3\1\2\0\1\0"..."#), "16 03 01 02 00 01 00 …");
    }

    #[test]
    fn characters_that_a_reader_cannot_see_are_escaped() {
        assert_eq!(
            shown(r#""hello hello hello hello \33[31m \342\200\256olleh""#),
            r#""hello hello hello hello \u{1b}[31m \u{202e}olleh""#
        );
    }

    #[test]
    fn long_text_is_shortened_and_says_so() {
        let long = format!("\"{}\"", "x".repeat(49));
        assert_eq!(shown(&long), format!("\"{}\"…", "x".repeat(48)));
        let fits = format!("\"{}\"", "x".repeat(48));
        assert_eq!(shown(&fits), fits);
        assert_eq!(shown(r#""hel"..."#), "\"hel\"…");
        assert_eq!(Data::parse(r#""hel"..."#).unwrap().text(), "hel…");
    }

    #[test]
    fn pieces_are_joined() {
        let data =
            Data::parse_vector(r#"[{iov_base="a, ]}", iov_len=4}, {iov_base="b"..., iov_len=9}]"#);
        assert_eq!(data.unwrap().text(), "a, ]}b…");
    }

    #[test]
    fn addresses_in_memory_are_no_data() {
        assert_eq!(Data::parse("0x7ffd1c43e6df"), None);
        assert_eq!(Data::parse("NULL"), None);
    }
}
