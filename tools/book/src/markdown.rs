//! How scenes and recordings look on their page.

use crate::process::Stream;
use crate::recording::Provenance;
use crate::text;
use crate::transcript::Transcript;

/// The terminals as Markdown: for each the command, in a block of its own so that it copies without a prompt, and what it printed.
pub fn scene(terminals: &[Transcript]) -> String {
    framed(terminals, "")
}

/// `attributes` are those of what was printed.
fn framed(terminals: &[Transcript], attributes: &str) -> String {
    let mut page = String::from("<div class=\"scene\">\n");
    for terminal in terminals {
        page.push_str("<div class=\"terminal\">\n\n");
        page.push_str(&command(&terminal.command));
        page.push_str(&output(terminal, attributes));
        if let Some(code) = terminal.exit.filter(|code| *code != 0) {
            page.push_str(&format!("<p class=\"exit\">exit code {code}</p>\n"));
        }
        page.push_str("</div>\n");
    }
    page.push_str("</div>\n\n");
    page
}

/// A scene that has been recorded, and where it comes from.
pub fn recorded(terminals: &[Transcript], provenance: &str) -> String {
    // Other people's tables must not be broken: they scroll, and so must be within the keyboard's reach.
    let scene = framed(terminals, " tabindex=\"0\"");
    format!("<div class=\"recorded\">\n{scene}{provenance}\n</div>\n\n")
}

/// Where and when something has been recorded, in one line; `command` records it again, and `changed` are the listings that
/// have changed since.
pub fn provenance(provenance: &Provenance, command: &str, changed: &[String]) -> String {
    let Provenance {
        kernel, cpu, cores, ..
    } = provenance;
    let date = provenance.date();
    let programs: Vec<String> = provenance
        .versions
        .iter()
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    let cores = match cores {
        1 => "1 core".into(),
        cores => format!("{cores} cores"),
    };
    let changed = match changed {
        [] => String::new(),
        changed => format!(
            " <strong class=\"changed\">{} has changed since.</strong>",
            line(&changed.join(" and "))
        ),
    };
    format!(
        "<p class=\"provenance\">Recorded on {}.{changed} Repeat it: <code>{}</code></p>",
        line(&format!(
            "{date}: {kernel}, {cpu}, {cores}, {}",
            programs.join(", ")
        )),
        line(command)
    )
}

/// `text` for the inside of an HTML element in a block that a blank line would end.
pub fn line(text: &str) -> String {
    let readable = text::readable(text.as_bytes());
    text::html(&readable.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// A command. On a narrow screen it is broken between words only: a lone `-` at the end of a line would look like an argument.
fn command(command: &str) -> String {
    let command = text::readable(command.as_bytes());
    let words = command.split(' ').map(|word| match text::html(word) {
        word if word.contains('-') => format!("<span class=\"word\">{word}</span>"),
        word => word,
    });
    let words = words.collect::<Vec<_>>().join(" ");
    format!("<pre><code class=\"language-text\">{words}\n</code></pre>\n\n")
}

/// What a program printed, with the lines of stderr marked. The element is `samp`, since mdBook puts a copy button on every `code`.
fn output(terminal: &Transcript, attributes: &str) -> String {
    let mut inside = String::new();
    for (stream, lines) in &terminal.output {
        let lines = text::readable(lines.as_bytes());
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
        "<pre class=\"output\"{attributes}><samp>{}</samp></pre>\n",
        inside.trim_end_matches('\n')
    )
}
