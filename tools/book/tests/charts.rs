//! Measurements: how they are run, and what a chart shows of them.

mod fixture;

use fixture::Project;

const MEASUREMENTS: &str = r#"
[recording.speed]
servers = ["server", "server --silent"]
load = "--connections 3"
rounds = 3

[chart.speed]
recording = "speed"
title = "How fast they are"
draws = "per_second"

[chart.cost]
recording = "speed"
title = "What they cost"
draws = "idle_bytes"

[chart.times]
recording = "speed"
title = "How long it takes"
draws = "since_sent"
"#;

/// Says where it listens, and waits. What it says is not true.
const SERVER: &str = r#"fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    assert_eq!(arguments[0], "127.0.0.1:0");
    let port = if arguments.len() == 1 { 1 } else { assert_eq!(arguments[1], "--silent"); 2 };
    println!("listening on 127.0.0.1:{port}");
    std::thread::sleep(std::time::Duration::from_secs(600));
}"#;

/// Says what it has measured: of the server at port 2 nothing, and of another one more each time. It writes down whom it was told to
/// measure.
fn load(project: &Project) -> String {
    r###"use std::io::Write;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    assert_eq!(arguments[1], "--json");
    let port = arguments[0].strip_prefix("127.0.0.1:").unwrap();
    if arguments.iter().any(|word| word == "--warm-up") {
        report(1.0, 0);
        return;
    }
    assert_eq!(arguments[2..], ["--connections", "3"]);
    let runs = std::fs::File::options().create(true).append(true).read(true).open("RUNS");
    writeln!(runs.unwrap(), "{port}").unwrap();
    let runs = std::fs::read_to_string("RUNS").unwrap();
    let rounds = runs.lines().filter(|line| *line == "1").count() as f64;
    if port == "1" { report(12_345.0 * rounds, 0) } else { report(0.0, 7) }
}

fn report(speed: f64, failed: u64) {
    let failed = if failed > 0 { format!("\"<i>bad\": {failed}") } else { String::new() };
    println!(
        r##"{{"idle":0,"answers_in_all":{0},"answers_per_second":{0:.1},"failures":{{{failed}}},"unsent":0,
            "since_sent":{{"50":0.25,"99.9":{1},"100":{1}}},"since_due":null}}"##,
        speed as u64,
        speed / 1000.0
    );
}
"###
    .replace("RUNS", &project.path("runs").display().to_string())
}

fn chart(name: &str) -> String {
    format!("<!-- cmdrun --strict book chart demo {name} -->")
}

fn measured() -> Project {
    let project = Project::new(&format!(
        "{}\n\n{}\n\n{}",
        chart("speed"),
        chart("cost"),
        chart("times")
    ));
    let load = load(&project);
    let programs = [("server", SERVER), ("load", load.as_str())];
    project.listing("demo", None, &programs);
    project.write("listings/demo/measurements.toml", MEASUREMENTS);
    project
}

/// The texts of a row of a table.
fn rows(project: &Project, figure: usize) -> Vec<String> {
    let page = project.page();
    let selector = format!(".chart:nth-of-type({figure}) tbody tr");
    page.texts(&selector)
}

