//! The book itself: its pages as a reader gets them, and its sources as STYLE asks for them.

mod repository;
mod site;
mod transcript;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex, PoisonError};

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use regex::Regex;
use site::Site;
use snapbox::{Assert, Data};

/// Variables that programs, libraries and cargo heed, none of which may change a page.
const VARIABLES: [&str; 12] = [
    "RUST_BACKTRACE",
    "RUST_LIB_BACKTRACE",
    "RUST_LOG",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "TZ",
    "TERM",
    "COLUMNS",
    "CLICOLOR_FORCE",
    "FORCE_COLOR",
    "CARGO_TERM_COLOR",
];

/// The sections of a chapter, in this order.
const SECTIONS: [&str; 8] = [
    "The program",
    "What it printed",
    "Line by line",
    "What goes wrong",
    "Against the real internet",
    "From Python",
    "Try it",
    "Further",
];

/// Sections beyond these, in chapters that compare.
const EXTRA: [(&str, &str); 3] = [
    ("five-ways", "Which one?"),
    ("load-test", "The five servers"),
    ("load-test", "Which one when"),
];

/// What links to the Rust Playground begin with.
const PLAYGROUND: &str = "https://play.rust-lang.org/?";

/// Links that are wrong in mdBook's own theme: the heading of the page for what is not found, whose `<base>` leads elsewhere, and the
/// name of the search results.
const WRONG_IN_MDBOOK: [&str; 2] = ["#document-not-found-404", "#searchresults-header"];

/// The book, built once, in a shell that sets nothing.
static BOOK: LazyLock<Site> = LazyLock::new(|| Site::read(&build("book", &[])));

/// Builds the book with every scene run anew, under `variables`.
fn build(name: &str, variables: &[(&str, &str)]) -> PathBuf {
    let folder = destination(name);
    let mut command = Command::new(env!("CARGO_BIN_EXE_book"));
    command
        .args(["build", "--fresh", "--dest-dir"])
        .arg(&folder);
    run(command, variables);
    folder
}

/// Runs a program that builds the book. Two at once would have to share the documented ports.
fn run(mut command: Command, variables: &[(&str, &str)]) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for name in VARIABLES {
        command.env_remove(name);
    }
    let output = command
        .envs(variables.iter().copied())
        .current_dir(repository::root())
        .output()
        .expect("the program starts");
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn destination(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

#[track_caller]
fn assert_none(mistakes: Vec<String>) {
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
}

#[test]
fn every_link_leads_somewhere() {
    let mut mistakes = Vec::new();
    for (address, page) in &BOOK.pages {
        let links = page.links.iter();
        let links = links.filter(|link| !WRONG_IN_MDBOOK.contains(&link.as_str()));
        let found = BOOK.mistakes(page, links);
        mistakes.extend(found.iter().map(|mistake| format!("{address}: {mistake}")));
    }
    assert_none(mistakes);
}

#[test]
fn every_search_result_leads_somewhere() {
    let home = BOOK.chapter("index");
    let mut names = repository::names(&destination("book"));
    names.retain(|name| name.starts_with("searchindex") && name.ends_with(".js"));
    let [index] = names.as_slice() else {
        panic!("not one search index, but {names:?}");
    };
    let index = fs::read_to_string(destination("book").join(index)).expect("the search index");
    let list = Regex::new(r#""doc_urls":(\[.*?\])"#).expect("a valid pattern");
    let list = &list.captures(&index).expect("a list of addresses")[1];
    let links: Vec<String> = serde_json::from_str(list).expect("a list of strings");
    for chapter in repository::chapters() {
        let page = format!("{chapter}.html#");
        let finds = links.iter().any(|link| link.starts_with(&page));
        assert!(finds, "the search finds nothing in {chapter}");
    }
    assert_none(BOOK.mistakes(home, &links));
}

#[test]
fn every_id_is_unique_on_its_page() {
    let mut mistakes = Vec::new();
    for (address, page) in &BOOK.pages {
        let mut seen = BTreeSet::new();
        for id in &page.ids {
            if !seen.insert(id) {
                mistakes.push(format!("{address}: #{id} is there more than once"));
            }
        }
    }
    assert_none(mistakes);
}

#[test]
fn every_chapter_is_on_the_page_for_printing_too() {
    let printed = BOOK.chapter("print");
    let mut scenes = 0;
    for chapter in repository::chapters() {
        let page = BOOK.chapter(&chapter);
        scenes += page.scenes.len();
        for block in &page.code {
            assert!(printed.code.contains(block), "{chapter}: {block}");
        }
    }
    assert_eq!(printed.scenes.len(), scenes);
}

/// `SNAPSHOTS=overwrite cargo test -p book --test book` writes down what the scenes print now.
#[test]
#[cfg_attr(
    not(target_os = "linux"),
    ignore = "needs Linux: the snapshots have its answers"
)]
fn every_scene_prints_what_its_snapshot_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots");
    let assert = Assert::new().action_env("SNAPSHOTS");
    let mut mistakes = Vec::new();
    let mut expected = Vec::new();
    for chapter in repository::chapters() {
        let text = scenes(&BOOK, &chapter);
        if text.is_empty() {
            continue;
        }
        let name = format!("{chapter}.txt");
        let snapshot = Data::read_from(&folder.join(&name), None).raw();
        if let Err(error) = assert.try_eq(Some(&chapter), text.into(), snapshot) {
            mistakes.push(error.to_string());
        }
        expected.push(name);
    }
    assert_none(mistakes);
    expected.sort();
    assert_eq!(
        repository::names(&folder),
        expected,
        "one snapshot for each chapter"
    );
}

