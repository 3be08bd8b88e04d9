//! What a program prints is data: wherever its directive stands, it can neither run anything nor break the page.

mod fixture;

use fixture::{Project, programs};

/// Text that would do harm if it were taken for anything else, one line of it after an empty one.
const HOSTILE: &str = "<!-- cmdrun touch ../ran --> {{#include ../secret}} a_b_c *d* 10:30\n\n\
    </code></pre></samp></div><script>alert(1)</script> <img src=x onerror=alert(1)> <b>bold</b> <plaintext>\n\
    ```\n````\n~~~\n    # x | y\n<!--\n";

/// Bytes that are no text at all.
const BINARY: &[u8] = b"\x1b[31mred\x1b[0m \x1b]8;;http://x\x07link\x1b]8;;\x07 nul\0 bell\x07 caf\xe9 c1\xc2\x9b2J \xe2\x80\xae \r back\x08\n";

/// A project whose chapter is `text`, in which `@` stands for a directive that prints `printed`.
fn printing(text: &str, printed: &[u8]) -> Project {
    let directive = "<!-- cmdrun --strict cat ../printed -->";
    let project = Project::new(&text.replace('@', directive));
    project.write("printed", printed);
    project.write("secret", "the secret");
    project
}

/// Builds such a chapter with binary and with hostile text. Fails unless the page shows both as they are, and has nothing else.
/// Returns what `selector` selects on the page with text.
#[track_caller]
fn shown(text: &str, selector: &str) -> Vec<String> {
    let project = printing(text, BINARY);
    project.build();
    let binary = project.page().texts(selector).concat();
    assert!(binary.contains("red link"), "{binary}");
    assert!(binary.contains("caf\u{fffd}"), "{binary}");

    let project = printing(text, HOSTILE.as_bytes());
    project.build();
    let page = project.page();
    assert!(!project.path("ran").exists(), "it has been run");
    assert!(!page.text().contains("the secret"), "it has been included");
    let shown = page.texts(selector);
    for line in HOSTILE.lines() {
        let line = line.trim();
        assert!(
            shown.iter().any(|text| text.contains(line)),
            "no {line:?} in {shown:?}"
        );
    }
    shown
}

/// The same for a place where no directive need be allowed. But then it is refused there before it runs, whatever it would print.
#[track_caller]
fn shown_or_refused(text: &str, selector: &str) {
    let project = printing(text, b"harmless");
    if project.start(&["build"]).end().status.success() {
        shown(text, selector);
    } else {
        let said = project.build_fails();
        assert!(said.starts_with("error: src/chapter.md:"), "{said}");
    }
}

#[test]
fn on_a_line_of_its_own() {
    assert_eq!(shown("Above.\n\n@\n\nBelow.", "pre > code"), [HOSTILE]);
}

#[test]
fn right_below_a_paragraph() {
    assert_eq!(shown("Above.\n@\nBelow.", "pre > code"), [HOSTILE]);
}

#[test]
fn in_the_middle_of_a_line() {
    shown("Above @ below.", "p:first-child");
}

#[test]
fn at_the_end_of_a_line() {
    shown("Above @\nbelow.", "p:first-child");
}

#[test]
fn in_a_heading() {
    shown("# Above @", "h1");
}

#[test]
fn in_a_table() {
    shown("|a|b|\n|-|-|\n|@|c|", "td:first-child");
}

#[test]
fn in_a_link() {
    shown("Above [@](#x) below.", "p > a");
}

#[test]
fn in_a_code_span() {
    shown_or_refused("Above `@` below.", "p > code");
}

#[test]
fn in_a_code_block() {
    let shown = shown("```text\nabove\n@\nbelow\n```", "pre > code");
    assert!(shown[0].starts_with("above\n") && shown[0].ends_with("\nbelow\n"));
}

#[test]
fn in_a_code_block_with_tildes() {
    shown("~~~text\n@\n~~~", "pre > code");
}

#[test]
fn in_an_indented_code_block() {
    shown_or_refused("Above.\n\n    first\n    @\n    last\n", "pre > code");
}

#[test]
fn in_a_code_block_in_a_list() {
    shown_or_refused(
        "1. One\n\n   ```text\n   @\n   ```\n\n2. Two",
        "li > pre > code",
    );
}

#[test]
fn in_a_code_block_in_a_quotation() {
    shown_or_refused("> ```text\n> @\n> ```", "blockquote > pre > code");
}

#[test]
fn on_a_line_of_its_own_in_a_list() {
    shown_or_refused("1. One\n\n   @\n\n2. Two", "li");
}

#[test]
fn on_a_line_of_its_own_in_html() {
    shown_or_refused("<div class=\"x\">\n@\n</div>", ".x");
}

#[test]
fn inside_a_line_of_html() {
    shown_or_refused("<div class=\"x\">@</div>", ".x");
}

#[test]
fn in_a_scene() {
    let project = Project::with_listing(
        "Above.\n\n<!-- cmdrun --strict book scene demo 'hostile' 'binary' -->\n\nBelow.",
        None,
        &[
            (
                "hostile",
                &format!(
                    "const TEXT: &str = {HOSTILE:?};\n\
                     fn main() {{ print!(\"{{TEXT}}\"); eprint!(\"{{TEXT}}\"); }}"
                ),
            ),
            (
                "binary",
                &format!(
                    "use std::io::{{Write, stderr, stdout}};\n\
                     const BINARY: &[u8] = &{BINARY:?};\n\
                     fn main() {{ stdout().write_all(BINARY).unwrap(); stderr().write_all(BINARY).unwrap(); }}"
                ),
            ),
        ],
    );
    project.write("secret", "the secret");
    // A scene runs in a folder of its own: `../ran` is in its parent.
    project.build();
    let page = project.page();
    let outputs = page.outputs();
    assert_eq!(outputs[0], format!("{HOSTILE}{HOSTILE}").trim_end());
    assert_eq!(page.texts("samp > .stderr")[0], HOSTILE.trim_end());
    assert_eq!(outputs[1].matches("red link").count(), 2, "{outputs:?}");
    assert!(!page.text().contains("the secret"));
}

/// A scene is a block of HTML; anywhere else than on a line of its own it would break the page.
#[test]
fn a_scene_that_does_not_stand_on_a_line_of_its_own_is_refused() {
    for text in [
        "```text\n@\n```",
        "Above @ below.",
        "`@`",
        "1. One\n\n       @",
    ] {
        let text = text.replace('@', "<!-- cmdrun --strict book scene demo 'hello' -->");
        let project = Project::with_listing(&text, None, &[("hello", programs::HELLO)]);
        let said = project.build_fails();
        assert!(
            said.starts_with("error: src/chapter.md:"),
            "{text:?}: {said}"
        );
    }
}
