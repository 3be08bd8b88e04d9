//! What a replay's HTML holds, as a browser's parser reads it.

use pulldown_cmark::{Event as Markdown, Parser, Tag, TagEnd};
use scraper::{ElementRef, Html, Selector};

use super::*;
use crate::process::Stream;
use crate::story::{Call, End, Lane, Output, Packet, Program, Protocol, SourceLine};

const SERVER: &str = "127.0.0.1:8001";
const CLIENT: &str = "127.0.0.1:40000";
const FILE: &str = "listings/echo/src/bin/server.rs";
const HOSTILE: &str =
    "</script><svg onload=alert(1)>-->```\n\n \t\n    {{#include x}}\"'&\u{1b}[31m\0\u{202e}";

fn call(lane: usize, text: &str, times: (u64, Option<u64>), result: &str) -> Call {
    Call {
        lane,
        name: text.split('(').next().unwrap_or_default().into(),
        text: text.into(),
        result: times.1.map(|_| result.into()),
        failed: result.starts_with('E'),
        start: times.0,
        end: times.1,
        source: None,
        output: None,
    }
}

fn prints(mut call: Call, stream: Stream, text: &str) -> Call {
    call.output = Some(Output {
        stream,
        text: text.into(),
    });
    call
}

fn at(mut call: Call, line: u32) -> Call {
    call.source = Some(SourceLine {
        file: FILE.into(),
        line,
    });
    call
}

fn end(lane: usize, address: &str, state: &str) -> End {
    End {
        lane,
        address: address.into(),
        state: (!state.is_empty()).then(|| state.into()),
    }
}

fn packet(time: u64, flags: &str, from: End, to: End, data: &str) -> Packet {
    Packet {
        time,
        from,
        to,
        protocol: Protocol::Tcp,
        flags: flags.into(),
        sequence: Some(0),
        acknowledgement: None,
        length: data.len(),
        again: false,
        data: data.into(),
        tls: Vec::new(),
    }
}

fn lane(name: &str, program: Option<usize>) -> Lane {
    Lane {
        name: name.into(),
        program,
        calls_left_out: 0,
    }
}

/// A server waits for a client, which says hello and is refused by somebody else.
fn story() -> Story {
    let program = |command: &str| Program {
        command: command.into(),
        exit_code: None,
        threads_left_out: 0,
    };
    let listening = "listening on 127.0.0.1:8001\n";
    Story {
        programs: vec![program("cargo run server"), program("cargo run client")],
        lanes: vec![
            lane("server", Some(0)),
            lane("server-thread-2", Some(0)),
            lane("client", Some(1)),
            lane("nobody", None),
        ],
        calls: vec![
            at(call(0, "listen(3, 128)", (0, Some(5)), "0"), 4),
            at(
                prints(
                    call(0, "write(1, \"listening …\")", (10, Some(15)), "28"),
                    Stream::Stdout,
                    listening,
                ),
                6,
            ),
            at(
                call(
                    0,
                    "accept(3)",
                    (20, Some(12_060)),
                    "4, from 127.0.0.1:40000",
                ),
                8,
            ),
            call(2, "connect(3, 127.0.0.1:8001)", (12_000, Some(12_070)), "0"),
            call(1, "recv(4, 4096)", (12_080, None), ""),
            call(2, "send(3, \"hello\")", (12_090, Some(12_120)), "5"),
            prints(
                call(1, "write(2, \"hello\")", (12_130, Some(12_131)), "5"),
                Stream::Stderr,
                "hello",
            ),
            prints(
                call(1, "write(2, \", you\\n\")", (12_140, Some(12_141)), "6"),
                Stream::Stderr,
                ", you\n",
            ),
            call(
                2,
                "connect(4, 127.0.0.1:9)",
                (12_150, Some(1_012_180)),
                "ECONNREFUSED (Connection refused)",
            ),
        ],
        packets: vec![
            packet(
                12_010,
                "SYN",
                end(2, CLIENT, "SYN-SENT"),
                end(0, SERVER, "SYN-RECEIVED"),
                "",
            ),
            packet(
                12_020,
                "SYN-ACK",
                end(0, SERVER, ""),
                end(2, CLIENT, "ESTABLISHED"),
                "",
            ),
            packet(
                12_100,
                "PSH-ACK",
                end(2, CLIENT, ""),
                end(1, SERVER, ""),
                "hello",
            ),
            packet(
                12_160,
                "SYN",
                end(2, CLIENT, ""),
                end(3, "127.0.0.1:9", ""),
                "",
            ),
            packet(
                12_170,
                "RST-ACK",
                end(3, "127.0.0.1:9", ""),
                end(2, CLIENT, "CLOSED"),
                "",
            ),
            packet(
                1_012_200,
                "SYN",
                end(2, CLIENT, "SYN-SENT"),
                end(2, CLIENT, "CLOSED"),
                "",
            ),
        ],
        packets_left_out: 0,
    }
}