#[test]
fn servers_are_measured_in_turns_and_shown_with_their_spread() {
    let project = measured();
    let said = project.builds(&["record", "demo"]);
    for part in [
        "running speed, round 1: server\n",
        "running speed, round 3: server --silent\n",
    ] {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
    assert_eq!(project.read("runs"), "1\n2\n1\n2\n1\n2\n");
    project.build();
    assert_eq!(
        rows(&project, 1),
        [
            "server24,70012,30037,000",
            "server --silentno answer21 <i>bad"
        ]
    );
    let page = project.page();
    assert_eq!(
        page.texts(".chart > figcaption"),
        ["How fast they are", "What they cost", "How long it takes"]
    );
    assert_eq!(page.texts(".chart:nth-of-type(1) .bar").len(), 1);
    assert_eq!(page.texts(".chart:nth-of-type(1) .run").len(), 3);
    assert_eq!(
        page.texts(".chart:nth-of-type(1) .value"),
        ["24,700/s", "no answer, 21 failed"]
    );
    // Nobody was idle.
    assert_eq!(
        page.texts(".chart:nth-of-type(2) .value"),
        ["no answer", "no answer, 21 failed"]
    );
    let times = rows(&project, 3);
    assert_eq!(times[0], "500.250.25–0.25no answer");
    assert_eq!(times[1], "99.924.712.3–37no answer");
    assert_eq!(page.texts(".chart:nth-of-type(3) .curve").len(), 2);
    for line in page.texts(".chart > .provenance") {
        assert!(line.contains("cargo book record demo speed"), "{line}");
    }
}

#[test]
fn a_chart_is_made_without_measuring_and_says_what_has_changed() {
    let project = measured();
    project.builds(&["record", "demo", "speed"]);
    let runs = project.read("runs");
    project.builds(&["build", "--fresh"]);
    assert_eq!(project.page().texts(".changed"), [""; 0]);
    project.write("listings/demo/src/lib.rs", "");
    project.build();
    assert_eq!(project.page().texts(".changed").len(), 3);
    assert_eq!(project.read("runs"), runs);
    let said = project.builds(&["chart", "demo", "speed"]);
    assert!(said.contains("<figure class=\"chart\">"), "{said}");
}

#[test]
fn a_chart_of_what_has_not_been_measured_fails_the_build() {
    let project = measured();
    let said = project.build_fails();
    assert!(said.contains("src/chapter.md:1: "), "{said}");
    assert!(said.contains("`cargo book record demo speed`"), "{said}");
    project.builds(&["record", "demo"]);
    // A title can be another one, but not what is measured.
    let file = "listings/demo/measurements.toml";
    project.write(file, MEASUREMENTS.replace("What they cost", "Cost"));
    project.build();
    for (old, new) in [
        ("--connections 3", "--connections 4"),
        ("rounds = 3", "rounds = 4"),
        ("rounds = 3", "one_core = true"),
        ("\"server\", ", ""),
    ] {
        project.write(file, MEASUREMENTS.replace(old, new));
        let said = project.build_fails();
        assert!(said.contains("something else has been recorded"), "{said}");
        assert!(said.contains("`cargo book record demo speed`"), "{said}");
    }
}

#[test]
fn a_mistake_in_measurements_is_named_with_its_place() {
    let project = measured();
    for (old, new, message) in [
        (
            "draws = \"per_second\"",
            "draws = \"speed\"",
            "there are per_second, cpu_micros",
        ),
        (
            "recording = \"speed\"\ntitle = \"How f",
            "recording = \"sped\"\ntitle = \"How f",
            "[chart.speed]: there is no recording \"sped\"; did you mean \"speed\"?",
        ),
        (
            "\"server --silent\"",
            "\"servr\"",
            "[recording.speed]: the listing \"demo\" has no program \"servr\"; did you mean \"server\"?",
        ),
        ("rounds = 3", "rounds = 0", "rounds must not be 0"),
        ("rounds = 3", "round = 3", "round"),
        (
            "[recording.speed]",
            "[recording.\"../x\"]",
            "a name begins with a letter",
        ),
    ] {
        assert!(MEASUREMENTS.contains(old));
        project.write(
            "listings/demo/measurements.toml",
            MEASUREMENTS.replace(old, new),
        );
        let said = project.build_fails();
        assert!(said.contains("src/chapter.md:1: "), "{said}");
        assert!(said.contains("listings/demo/measurements.toml"), "{said}");
        assert!(said.contains(message), "no {message:?} in:\n{said}");
    }
    project.write("listings/demo/measurements.toml", MEASUREMENTS);
    project.chapter("chapter", &chart("sped"));
    let said = project.build_fails();
    assert!(
        said.contains("no chart \"sped\"; did you mean \"speed\"?"),
        "{said}"
    );
    project.chapter("chapter", &format!("Inside {} a line.", chart("speed")));
    let said = project.build_fails();
    assert!(said.contains("a chart is a block of its own"), "{said}");
}

#[test]
fn text_and_figures_in_a_measurement_cannot_break_the_page() {
    let project = measured();
    project.builds(&["record", "demo"]);
    let hostile = r#"<script>alert(1)</script>\n\n<b>{{#include ../book.toml}}</b><!-- cmdrun date -->\u202e"#;
    let titles = MEASUREMENTS.replace("How fast they are", &hostile.replace('<', "</title><"));
    project.write("listings/demo/measurements.toml", titles);
    let file = "listings/demo/recordings/speed.json";
    let recording = project.read(file);
    let bad = recording
        .replace("<i>bad", hostile)
        .replace("12345.0", "1e300")
        .replace("24690.0", "-5.0")
        .replace("0.25", "0.0");
    assert_ne!(recording, bad);
    project.write(file, bad);
    project.build();
    let page = project.page();
    let title = &page.texts("figcaption")[0];
    assert!(title.contains("alert(1)") && title.contains("{{#include"));
    assert_eq!(page.texts(".chart svg").len(), 3);
}

/// Whatever it has measured up to then is not worth a recording.
#[test]
fn a_measurement_that_fails_keeps_the_old_recording() {
    let project = measured();
    project.builds(&["record", "demo"]);
    let good = project.read("listings/demo/recordings/speed.json");
    let load = load(&project).replace("report(0.0, 7)", "panic!(\"too bad\")");
    project.listing("demo", None, &[("load", &load)]);
    let said = project.fails(&["record", "demo"]);
    assert!(said.contains("speed.json: the command failed"), "{said}");
    assert!(said.contains("too bad"), "{said}");
    assert_eq!(project.read("listings/demo/recordings/speed.json"), good);
}
