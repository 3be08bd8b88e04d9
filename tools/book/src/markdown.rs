//! How a scene looks on its page.

use crate::process::Stream;
use crate::scene::Terminal;
use crate::text;

/// The terminals as Markdown: for each the command, in a block of its own so that it copies without a prompt, and what it printed.
pub fn scene(terminals: &[Terminal]) -> String {
    let mut page = String::from("<div class=\"scene\">\n");
    for terminal in terminals {
        page.push_str("<div class=\"terminal\">\n\n");
        page.push_str(&command(&terminal.command));
        page.push_str(&output(terminal));
        if let Some(code) = terminal
            .process
            .status
            .and_then(|status| status.code())
            .filter(|code| *code != 0)
        {
            page.push_str(&format!("<p class=\"exit\">exit code {code}</p>\n"));
        }
        page.push_str("</div>\n");
    }
    page.push_str("</div>\n\n");
    page
}

/// A command. On a narrow screen it is broken between words only: a lone `-` at the end of a line would look like an argument.
fn command(command: &str) -> String {
    let words = command.split(' ').map(|word| match text::html(word) {
        word if word.contains('-') => format!("<span class=\"word\">{word}</span>"),
        word => word,
    });
    let words = words.collect::<Vec<_>>().join(" ");
    format!("<pre><code class=\"language-text\">{words}\n</code></pre>\n\n")
}

/// What a program printed, with the lines of stderr marked. The element is `samp`, since mdBook puts a copy button on every `code`.
fn output(terminal: &Terminal) -> String {
    let mut inside = String::new();
    for (stream, lines) in paragraphs(&terminal.process.output) {
        match stream {
            Stream::Stdout => inside.push_str(&text::html(&lines)),
            Stream::Stderr => {
                let lines = text::html(lines.trim_end_matches('\n'));
                inside.push_str(&format!("<span class=\"stderr\">{lines}</span>\n"));
            }
        }
    }
    if inside.is_empty() {
        return "<p class=\"exit\">no output</p>\n".into();
    }
    format!(
        "<pre class=\"output\"><samp>{}</samp></pre>\n",
        inside.trim_end_matches('\n')
    )
}

/// The terminals as plain text, for an error message.
pub fn plain(terminals: &[Terminal]) -> String {
    let mut all = String::from("the scene did not do what it should; this is what was printed:");
    for terminal in terminals {
        all.push_str(&format!("\n  $ {}", terminal.command));
        for (_, lines) in paragraphs(&terminal.process.output) {
            for line in lines.lines() {
                all.push_str(&format!("\n  {line}"));
            }
        }
    }
    all
}

/// Joins neighbouring pieces of the same stream, and makes them readable.
fn paragraphs(output: &[(Stream, Vec<u8>)]) -> Vec<(Stream, String)> {
    let mut joined: Vec<(Stream, Vec<u8>)> = Vec::new();
    for (stream, bytes) in output {
        match joined.last_mut() {
            Some((last, all)) if last == stream => all.extend(bytes),
            _ => joined.push((*stream, bytes.clone())),
        }
    }
    joined
        .into_iter()
        .map(|(stream, bytes)| (stream, text::readable(&bytes)))
        .collect()
}