fn sources() -> BTreeMap<String, String> {
    let lines: Vec<String> = (1..=12)
        .map(|number| match number {
            3 => "// ANCHOR: all".into(),
            5 => String::new(),
            _ => format!("    line {number}"),
        })
        .collect();
    BTreeMap::from([(FILE.into(), lines.join("\n"))])
}

fn parse(story: &Story) -> Html {
    Html::parse_fragment(&html("scene", story, &sources(), "<p>Recorded</p>"))
}

fn all<'a>(page: &'a Html, selector: &str) -> Vec<ElementRef<'a>> {
    let selector = Selector::parse(selector).unwrap();
    page.select(&selector).collect()
}

fn text(element: &ElementRef) -> String {
    element.text().collect()
}

fn texts(page: &Html, selector: &str) -> Vec<String> {
    all(page, selector).iter().map(text).collect()
}

fn attributes(page: &Html, selector: &str, name: &str) -> Vec<String> {
    all(page, selector)
        .iter()
        .map(|element| element.attr(name).unwrap_or("").to_owned())
        .collect()
}

#[test]
fn every_event_is_in_the_picture_and_in_the_words_once_and_in_order() {
    let story = story();
    let page = parse(&story);
    let steps = steps::steps(&story);
    let numbers: Vec<String> = (1..=steps.len()).map(|number| number.to_string()).collect();
    let ids: Vec<String> = numbers
        .iter()
        .map(|number| format!("scene-{number}"))
        .collect();
    let names: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(attributes(&page, "svg .step", "data-step"), numbers);
    assert_eq!(attributes(&page, "svg .step", "id"), ids);
    assert_eq!(attributes(&page, ".words li", "data-step"), numbers);
    assert_eq!(attributes(&page, ".words li", "data-name"), names);
    assert_eq!(all(&page, "svg .call").len(), story.calls.len());
    assert_eq!(all(&page, "svg .step .arrow").len(), story.packets.len());
    assert_eq!(all(&page, "svg .state").len(), 6);
    for call in &story.calls {
        let told = |selector| {
            let count = texts(&page, selector)
                .iter()
                .filter(|text| text.contains(&call.text))
                .count();
            (call.text.as_str(), count)
        };
        let own = steps
            .iter()
            .filter(|step| match step.event {
                steps::Event::Call(one) | steps::Event::Begin(one) | steps::Event::Return(one) => {
                    one.text == call.text
                }
                steps::Event::Packet(_) => false,
            })
            .count();
        assert_eq!(told(".words li"), (call.text.as_str(), own));
        assert_eq!(told("svg .step"), (call.text.as_str(), 1));
    }
}

