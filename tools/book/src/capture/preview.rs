//! The first bytes of a packet's data, for people.

/// How many bytes of text are shown.
const TEXT: usize = 48;

/// How many bytes are shown as hexadecimal digits: about as wide as the text.
const HEXADECIMAL: usize = 16;

/// The beginning of `data`, of which there are `length` bytes, not all of them kept. Text if it is that, `\r\n` and what nobody could
/// see being escaped as in a Rust string; otherwise hexadecimal digits: `16 03 01`.
pub fn preview(data: &[u8], length: usize) -> String {
    match text(data) {
        Some(text) => {
            let escaped: String = text.chars().map(escape).collect();
            let more = if text.len() < length { "…" } else { "" };
            format!("{escaped}{more}")
        }
        None => {
            let shown = &data[..data.len().min(HEXADECIMAL)];
            let mut digits: Vec<String> = shown.iter().map(|byte| format!("{byte:02x}")).collect();
            if shown.len() < length {
                digits.push("…".into());
            }
            digits.join(" ")
        }
    }
}

/// The whole characters among the first bytes, if these are text.
fn text(data: &[u8]) -> Option<&str> {
    let first = &data[..data.len().min(TEXT)];
    let text = match std::str::from_utf8(first) {
        Ok(text) => text,
        // A character that is cut in two by the limit.
        Err(error) if error.error_len().is_none() && first.len() == TEXT => {
            std::str::from_utf8(&first[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let is_text = text
        .chars()
        .all(|character| !character.is_control() || "\r\n\t".contains(character));
    is_text.then_some(text)
}

fn escape(character: char) -> String {
    match character {
        '"' | '\'' => character.to_string(),
        _ => character.escape_debug().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::preview;

    fn whole(data: &[u8]) -> String {
        preview(data, data.len())
    }

    #[test]
    fn text_is_shown_as_text_with_its_line_ends() {
        assert_eq!(
            whole(b"GET /\"x\" HTTP/1.1\r\n\r\n"),
            r#"GET /"x" HTTP/1.1\r\n\r\n"#
        );
        assert_eq!(whole("Grüße\n".as_bytes()), r"Grüße\n");
        assert_eq!(whole(b""), "");
        assert_eq!(whole(br"a\nb"), r"a\\nb");
    }

    #[test]
    fn bytes_are_shown_as_digits() {
        assert_eq!(whole(&[0x16, 3, 1]), "16 03 01");
        assert_eq!(whole(b"a\0b"), "61 00 62");
        assert_eq!(whole(b"\x1b[2J"), "1b 5b 32 4a");
        assert_eq!(whole(&[0xff; 17]), format!("{}…", "ff ".repeat(16)));
    }

    #[test]
    fn what_is_too_long_ends_with_an_ellipsis() {
        assert_eq!(whole(&[b'a'; 48]), "a".repeat(48));
        assert_eq!(whole(&[b'a'; 49]), format!("{}…", "a".repeat(48)));
        let umlauts = format!("a{}", "ü".repeat(30));
        assert_eq!(
            whole(umlauts.as_bytes()),
            format!("a{}…", "ü".repeat(23)),
            "no character is cut in two"
        );
        assert_eq!(preview(b"ab", 3), "ab…", "not all of it was kept");
        assert_eq!(preview(b"", 9), "…");
    }

    #[test]
    fn characters_that_change_the_direction_of_text_are_escaped() {
        assert_eq!(whole("a\u{202e}b".as_bytes()), r"a\u{202e}b");
    }
}
