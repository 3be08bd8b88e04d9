//! The directives in a chapter: `<!-- cmdrun --strict COMMAND -->`, as mdbook-cmdrun defines them, and what is nearly one.

use std::ops::Range;
use std::sync::LazyLock;

use anyhow::{Context, Result, bail};
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag};
use regex::Regex;

use crate::Cli;
use crate::chart::Chart;
use crate::scene::Scene;

/// mdbook-cmdrun's own pattern. A directive that ends its line takes the line break with it.
static DIRECTIVE: LazyLock<Regex> = LazyLock::new(|| pattern(r"<!--[ ]*cmdrun (.*?)-->(\r?\n)?"));
/// The beginning of any HTML comment, and its first word.
static COMMENT: LazyLock<Regex> = LazyLock::new(|| pattern(r"<!--\s*([A-Za-z][\w-]*)"));

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is fixed and valid")
}

/// Where a directive stands decides what its output has to look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On a line of its own.
    Block,
    /// In the middle of a line.
    Inline,
    /// Between the fences of a code block.
    Code,
}

/// A command in a chapter whose output replaces it.
#[derive(Clone, Debug)]
pub struct Directive {
    /// What it takes up in the chapter.
    pub range: Range<usize>,
    pub place: Place,
    /// Whether mdbook-cmdrun is to keep the line break at the output's end.
    pub ends_line: bool,
    /// The exit code that the command must end with.
    pub expected: i32,
    /// What the shell runs.
    pub command: String,
    /// What `book` puts on the page, if that is the command.
    pub part: Option<Part>,
}

/// A part of a page that `book` makes.
#[derive(Clone, Debug)]
pub enum Part {
    /// A scene that is played.
    Scene(Scene),
    /// A scene that has been recorded.
    Recorded(Scene),
    /// A chart of a measurement that has been recorded.
    Chart(Chart),
}

impl Directive {
    /// A command that does not stand in a chapter.
    pub fn alone(command: String, part: Option<Part>) -> Directive {
        Directive {
            range: 0..0,
            place: Place::Block,
            ends_line: true,
            expected: 0,
            command,
            part,
        }
    }

    /// The scene that is to be played.
    pub fn scene(&self) -> Option<&Scene> {
        match &self.part {
            Some(Part::Scene(scene) | Part::Recorded(scene)) => Some(scene),
            _ => None,
        }
    }
}

/// Something in a chapter that the author must mend.
#[derive(Debug)]
pub struct Mistake {
    /// Where it is, in bytes.
    pub position: usize,
    pub error: anyhow::Error,
}

/// All directives in `chapter`, and all comments that look like a directive and are none.
pub fn find(chapter: &str) -> (Vec<Directive>, Vec<Mistake>) {
    let blocks = blocks(chapter);
    let mut directives = Vec::new();
    let mut mistakes = Vec::new();
    let mut end = 0;
    for found in COMMENT.captures_iter(chapter) {
        let position = found.get(0).map_or(0, |whole| whole.start());
        if position < end {
            continue;
        }
        let directive = match DIRECTIVE.captures_at(chapter, position) {
            Some(captures)
                if captures
                    .get(0)
                    .is_some_and(|whole| whole.start() == position) =>
            {
                end = captures.get(0).map_or(end, |whole| whole.end());
                let ends_line = captures.get(2).is_some();
                place(&(position..end), ends_line, chapter, &blocks)
                    .and_then(|place| parse(&captures[1], position..end, place, ends_line))
            }
            _ => nearly(&found[1]),
        };
        match directive {
            Ok(Some(directive)) => directives.push(directive),
            Ok(None) => {}
            Err(error) => mistakes.push(Mistake { position, error }),
        }
    }
    (directives, mistakes)
}

/// Fails if the first word of a comment that is not a directive looks like the beginning of one.
fn nearly(word: &str) -> Result<Option<Directive>> {
    let plain = word.to_lowercase().replace(['-', '_'], "");
    if plain == "cmdrun" {
        bail!(
            "a directive is one line, `<!-- cmdrun --strict COMMAND -->`, with a space after `cmdrun`"
        );
    }
    // A word of prose is further away than that.
    if plain.starts_with("cmdr") || strsim::damerau_levenshtein(&plain, "cmdrun") <= 2 {
        bail!("`{word}` is no directive; did you mean `cmdrun`?");
    }
    Ok(None)
}