#[test]
fn a_bar_goes_from_the_step_that_begins_a_call_to_the_one_at_which_it_returns() {
    let story = story();
    let page = parse(&story);
    let steps = steps::steps(&story);
    let number = |name: &str| {
        let step = steps.iter().find(|step| step.name == name).unwrap();
        step.number.to_string()
    };
    let bar = |name: &str| {
        let selector = format!("svg .call[data-from=\"{}\"]", number(name));
        let to = attributes(&page, &selector, "data-to");
        let class = attributes(&page, &selector, "class");
        let lane = attributes(&page, &selector, "data-lane");
        [&to[..], &class, &lane].concat()
    };
    assert_eq!(
        bar("server:listen"),
        [&number("server:listen"), "call", "0"]
    );
    assert_eq!(
        bar("server:accept"),
        [&number("server:accept:returns"), "call", "0"]
    );
    assert_eq!(
        bar("client:connect-2"),
        [&number("client:connect-2:returns"), "call failed", "2"]
    );
    assert_eq!(
        bar("server-thread-2:recv"),
        [&steps.len().to_string(), "call open", "1"]
    );
}

#[test]
fn the_words_are_precise() {
    let words = texts(&parse(&story()), ".words li");
    for sentence in [
        "server calls listen(3, 128), which returns 0. (listings/echo/src/bin/server.rs, line 4)",
        "server writes \"listening on 127.0.0.1:8001\" to stdout. (write(1, \"listening …\") returns 28; \
         listings/echo/src/bin/server.rs, line 6)",
        "server calls accept(3) and waits. (listings/echo/src/bin/server.rs, line 8)",
        "server's accept(3) returns 4, from 127.0.0.1:40000, after 12 ms. (listings/echo/src/bin/server.rs, line 8)",
        "server, thread 2 calls recv(4, 4096) and waits; it has not returned when the scene ends.",
        "client's connect(4, 127.0.0.1:9) fails: ECONNREFUSED (Connection refused), after 1.0 s.",
        "client (127.0.0.1:40000) → server (127.0.0.1:8001): SYN; client is now SYN-SENT; \
         server is now SYN-RECEIVED. (sequence 0)",
        "client (127.0.0.1:40000) → server, thread 2 (127.0.0.1:8001): PSH-ACK, 5 bytes \"hello\". (sequence 0)",
        "no program (127.0.0.1:9) → client (127.0.0.1:40000): RST-ACK; client is now CLOSED. (sequence 0)",
    ] {
        assert!(
            words.iter().any(|word| word == sentence),
            "{sentence}\n{words:#?}"
        );
    }
}

#[test]
fn a_terminal_shows_what_its_program_printed_with_the_steps_that_printed_it() {
    let page = parse(&story());
    assert_eq!(
        texts(&page, ".screen .output"),
        ["listening on 127.0.0.1:8001\nhello, you\n"]
    );
    // The line of stderr was written in two calls.
    assert_eq!(texts(&page, ".screen .stderr"), ["hello, you\n"]);
    assert_eq!(
        texts(&page, ".screen .stderr [data-step]"),
        ["hello", ", you\n"]
    );
    // What is only known at its end is not told before.
    assert_eq!(texts(&page, ".screen .exit"), ["no output"]);
    assert_eq!(attributes(&page, ".screen .exit", "data-step").len(), 1);
    let step = attributes(&page, ".screen .output [data-step]", "data-step");
    let words = texts(&page, &format!(".words li[data-step=\"{}\"]", step[0]));
    assert!(words[0].contains("writes \"listening on"), "{words:?}");
}

#[test]
fn a_source_is_shown_around_the_lit_lines_without_anchors() {
    let page = parse(&story());
    let numbers: Vec<String> = [2, 4, 5, 6, 7, 8, 9, 10]
        .map(|line: u32| line.to_string())
        .into();
    assert_eq!(attributes(&page, ".source .line", "data-line"), numbers);
    assert_eq!(
        texts(&page, ".source .line")[1..3],
        ["4    line 4\n", "5\n"]
    );
    assert_eq!(attributes(&page, ".source", "data-file"), [FILE]);
}