/// The scenes of a chapter as text.
fn scenes(site: &Site, chapter: &str) -> String {
    let scenes = &site.chapter(chapter).scenes;
    let scenes: Vec<String> = scenes
        .iter()
        .map(|scene| transcript::scene(scene))
        .collect();
    scenes.join("\n")
}

#[test]
fn a_page_does_not_depend_on_the_readers_shell() {
    let shell = build(
        "book-of-another-shell",
        &[
            ("RUST_BACKTRACE", "full"),
            ("RUST_LIB_BACKTRACE", "1"),
            ("RUST_LOG", "trace"),
            ("LANG", "tr_TR.UTF-8"),
            ("LANGUAGE", "tr"),
            ("LC_ALL", "tr_TR.UTF-8"),
            ("TZ", "Asia/Kathmandu"),
            ("TERM", "xterm-256color"),
            ("COLUMNS", "20"),
            ("CLICOLOR_FORCE", "1"),
            ("FORCE_COLOR", "1"),
            ("CARGO_TERM_COLOR", "always"),
        ],
    );
    assert_same(&Site::read(&shell));
}

#[test]
#[ignore = "needs mdbook"]
fn stock_mdbook_builds_the_same_pages() {
    LazyLock::force(&BOOK);
    let folder = destination("book-of-mdbook");
    let mut command = Command::new("mdbook");
    command.args(["build", "--dest-dir"]).arg(&folder);
    run(command, &[]);
    assert_same(&Site::read(&folder));
}

/// Fails if `other` is not the book that we built, but for what varies.
fn assert_same(other: &Site) {
    let addresses = |site: &Site| site.pages.keys().cloned().collect::<Vec<_>>();
    assert_eq!(addresses(other), addresses(&BOOK));
    for chapter in repository::chapters() {
        snapbox::assert_data_eq!(
            scenes(other, &chapter),
            Data::from(scenes(&BOOK, &chapter)).raw()
        );
        snapbox::assert_data_eq!(
            &other.chapter(&chapter).prose,
            Data::from(&BOOK.chapter(&chapter).prose).raw()
        );
    }
}

/// `cargo book record LISTING` records anew. A reader who changes a listing gets a book that says so instead.
#[test]
fn every_recording_is_of_the_listing_as_it_is() {
    let changed = |chapter: &String| BOOK.chapter(chapter).prose.contains("class=\"changed\"");
    let chapters = repository::chapters().into_iter().filter(changed);
    assert_none(
        chapters
            .map(|chapter| format!("{chapter} shows a recording of what has changed since"))
            .collect(),
    );
}