fn parse(
    text: &str,
    range: Range<usize>,
    place: Place,
    ends_line: bool,
) -> Result<Option<Directive>> {
    let (expected, command) = flags(text.trim())?;
    if command.is_empty() {
        bail!("the command is missing");
    }
    let part = part(command)?;
    if let Some(part) = &part
        && place != Place::Block
    {
        let what = match part {
            Part::Scene(_) | Part::Recorded(_) => "scene",
            Part::Chart(_) => "chart",
        };
        bail!(
            "a {what} is a block of its own: its directive must have a line to itself, not indented"
        );
    }
    let command = command.to_owned();
    Ok(Some(Directive {
        range,
        place,
        ends_line,
        expected,
        command,
        part,
    }))
}

/// Takes mdbook-cmdrun's flags off the front: `--strict`, `--expect-return-code N` and `-N`. Without one, 0 is expected too.
fn flags(text: &str) -> Result<(i32, &str)> {
    let (first, rest) = word(text);
    let code = |text: &str| {
        text.parse::<u8>()
            .map(i32::from)
            .with_context(|| format!("{text:?} is not an exit code"))
    };
    match first {
        "--strict" => Ok((0, rest)),
        "--expect-return-code" => {
            let (second, rest) = word(rest);
            Ok((code(second)?, rest))
        }
        flag if flag.starts_with("--") => {
            bail!("there is no flag `{flag}`; there are `--strict` and `--expect-return-code N`")
        }
        flag if flag.starts_with('-') => Ok((code(&flag[1..])?, rest)),
        _ => Ok((0, text)),
    }
}

fn word(text: &str) -> (&str, &str) {
    match text.split_once(char::is_whitespace) {
        Some((first, rest)) => (first, rest.trim_start()),
        None => (text, ""),
    }
}

/// What `command` puts on the page, if it begins with `book`: such a command is checked before anything runs.
fn part(command: &str) -> Result<Option<Part>> {
    if word(command).0 != "book" {
        return Ok(None);
    }
    let words = shlex::split(command).context("a quotation mark is not closed")?;
    Cli::part(&words).map(Some)
}

/// What surrounds a directive at `range`. Fails where text cannot be put without breaking what is around it.
fn place(
    range: &Range<usize>,
    ends_line: bool,
    chapter: &str,
    blocks: &[(Surroundings, Range<usize>)],
) -> Result<Place> {
    let begins_line = range.start == 0 || chapter[..range.start].ends_with('\n');
    let ends_line = ends_line || range.end == chapter.len();
    let around = blocks
        .iter()
        .find(|(_, block)| block.contains(&range.start));
    match around.map(|(surroundings, block)| (surroundings, block.start)) {
        Some((Surroundings::Fences, _)) if begins_line && ends_line => Ok(Place::Code),
        Some((Surroundings::Fences, _)) => {
            bail!("in a code block, a directive must have a line to itself, not indented")
        }
        Some((Surroundings::Indentation, _)) => {
            bail!("a directive cannot be in a code block without fences")
        }
        Some((Surroundings::Backticks, _)) => bail!("a directive cannot be between backticks"),
        // A directive at the beginning of a line makes it a block of HTML; it is none without the directive.
        Some((Surroundings::Html, start)) if !is_directive(chapter[start..].trim_start()) => {
            bail!(
                "a directive cannot be between HTML tags; an empty line above and below it sets it apart"
            )
        }
        _ if begins_line && ends_line => Ok(Place::Block),
        // If the output is empty, or begins with a space, what follows would be at the beginning of the line.
        _ if begins_line && has_tag(&chapter[range.end..]) => {
            bail!("after a directive that begins a line there can be no HTML tag in it")
        }
        _ => Ok(Place::Inline),
    }
}

/// Whether the line at the beginning of `text` has an HTML tag in it; a directive is none.
fn has_tag(text: &str) -> bool {
    let line = text.lines().next().unwrap_or_default();
    DIRECTIVE.replace_all(line, "").contains('<')
}

fn is_directive(text: &str) -> bool {
    DIRECTIVE.find(text).is_some_and(|found| found.start() == 0)
}

/// What text is not Markdown in.
enum Surroundings {
    Fences,
    Indentation,
    Backticks,
    Html,
}