#[test]
fn nothing_that_a_program_or_a_peer_says_becomes_markup() {
    let harmless = story();
    let mut hostile = story();
    for program in &mut hostile.programs {
        program.command.push_str(HOSTILE);
    }
    for lane in &mut hostile.lanes[..3] {
        lane.name.push_str(HOSTILE);
    }
    for call in &mut hostile.calls {
        call.name.push_str(HOSTILE);
        call.text.push_str(HOSTILE);
        if let Some(result) = &mut call.result {
            result.push_str(HOSTILE);
        }
        if let Some(output) = &mut call.output {
            output.text = format!("{HOSTILE}{}", output.text);
        }
        if let Some(source) = &mut call.source {
            source.file.push_str(HOSTILE);
        }
    }
    for packet in &mut hostile.packets {
        packet.flags.push_str(HOSTILE);
        if !packet.data.is_empty() {
            packet.data = HOSTILE.into();
        }
        for end in [&mut packet.from, &mut packet.to] {
            end.address.push_str(HOSTILE);
            if let Some(state) = &mut end.state {
                state.push_str(HOSTILE);
            }
        }
    }
    let mut files = sources();
    for source in sources().into_values() {
        files.insert(format!("{FILE}{HOSTILE}"), source.replace("line", HOSTILE));
    }
    let page = html("scene", &hostile, &files, "<p>Recorded</p>");
    let forbidden = |character: char| character.is_control() && !"\n\t".contains(character);
    assert!(!page.contains(forbidden) && !page.contains("{{") && !page.contains('\u{202e}'));
    let is_blank = |line: &str| line.trim().is_empty();
    assert!(!page.lines().any(is_blank));
    let page = Html::parse_fragment(&page);
    let elements = |page: &Html| -> Vec<String> {
        let tags = all(page, "*").into_iter().map(|element| {
            let attributes: Vec<&str> = element.value().attrs().map(|(name, _)| name).collect();
            format!("{} {}", element.value().name(), attributes.join(" "))
        });
        // How many lines a text takes depends on its length, and the number of lines on the source.
        tags.filter(|tag| !tag.starts_with("text") && !tag.starts_with("span"))
            .collect()
    };
    assert_eq!(elements(&page), elements(&parse(&harmless)));
    let shown = "</script><svg onload=alert(1)>-->```";
    for selector in [
        ".command",
        ".output",
        ".lanes",
        "summary",
        ".line",
        ".words li",
    ] {
        let found = texts(&page, selector);
        assert!(found.iter().any(|text| text.contains(shown)), "{selector}");
    }
}

#[test]
fn markdown_takes_all_of_it_as_one_block_of_html() {
    let mut story = story();
    for call in &mut story.calls {
        if let Some(output) = &mut call.output {
            output.text = "\n\n    code\n \n# heading\n\n".into();
        }
    }
    let page = html("scene", &story, &sources(), "<p>Recorded</p>");
    let events: Vec<Markdown> = Parser::new(&page).collect();
    assert!(matches!(
        events.first(),
        Some(Markdown::Start(Tag::HtmlBlock))
    ));
    assert!(matches!(
        events.last(),
        Some(Markdown::End(TagEnd::HtmlBlock))
    ));
    let inside = &events[1..events.len() - 1];
    assert!(
        inside
            .iter()
            .all(|event| matches!(event, Markdown::Html(_)))
    );
    let page = Html::parse_fragment(&page);
    assert!(texts(&page, ".output")[0].starts_with("\n\n    code\n \n# heading\n\n"));
}

#[test]
fn a_text_in_the_picture_ends_before_the_next_lane() {
    let mut story = story();
    for call in &mut story.calls {
        call.text = format!("{}{}", call.text, "x".repeat(300));
        if let Some(result) = &mut call.result {
            *result = "宽".repeat(300);
        }
    }
    let page = parse(&story);
    let number =
        |element: &ElementRef, name| -> f64 { element.attr(name).unwrap_or("").parse().unwrap() };
    let lines: Vec<f64> = attributes(&page, "svg .life", "d")
        .iter()
        .map(|path| path[1..].split(' ').next().unwrap().parse().unwrap())
        .collect();
    let edge = number(&all(&page, "svg")[0], "width");
    for element in all(&page, "svg .code") {
        let left = number(&element, "x");
        let right = left + label::cells(&text(&element)) as f64 * 7.8;
        let next = lines
            .iter()
            .copied()
            .find(|line| *line > left)
            .unwrap_or(edge);
        assert!(
            right <= next - f64::from(layout::HALF),
            "{}",
            text(&element)
        );
    }
}