#[test]
fn every_recording_is_in_a_chapter() {
    let chapters = repository::chapters();
    let sources = chapters
        .iter()
        .map(|chapter| repository::read(format!("src/{chapter}.md")))
        .collect::<Vec<_>>()
        .concat();
    let mut mistakes = Vec::new();
    for listing in repository::listings() {
        let folder = repository::root().join("listings").join(&listing);
        if !folder.join("recordings").exists() {
            continue;
        }
        let measurements = match folder.join("measurements.toml").exists() {
            true => repository::read(format!("listings/{listing}/measurements.toml")),
            false => String::new(),
        };
        let measurements: toml::Table = toml::from_str(&measurements).expect("valid TOML");
        let charts = measurements
            .get("chart")
            .and_then(|charts| charts.as_table());
        for file in repository::names(&folder.join("recordings")) {
            let name = file.trim_end_matches(".json");
            let mut directives = charts.into_iter().flatten().filter_map(|(chart, drawing)| {
                let is_of_it = drawing["recording"].as_str() == Some(name);
                is_of_it.then(|| format!("book chart {listing} {chart} -->"))
            });
            let options = r"(?:--\S+ (?:\d+ |\w+:\w+=\S+ )?)*";
            let scene = format!("--(?:recorded|replay) {name} {options}{listing} ");
            let scene = Regex::new(&scene).expect("a valid pattern");
            if !scene.is_match(&sources) && !directives.any(|chart| sources.contains(&chart)) {
                mistakes.push(format!("no chapter shows {listing}/recordings/{file}"));
            }
        }
    }
    assert_none(mistakes);
}

#[test]
fn every_chapter_is_in_the_table_of_contents() {
    let mut files = repository::names(&repository::root().join("src"));
    files.retain(|name| name.ends_with(".md") && name != "SUMMARY.md");
    let mut chapters = repository::chapters();
    chapters.sort();
    let files: Vec<&str> = files
        .iter()
        .filter_map(|name| name.strip_suffix(".md"))
        .collect();
    assert_eq!(files, chapters);
}

/// A part of a chapter: what follows a heading of the second level, up to the next one.
struct Section {
    heading: String,
    source: String,
}

fn sections(chapter: &str) -> Vec<Section> {
    let source = repository::read(format!("src/{chapter}.md"));
    let mut headings: Vec<(usize, String)> = vec![(0, String::new())];
    let mut inside = false;
    for (event, range) in Parser::new_ext(&source, Options::all()).into_offset_iter() {
        match event {
            Event::Start(Tag::Heading {
                level: HeadingLevel::H2,
                ..
            }) => {
                headings.push((range.start, String::new()));
                inside = true;
            }
            Event::End(TagEnd::Heading(HeadingLevel::H2)) => inside = false,
            Event::Text(text) | Event::Code(text) if inside => {
                headings.last_mut().expect("there is one").1.push_str(&text);
            }
            _ => {}
        }
    }
    let ends = headings.iter().skip(1).map(|(start, _)| *start);
    let ends: Vec<usize> = ends.chain([source.len()]).collect();
    headings
        .into_iter()
        .zip(ends)
        .map(|((start, heading), end)| Section {
            heading,
            source: source[start..end].into(),
        })
        .collect()
}

