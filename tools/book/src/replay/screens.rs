//! The terminals of a replay: what the programs printed, each piece with the step that printed it.

use std::fmt::Write;

use crate::process::Stream;
use crate::replay::label;
use crate::steps::{Event, Step};
use crate::story::{Output, Story};
use crate::text;

/// A terminal for each program.
pub fn write(page: &mut String, story: &Story, steps: &[Step]) {
    page.push_str("<div class=\"screens\">\n");
    for (number, program) in story.programs.iter().enumerate() {
        let _ = write!(
            page,
            "<div class=\"screen\" data-program=\"{number}\"><p class=\"command\"><code>{}</code></p>",
            text::html(&label::plain(&program.command))
        );
        let pieces: Vec<(usize, &Output)> = steps
            .iter()
            .filter_map(|step| printed(story, step, number))
            .collect();
        // What is known when it has ended.
        let end = last_step(story, steps, number);
        if pieces.is_empty() {
            let _ = write!(page, "<p class=\"exit\"{end}>no output</p>");
        } else {
            page.push_str("<pre class=\"output\"><samp>");
            output(page, &pieces);
            page.push_str("</samp></pre>");
        }
        if let Some(code) = program.exit_code.filter(|code| *code != 0) {
            let _ = write!(page, "<p class=\"exit\"{end}>exit code {code}</p>");
        }
        page.push_str("</div>\n");
    }
    page.push_str("</div>\n");
}

/// The attribute for what is true from the last step of `program` on; none if it has no step.
fn last_step(story: &Story, steps: &[Step], program: usize) -> String {
    let is_its = |step: &&Step| match step.event {
        Event::Call(call) | Event::Begin(call) | Event::Return(call) => {
            story.lanes[call.lane].program == Some(program)
        }
        Event::Packet(_) => false,
    };
    let last = steps.iter().rev().find(is_its);
    last.map_or_else(String::new, |step| {
        format!(" data-step=\"{}\"", step.number)
    })
}

/// What `program` has printed when `step` is over.
fn printed<'a>(story: &Story, step: &Step<'a>, program: usize) -> Option<(usize, &'a Output)> {
    let call = match step.event {
        Event::Call(call) | Event::Return(call) => call,
        Event::Begin(call) if step.returns.is_none() => call,
        Event::Begin(_) | Event::Packet(_) => return None,
    };
    let is_its = story.lanes[call.lane].program == Some(program);
    let output = call.output.as_ref().filter(|_| is_its)?;
    Some((step.number, output))
}

/// The pieces in order. A line of stderr is often written in several calls: these are one block.
fn output(page: &mut String, pieces: &[(usize, &Output)]) {
    let mut rest = pieces;
    while let [(number, first), others @ ..] = rest {
        if first.stream == Stream::Stdout {
            piece(page, "", *number, &first.text);
            rest = others;
            continue;
        }
        let is_open = |(_, output): &&(usize, &Output)| !output.text.ends_with('\n');
        let begun = rest
            .iter()
            .take_while(|(_, output)| output.stream == Stream::Stderr);
        let open = begun.clone().take_while(is_open).count();
        let length = begun.count().min(open + 1);
        let (line, after) = rest.split_at(length);
        rest = after;
        if let [(number, output)] = line {
            piece(page, "class=\"stderr\" ", *number, &output.text);
            continue;
        }
        page.push_str("<span class=\"stderr\">");
        for (number, output) in line {
            piece(page, "", *number, &output.text);
        }
        page.push_str("</span>");
    }
}

fn piece(page: &mut String, class: &str, number: usize, output: &str) {
    let output = text::html(&text::readable(output.as_bytes()));
    // A line that is empty would end the block of HTML.
    let output = output.replace('\n', "&#10;");
    let _ = write!(page, "<span {class}data-step=\"{number}\">{output}</span>");
}
