//! What happens to the directives in a chapter: `<!-- cmdrun … -->`, `{{#include …}}`, and what an author mistypes.

mod fixture;

use std::process::Command;

use fixture::witness::Witness;
use fixture::{Project, programs};

/// Two commands that end only if both run at the same time: opening a FIFO takes until somebody opens its other end.
#[test]
fn independent_commands_run_at_the_same_time() {
    let project = Project::new(
        "<!-- cmdrun --strict echo met > ../fifo -->\n\n<!-- cmdrun --strict cat ../fifo -->",
    );
    let status = Command::new("mkfifo").arg(project.path("fifo")).status();
    assert!(status.expect("mkfifo starts").success());
    project.build();
    assert_eq!(project.page().texts("pre"), ["\n", "met\n"]);
}

#[test]
fn a_command_runs_in_the_folder_of_its_chapter() {
    let project = Project::new("<!-- cmdrun --strict ls -->");
    project.write("src/deep/down.md", "x");
    project.chapter(
        "deep/down",
        "It holds <!-- cmdrun --strict ls --> and nothing else.",
    );
    project.build();
    assert_eq!(
        project.page().texts("pre"),
        ["SUMMARY.md\nchapter.md\ndeep\n"]
    );
    let page = project.page_of("deep/down");
    assert!(page.text().contains("It holds down.md and nothing else."));
}