#[test]
fn every_chapter_has_the_parts_that_a_chapter_has() {
    let mut mistakes = Vec::new();
    for chapter in repository::chapters() {
        if chapter == "introduction" {
            continue;
        }
        let mut sections = sections(&chapter);
        sections.retain(|section| !EXTRA.contains(&(&*chapter, &*section.heading)));
        let headings: Vec<String> = sections[1..]
            .iter()
            .map(|section| section.heading.replace("The programs", "The program"))
            .collect();
        if headings != SECTIONS {
            mistakes.push(format!("{chapter} has the sections {headings:?}"));
            continue;
        }
        let has = |section: usize, what: &str, sign: &str| {
            let Section { heading, source } = &sections[section];
            (!source.contains(sign)).then(|| format!("{chapter}: no {what} under {heading:?}"))
        };
        mistakes.extend(
            [
                // Where a replay shows all that a picture would, it takes its place.
                has(0, "picture", "<svg").and_then(|_| has(0, "picture or replay", "#the-replay)")),
                has(1, "whole program", ".rs}}"),
                has(2, "scene", "<!-- cmdrun --strict book scene"),
                has(3, "piece of a program", "{{#include"),
                has(4, "failure that was run", "<!-- cmdrun --strict book scene"),
                has(5, "note that it was not run", "ot run here"),
                has(8, "link", "](https://"),
            ]
            .into_iter()
            .flatten(),
        );
    }
    assert_none(mistakes);
}

#[test]
fn nothing_on_a_page_is_pasted_by_hand() {
    let mut mistakes = Vec::new();
    for chapter in repository::chapters() {
        let source = repository::read(format!("src/{chapter}.md"));
        let mut language = None;
        for event in Parser::new_ext(&source, Options::all()) {
            match event {
                Event::Start(Tag::CodeBlock(kind)) => {
                    language = Some(match kind {
                        CodeBlockKind::Fenced(language) => language.to_string(),
                        CodeBlockKind::Indented => "(indented)".into(),
                    });
                }
                Event::End(TagEnd::CodeBlock) => language = None,
                Event::Text(text) => {
                    let is_fine = match language.as_deref() {
                        None => true,
                        // Commands for the reader.
                        Some("sh") => !text.lines().any(|line| line.starts_with("$ ")),
                        // A program, or a piece of one, comes from its listing.
                        Some("rust" | "toml") => text.trim().starts_with("{{#include "),
                        Some(_) => false,
                    };
                    if !is_fine {
                        let language = language.as_deref().unwrap_or_default();
                        mistakes.push(format!("{chapter}: a block of {language:?}: {text}"));
                    }
                }
                _ => {}
            }
        }
    }
    assert_none(mistakes);
}

#[test]
fn every_include_brings_code() {
    let include = Regex::new(r"\{\{#include \.\./(listings/[^:}\s]+)(?::([\w-]+))?\s*\}\}")
        .expect("a valid pattern");
    let mark = Regex::new(r"\{\{\s*#").expect("a valid pattern");
    let mut mistakes = Vec::new();
    for chapter in repository::chapters() {
        let source = repository::read(format!("src/{chapter}.md"));
        let code = &BOOK.chapter(&chapter).code;
        let includes: Vec<_> = include.captures_iter(&source).collect();
        if includes.len() != mark.find_iter(&source).count() {
            mistakes.push(format!("{chapter}: an include that is none of a listing's"));
        }
        for found in includes {
            let file = repository::read(&found[1]);
            let expected = included(&file, found.get(2).map(|anchor| anchor.as_str()));
            if expected.trim().is_empty() || !code.iter().any(|block| block.trim_end() == expected)
            {
                mistakes.push(format!("{chapter}: {} is not on the page", &found[0]));
            }
        }
        let text = &BOOK.chapter(&chapter).prose;
        if mark.is_match(text) || text.contains("ANCHOR") {
            mistakes.push(format!("{chapter}: a mark of an include is on the page"));
        }
    }
    assert_none(mistakes);
}

/// What mdBook takes from `file`: what is between the marks of `anchor`, or all of it.
fn included(file: &str, anchor: Option<&str>) -> String {
    let is_mark = |line: &str, kind: &str, name: &str| {
        let name = format!("{kind}: {name}");
        line.trim().trim_start_matches("//").trim() == name
    };
    let mut lines: Vec<&str> = file.lines().collect();
    if let Some(anchor) = anchor {
        let start = lines
            .iter()
            .position(|line| is_mark(line, "ANCHOR", anchor));
        let end = lines
            .iter()
            .position(|line| is_mark(line, "ANCHOR_END", anchor));
        lines = match (start, end) {
            (Some(start), Some(end)) if start < end => lines[start + 1..end].to_vec(),
            _ => Vec::new(),
        };
    }
    lines.retain(|line| !line.contains("ANCHOR"));
    lines.join("\n").trim_end().into()
}