#[test]
fn what_is_left_out_is_told() {
    let mut story = story();
    story.lanes[2].calls_left_out = 1;
    story.packets_left_out = 1_234;
    story.programs[0].threads_left_out = 1;
    let page = parse(&story);
    let others = "1,234 more packets; 1 more thread of server";
    let notes = ["still waiting", "1 more call", others];
    assert_eq!(texts(&page, "svg .note"), notes);
    let told = format!("Between these, not told: 1 more call of client; {others}.");
    assert_eq!(texts(&page, ".words p"), [told]);
}

#[test]
fn a_wait_is_told_from_ten_milliseconds_on_and_rounded() {
    for (micros, told) in [
        (9_999, None),
        (12_345, Some("12 ms")),
        (99_499, Some("99 ms")),
        (99_500, Some("100 ms")),
        (123_456, Some("120 ms")),
        (994_999, Some("990 ms")),
        (995_000, Some("1.0 s")),
        (2_500_000, Some("2.5 s")),
    ] {
        let call = call(0, "read(3)", (1, Some(1 + micros)), "0");
        assert_eq!(label::wait(&call).as_deref(), told);
    }
}

#[test]
fn an_arrow_s_label_says_what_its_flags_do_not() {
    let label = |flags: &str, length, data: &str, tls: &[&str]| {
        let mut packet = packet(0, flags, end(0, "", ""), end(0, "", ""), data);
        packet.length = length;
        packet.tls = tls.iter().map(|name| name.to_string()).collect();
        label::packet(&packet)
    };
    assert_eq!(label("SYN-ACK", 0, "", &[]), "SYN-ACK");
    assert_eq!(label("PSH-ACK", 5, "hello", &[]), "5 bytes \"hello\"");
    assert_eq!(
        label("PSH-ACK", 7, r"hello\r\n", &[]),
        r#"7 bytes "hello\r\n""#
    );
    assert_eq!(label("ACK", 4096, "hello", &[]), "4096 bytes \"hello\"");
    assert_eq!(label("FIN-PSH-ACK", 1, "x", &[]), "FIN, 1 byte \"x\"");
    assert_eq!(label("PSH-ACK", 2, "16 03", &[]), "2 bytes 16 03");
    assert_eq!(
        label("PSH-ACK", 517, "16 03", &["ClientHello"]),
        "ClientHello, 517 bytes"
    );
    assert_eq!(label("", 0, "", &[]), "0 bytes");
    assert_eq!(label("port-unreachable", 0, "", &[]), "port-unreachable");
}

#[test]
fn a_story_without_an_event_is_drawn_as_well() {
    let mut story = story();
    story.calls.clear();
    story.packets.clear();
    let page = parse(&story);
    assert!(all(&page, "svg .step, .words li, .source").is_empty());
    story.lanes.clear();
    assert_eq!(all(&parse(&story), ".screen").len(), 2);
}

#[test]
fn the_caption_explains_the_shapes_that_the_picture_has() {
    let mut story = story();
    let caption = |story: &Story| texts(&parse(story), "figcaption").concat();
    story.calls.iter_mut().for_each(|call| call.failed = false);
    assert_eq!(
        caption(&story),
        "Another run of the same scene. Time goes down, a row for each step, not to scale. A bar is a call, from its beginning to its \
         return; an arrow is a packet, thick if it carries data."
    );
    story.packets.clear();
    story.calls[0].failed = true;
    assert_eq!(
        caption(&story),
        "Another run of the same scene. Time goes down, a row for each step, not to scale. A bar is a call, from its beginning to its \
         return, dashed and crossed if it fails."
    );
}