#[test]
fn a_command_that_fails_fails_the_build_and_is_named() {
    let project = Project::new(
        "# Title\n\nText.\n\n<!-- cmdrun --strict sh -c 'echo seen; echo the cause >&2; exit 7' -->",
    );
    let said = project.build_fails();
    for part in [
        "src/chapter.md:5: ",
        "exit code 7 instead of 0",
        "sh -c 'echo seen; echo the cause >&2; exit 7'",
        "stdout:\n    seen\n",
        "stderr:\n    the cause\n",
    ] {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
    assert!(!project.path("book").exists());
}

#[test]
fn a_command_without_a_flag_must_succeed_too() {
    let said = Project::new("It is <!-- cmdrun false --> now.").build_fails();
    assert!(
        said.contains("src/chapter.md:1: the command failed: exit code 1 instead of 0"),
        "{said}"
    );
}

#[test]
fn a_command_that_is_killed_fails_the_build() {
    let said = Project::new("<!-- cmdrun --strict kill -TERM $$ -->").build_fails();
    assert!(said.contains("src/chapter.md:1: "), "{said}");
    assert!(said.contains("signal 15"), "{said}");
}

#[test]
fn all_commands_that_fail_are_reported() {
    let project = Project::new(
        "<!-- cmdrun --strict exit 3 -->\n\n<!-- cmdrun true -->\n\n<!-- cmdrun --strict exit 4 -->",
    );
    project.chapter("other", "\n<!-- cmdrun --strict exit 5 -->");
    let said = project.build_fails();
    for part in [
        "src/chapter.md:1: the command failed: exit code 3 ",
        "src/chapter.md:5: the command failed: exit code 4 ",
        "src/other.md:2: the command failed: exit code 5 ",
    ] {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
    assert_eq!(said.matches("the command failed").count(), 3, "{said}");
}

#[test]
fn a_command_that_fails_below_an_include_is_named_by_its_line_in_the_chapter() {
    let project = Project::new(
        "```text\n{{#include ten.txt}}\n```\n\nIt is <!-- cmdrun false -->.\n\n<!-- cmdrun false -->",
    );
    project.write("src/ten.txt", "one of ten lines\n".repeat(10));
    let said = project.build_fails();
    assert!(said.contains("src/chapter.md:5: "), "{said}");
    assert!(said.contains("src/chapter.md:7: "), "{said}");
}

#[test]
fn of_two_identical_commands_each_is_named_by_its_own_line() {
    let project = Project::new(
        "{{#include ten.txt}}\n\n<!-- cmdrun false -->\n\nBetween.\n\n<!-- cmdrun false -->",
    );
    project.write("src/ten.txt", "one of ten lines\n".repeat(10));
    let said = project.build_fails();
    assert!(said.contains("src/chapter.md:3: "), "{said}");
    assert!(said.contains("src/chapter.md:7: "), "{said}");
}

#[test]
fn a_command_that_fails_in_an_included_file_is_named_with_the_chapter() {
    let project = Project::new("Above.\n\n{{#include shared.txt}}");
    project.write("src/shared.txt", "<!-- cmdrun --strict exit 9 -->\n");
    let said = project.build_fails();
    assert!(said.contains("src/chapter.md"), "{said}");
    assert!(said.contains("exit code 9 instead of 0"), "{said}");
}

#[test]
fn another_exit_code_than_zero_can_be_expected() {
    let project = Project::new(
        "<!-- cmdrun -7 sh -c 'echo seven; exit 7' -->\n\n\
         <!-- cmdrun --expect-return-code 8 sh -c 'echo eight; exit 8' -->\n\n\
         <!-- cmdrun -0 echo zero -->",
    );
    project.build();
    assert_eq!(
        project.page().texts("pre"),
        ["seven\n", "eight\n", "zero\n"]
    );
}

#[test]
fn another_exit_code_than_the_expected_one_fails_the_build() {
    let project = Project::new(
        "<!-- cmdrun -7 true -->\n\n<!-- cmdrun --expect-return-code 8 sh -c 'exit 9' -->",
    );
    let said = project.build_fails();
    assert!(
        said.contains("src/chapter.md:1: the command failed: exit code 0 instead of 7"),
        "{said}"
    );
    assert!(
        said.contains("src/chapter.md:3: the command failed: exit code 9 instead of 8"),
        "{said}"
    );
}

#[test]
fn runs_of_spaces_in_quotes_are_kept() {
    let project = Project::with_listing(
        "<!-- cmdrun printf '%s' 'a   b' -->\n\n\
         <!-- cmdrun --strict printf '%s' 'c   d' -->\n\n\
         <!-- cmdrun -0   printf '%s' 'e   f' -->\n\n\
         ```text\n<!-- cmdrun --expect-return-code 0 printf '%s' 'g   h' -->\n```\n\n\
         <!-- cmdrun --strict book scene demo 'show \"i   j\"' -->",
        None,
        &[(
            "show",
            "fn main() { println!(\"{}\", std::env::args().nth(1).unwrap()); }",
        )],
    );
    project.build();
    let page = project.page();
    assert_eq!(
        page.texts("pre:not(.scene pre)"),
        ["a   b\n", "c   d\n", "e   f\n", "g   h\n"]
    );
    assert_eq!(page.outputs(), ["i   j"]);
    assert_eq!(
        page.commands(),
        ["cargo run -q -p demo --bin show -- 'i   j'"]
    );
}

#[test]
fn a_command_runs_in_an_environment_that_is_always_the_same() {
    let project = Project::new("<!-- cmdrun --strict env | sort -->");
    project.build();
    let page = project.page().texts("pre").concat();
    for variable in ["LC_ALL=C.UTF-8", "NO_COLOR=1", "TERM=dumb", "TZ=UTC"] {
        assert!(page.lines().any(|line| line == variable), "{page}");
    }
    for variable in ["RUST_BACKTRACE", "LANG", "COLOR_FORCE", "COLUMNS"] {
        assert!(!page.contains(variable), "{page}");
    }
}

#[test]
fn a_command_that_never_ends_is_stopped_with_its_children() {
    let project = Project::new("");
    let witness = Witness::in_folder(&project.root);
    project.chapter(
        "chapter",
        "<!-- cmdrun --strict exec 3> ../witness.fifo; echo shell >&3; echo here; sleep 600 & sleep 600 -->",
    );
    let said = project.build_fails();
    assert!(said.contains("src/chapter.md:1: "), "{said}");
    assert!(said.contains("it did not end within 10 s"), "{said}");
    assert!(said.contains("here"), "{said}");
    witness.wait_for(&["shell"]);
    witness.wait_for_the_end_of_all();
}

#[test]
fn a_command_that_prints_without_end_is_stopped_early() {
    let project = Project::new(
        "<!-- cmdrun --strict yes -->\n\nOn stderr: <!-- cmdrun --strict yes no >&2 -->.",
    );
    let said = project.build_fails();
    assert_eq!(
        said.matches("it printed more than 64 KiB").count(),
        2,
        "{said}"
    );
    assert!(said.contains("src/chapter.md:1: "), "{said}");
    assert!(said.contains("src/chapter.md:3: "), "{said}");
}

/// All that an author is likely to mistype. Each is found, with its line, before anything runs.
#[test]
fn a_mistyped_directive_fails_the_build_before_anything_runs() {
    let mistakes = [
        ("<!-- cmdrnu --strict date -->", "did you mean `cmdrun`?"),
        ("<!-- cmdrun--strict date -->", "did you mean `cmdrun`?"),
        ("<!-- CMDRUN --strict date -->", "a directive is one line"),
        ("<!-- cmdrun\t--strict date -->", "with a space after"),
        ("<!-- cmdrun --strict\ndate -->", "a directive is one line"),
        ("<!--\ncmdrun --strict date -->", "a directive is one line"),
        ("<!-- cmdrun -->", ""),
        ("<!-- cmdrun --strict -->", "the command is missing"),
        ("<!-- cmdrun --stric date -->", "no flag `--stric`"),
        ("<!-- cmdrun -x date -->", "not an exit code"),
        ("<!-- cmdrun -256 date -->", "not an exit code"),
        (
            "<!-- cmdrun --expect-return-code date -->",
            "\"date\" is not an exit code",
        ),
        ("<!-- cmdrun book scen demo 'hello' -->", "'scen'"),
        ("<!-- cmdrun book serve -->", "`book scene`"),
        ("<!-- cmdrun book scene demo -->", "<PROGRAMS>"),
        (
            "<!-- cmdrun book scene --fail 1 demo 'hello' -->",
            "'--fail'",
        ),
        ("<!-- cmdrun book scene --fails x demo 'hello' -->", "'x'"),
        (
            "<!-- cmdrun book scene demmo 'hello' -->",
            "no listing \"demmo\"; did you mean \"demo\"?",
        ),
        (
            "<!-- cmdrun book scene other 'hello' -->",
            "no listing \"other\"; there are: demo",
        ),
        (
            "<!-- cmdrun book scene demo 'helo' -->",
            "no program \"helo\"; did you mean \"hello\"?",
        ),
        (
            "<!-- cmdrun book scene demo 'hello' 'other' -->",
            "no program \"other\"; there are: hello",
        ),
        (
            "<!-- cmdrun book scene demo 'dmo/hello' -->",
            "no listing \"dmo\"; did you mean \"demo\"?",
        ),
        (
            "<!-- cmdrun book scene demo 'demo/helo' -->",
            "\"demo\" has no program \"helo\"; did you mean \"hello\"?",
        ),
        ("<!-- cmdrun book scene demo '' -->", "a program is missing"),
        ("<!-- cmdrun book scene demo 'hello -->", "a quotation mark"),
        (
            "<!-- cmdrun book scene demo 'hello \"x' -->",
            "a quotation mark",
        ),
        (
            "<!-- cmdrun book scene --closed-port demo 'hello' -->",
            "listings/demo/Cargo.toml",
        ),
    ];
    let mut chapter = String::from("<!-- cmdrun --strict touch ran -->\n");
    let mut expected = Vec::new();
    for (mistake, message) in mistakes {
        let line = chapter.matches('\n').count() + 2;
        expected.push((format!("src/chapter.md:{line}: "), message));
        chapter.push_str(&format!("\n{mistake}\n"));
    }
    let project = Project::with_listing(&chapter, None, &[("hello", programs::HELLO)]);
    let said = project.build_fails();
    for (location, message) in expected {
        let found = said.lines().any(|line| {
            line.trim_start_matches("error: ").starts_with(&location) && line.contains(message)
        });
        assert!(found, "no {location}…{message} in:\n{said}");
    }
    assert!(!project.path("src/ran").exists());
    assert!(!project.path("target/book/programs").exists());
}

#[test]
fn an_include_that_cannot_be_filled_in_fails_the_build_before_anything_runs() {
    let project = Project::new(
        "<!-- cmdrun --strict touch ran -->\n\n\
         {{#include missing.rs}}\n\n\
         {{#include here.rs:nowhere}}\n\n\
         {{#inclde here.rs}}\n\n\
         {{#include here.rs:somewhere}}",
    );
    project.write(
        "src/here.rs",
        "// ANCHOR: somewhere\nText\n// ANCHOR_END: somewhere\n",
    );
    let said = project.build_fails();
    for part in [
        "src/chapter.md:3: cannot include missing.rs: No such file",
        "src/chapter.md:5: here.rs has no anchor \"nowhere\"",
        "src/chapter.md:7: mdBook has no `#inclde`; did you mean `#include`?",
    ] {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
    assert!(!said.contains("src/chapter.md:9"), "{said}");
    assert!(!project.path("src/ran").exists());
}

#[test]
fn an_include_shows_its_anchor_and_nothing_else() {
    let project = Project::new("```text\n{{#include here.rs:somewhere}}\n```\n\n\\{{#include x}}");
    project.write(
        "src/here.rs",
        "no\n// ANCHOR: somewhere\nText\n// ANCHOR_END: somewhere\nno\n",
    );
    project.build();
    assert_eq!(project.page().texts("pre"), ["Text\n"]);
    assert!(project.page().text().contains("{{#include x}}"));
}

#[test]
fn an_html_tag_that_is_not_closed_fails_the_build() {
    let said = Project::new("<div>\n\nText.").build_fails();
    assert!(said.contains("`<div>`"), "{said}");
    assert!(said.contains("chapter.md"), "{said}");
}

#[test]
fn a_chapter_that_does_not_exist_fails_the_build() {
    let project = Project::new("");
    project.write("src/SUMMARY.md", "# Summary\n\n- [Gone](gone.md)\n");
    let said = project.build_fails();
    assert!(said.contains("gone.md"), "{said}");
    assert!(!project.path("src/gone.md").exists());
}

#[test]
fn a_key_in_book_toml_that_mdbook_does_not_know_fails_the_build() {
    for table in ["[book]", "[output.html]"] {
        let project = Project::new("");
        let config = project.read("book.toml");
        let mistyped = config.replace(table, &format!("{table}\nno-such-key = 1"));
        project.write("book.toml", mistyped);
        let said = project.build_fails();
        assert!(said.contains("no-such-key"), "{said}");
        assert!(said.contains("book.toml"), "{said}");
    }
}

#[test]
fn a_folder_that_is_not_in_a_book_is_said_to_be_none() {
    let project = Project::new("");
    std::fs::remove_file(project.path("book.toml")).unwrap();
    let said = project.build_fails();
    assert!(said.contains("book.toml"), "{said}");
}