#[test]
fn every_listing_is_in_a_chapter() {
    let chapters = repository::chapters();
    let sources: Vec<String> = chapters
        .iter()
        .map(|chapter| repository::read(format!("src/{chapter}.md")))
        .collect();
    let mut mistakes = Vec::new();
    for listing in repository::listings() {
        let include = format!("{{{{#include ../listings/{listing}/");
        let scene = Regex::new(&format!(
            r"<!-- cmdrun --strict book scene (?:--\S+ (?:\w[\w-]* )?)*{listing} '"
        ))
        .expect("a valid pattern");
        let shows = |source: &String| source.contains(&include) && scene.is_match(source);
        if !sources.iter().any(shows) {
            mistakes.push(format!("no chapter shows and runs {listing}"));
        }
    }
    assert_none(mistakes);
}

/// What a link to the Rust Playground carries is a file of a listing, to the byte. Without any crate it compiles, and prints on stdout
/// what it did in the scene on the page, but for the port.
#[test]
fn a_program_that_opens_in_the_playground_is_the_one_that_was_run_for_its_page() {
    let mut programs = 0;
    for (address, page) in &BOOK.pages {
        for link in page
            .links
            .iter()
            .filter(|link| link.starts_with(PLAYGROUND))
        {
            assert!(link.len() <= 8000, "{address}: {} bytes", link.len());
            let url = url::Url::parse(link).expect("an address");
            let code = url.query_pairs().find(|(name, _)| name == "code");
            let (_, code) = code.unwrap_or_else(|| panic!("{address}: no code in {link}"));
            let (listing, program) = program(&code);
            let printed = page.scenes.iter().find(|scene| match &scene[..] {
                [only] => only
                    .command
                    .ends_with(&format!(" -p {listing} --bin {program}")),
                _ => false,
            });
            let printed =
                printed.unwrap_or_else(|| panic!("{address}: {listing}/{program} is not run"));
            let lines = printed[0].lines.iter();
            let lines = lines
                .filter(|(is_stderr, _)| !is_stderr)
                .map(|(_, line)| line.clone());
            let same = |lines: Vec<String>| {
                let lines: Vec<String> = lines.iter().map(|line| format!("  {line}")).collect();
                transcript::redact(&lines.join("\n"))
            };
            let again = compiled_and_run(&code);
            assert_eq!(same(again), same(lines.collect()), "{listing}/{program}");
            programs += 1;
        }
    }
    assert!(programs > 0, "no link to the Playground");
}

/// The listing and the name of the program whose source this is.
fn program(code: &str) -> (String, String) {
    let sources = repository::root().join("listings");
    for entry in walkdir::WalkDir::new(sources) {
        let path = entry.expect("an entry of a listing").into_path();
        let is_it = path
            .parent()
            .is_some_and(|folder| folder.ends_with("src/bin"))
            && fs::read_to_string(&path).is_ok_and(|text| text == code);
        if is_it {
            let listing = path.ancestors().nth(3).and_then(Path::file_name);
            let names = [listing, path.file_stem()]
                .map(|name| name.expect("a name").to_string_lossy().into_owned());
            let [listing, program] = names;
            return (listing, program);
        }
    }
    panic!("no listing has this program:\n{code}");
}

/// What a program of std alone prints.
fn compiled_and_run(code: &str) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let (source, program) = (folder.path().join("main.rs"), folder.path().join("main"));
    fs::write(&source, code).expect("the folder can be written to");
    let compiler = Command::new("rustc")
        .args(["--edition", "2024", "-o"])
        .arg(&program)
        .arg(&source)
        .output();
    let compiler = compiler.expect("rustc starts");
    assert!(
        compiler.status.success(),
        "{}",
        String::from_utf8_lossy(&compiler.stderr)
    );
    let output = Command::new(program).output().expect("the program starts");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect()
}