fn blocks(chapter: &str) -> Vec<(Surroundings, Range<usize>)> {
    Parser::new_ext(chapter, Options::all())
        .into_offset_iter()
        .filter_map(|(event, range)| {
            let surroundings = match event {
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_))) => Surroundings::Fences,
                Event::Start(Tag::CodeBlock(CodeBlockKind::Indented)) => Surroundings::Indentation,
                Event::Code(_) => Surroundings::Backticks,
                Event::Start(Tag::HtmlBlock) => Surroundings::Html,
                _ => return None,
            };
            Some((surroundings, range))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(chapter: &str) -> Directive {
        let (mut directives, mistakes) = find(chapter);
        assert!(mistakes.is_empty(), "{mistakes:?}");
        assert_eq!(directives.len(), 1);
        directives.remove(0)
    }

    fn mistake(chapter: &str) -> String {
        let (directives, mistakes) = find(chapter);
        assert!(directives.is_empty(), "{directives:?}");
        assert_eq!(mistakes.len(), 1, "in {chapter:?}");
        format!("{:#}", mistakes[0].error)
    }

    #[test]
    fn the_place_of_a_directive_is_seen() {
        assert_eq!(
            only("a\n\n<!-- cmdrun --strict date -->\n\nb").place,
            Place::Block
        );
        assert_eq!(only("<!-- cmdrun date -->").place, Place::Block);
        assert_eq!(only("It is <!-- cmdrun date --> now.").place, Place::Inline);
        assert_eq!(
            only("It is <!-- cmdrun date -->\nnow.").place,
            Place::Inline
        );
        assert_eq!(
            only("```text\n<!-- cmdrun date -->\n```\n").place,
            Place::Code
        );
        assert_eq!(
            only("~~~~\n```\n<!-- cmdrun date -->\n~~~~\n").place,
            Place::Code
        );
    }

    #[test]
    fn runs_of_spaces_in_a_command_are_kept() {
        assert_eq!(
            only("<!-- cmdrun --strict printf 'a   b' -->").command,
            "printf 'a   b'"
        );
    }

    #[test]
    fn the_expected_exit_code_is_zero_unless_a_flag_says_otherwise() {
        assert_eq!(only("<!-- cmdrun false -->").expected, 0);
        assert_eq!(only("<!-- cmdrun --strict true -->").expected, 0);
        assert_eq!(only("<!-- cmdrun -1 false -->").expected, 1);
        assert_eq!(
            only("<!-- cmdrun --expect-return-code 42 sh -c 'exit 42' -->").expected,
            42
        );
    }

    #[test]
    fn what_is_nearly_a_directive_is_a_mistake() {
        for typo in ["cmdrnu", "cmd-run", "CMDRUN", "cmdruns", "comdrun"] {
            assert!(mistake(&format!("<!-- {typo} --strict date -->")).contains("cmdrun"));
        }
        assert!(mistake("<!--\ncmdrun date -->").contains("one line"));
        assert!(mistake("<!-- cmdrun date\n-->").contains("one line"));
        assert!(mistake("<!-- cmdrun -->").contains("missing"));
        assert!(mistake("<!-- cmdrun --strict -->").contains("missing"));
        assert!(mistake("<!-- cmdrun --stric date -->").contains("no flag `--stric`"));
        assert!(mistake("<!-- cmdrun -x date -->").contains("not an exit code"));
    }

    #[test]
    fn a_mistake_in_a_scene_is_found_before_anything_runs() {
        assert!(mistake("<!-- cmdrun --strict book scen echo 'server' -->").contains("scen"));
        assert!(mistake("<!-- cmdrun --strict book scene echo -->").contains("PROGRAMS"));
        assert!(
            mistake("<!-- cmdrun --strict book scene --fail 1 echo 'x' -->").contains("--fail")
        );
        assert!(
            mistake("<!-- cmdrun --strict book scene echo 'server -->").contains("quotation mark")
        );
        assert!(mistake("<!-- cmdrun --strict book serve -->").contains("scene"));
    }

    #[test]
    fn other_comments_are_left_alone() {
        let (directives, mistakes) =
            find("<!-- toc -->\n<!-- come and run -->\n<!-- ANCHOR: x -->\n");
        assert!(directives.is_empty() && mistakes.is_empty());
    }
}
