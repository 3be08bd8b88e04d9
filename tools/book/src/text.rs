//! What programs print is data. This module turns it into something that a terminal's reader would have seen, and that a page
//! can hold without being changed by it.

use anstream::adapter::strip_bytes;

/// The text in `bytes`: escape sequences and control characters removed, lines ended by `\n`, and what else cannot be shown replaced by
/// something that can.
pub fn readable(bytes: &[u8]) -> String {
    let plain = strip_bytes(bytes).into_vec();
    String::from_utf8_lossy(&plain)
        .replace("\r\n", "\n")
        .chars()
        .map(|character| match character {
            '\n' | '\t' => character,
            // U+2400 and what follows it are pictures of the control characters.
            '\0'..='\x1f' => char::from_u32(0x2400 + character as u32).unwrap_or('\u{fffd}'),
            '\x7f' => '\u{2421}',
            // The C1 controls; and the characters that change the direction of the text around them.
            '\u{80}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{206f}'
            | '\u{2028}'
            | '\u{2029}' => '\u{fffd}',
            other => other,
        })
        .collect()
}

/// `text` for the inside of an HTML element, in Markdown. Braces are escaped too, since `{{#include …}}` means something to mdBook.
pub fn html(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '{' => safe.push_str("&#123;"),
            other => safe.push(other),
        }
    }
    safe
}

/// `text` for the middle of a Markdown paragraph: every punctuation mark is escaped, and lines are joined.
pub fn inline(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.trim().chars() {
        match character {
            '\n' | '\t' => safe.push(' '),
            mark if mark.is_ascii_punctuation() => {
                safe.push('\\');
                safe.push(mark);
            }
            other => safe.push(other),
        }
    }
    safe
}

/// `text` as a code block of its own, in a fence longer than any that it contains.
pub fn block(text: &str) -> String {
    let longest = text
        .split(|character| character != '`')
        .map(str::len)
        .max()
        .unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{}\n{fence}\n", text.trim_end_matches('\n'))
}

/// `text` for the inside of a code block that the chapter has opened: no line can close it.
pub fn in_block(text: &str) -> String {
    text.lines()
        .map(|line| match line.trim_start() {
            fence if fence.starts_with("```") || fence.starts_with("~~~") => {
                format!("\u{200b}{line}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_control_characters_are_removed() {
        assert_eq!(readable(b"\x1b[31mred\x1b[0m"), "red");
        assert_eq!(readable(b"\x1b]8;;http://x\x07link\x1b]8;;\x07"), "link");
        assert_eq!(readable(b"a\0b\x08c\rd\x7f"), "abc\u{240d}d");
        assert_eq!(readable(b"line\r\nline\n"), "line\nline\n");
    }

    #[test]
    fn bytes_that_are_not_utf_8_become_replacement_characters() {
        assert_eq!(readable(b"caf\xe9!"), "caf\u{fffd}!");
    }

    #[test]
    fn text_cannot_turn_the_page_around() {
        assert_eq!(
            readable("\u{202e}evil\u{2066}\u{61c}\u{206a}".as_bytes()),
            "\u{fffd}evil\u{fffd}\u{fffd}\u{fffd}"
        );
    }

    #[test]
    fn html_and_includes_become_text() {
        assert_eq!(
            html("<!-- {{#include x}} & \"y\" -->"),
            "&lt;!-- &#123;&#123;#include x}} &amp; &quot;y&quot; --&gt;"
        );
    }

    #[test]
    fn nothing_in_a_sentence_is_markdown() {
        assert_eq!(inline("*a*\n<b>|`c`\n"), r"\*a\* \<b\>\|\`c\`");
    }

    #[test]
    fn a_fence_inside_a_block_does_not_end_it() {
        assert_eq!(block("````\nx\n"), "`````text\n````\nx\n`````\n");
        assert_eq!(block("x"), "```text\nx\n```\n");
        assert_eq!(in_block("```\nx"), "\u{200b}```\nx\n");
    }
}
