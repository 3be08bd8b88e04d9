//! Whatever interrupts a build, nothing survives it, and readers keep the last good book.

mod fixture;

use std::fs;
use std::os::unix::process::ExitStatusExt;

use fixture::witness::Witness;
use fixture::{Project, programs};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

const GOOD: &str = "Above.\n\n<!-- cmdrun --strict book scene demo 'hello' -->";
const ENDLESS: &str = "<!-- cmdrun --strict book scene --deadline 600 demo 'family' -->";

/// Builds a book, and begins to build it again with `chapter` in it, in which a family of programs starts that never ends. Does
/// `interrupt` to the tool. Checks that nobody is left, and nothing is lost.
#[track_caller]
fn interrupted(chapter: &str, interrupt: impl FnOnce(Pid)) -> Project {
    let project = Project::with_listing(GOOD, None, &[("hello", programs::HELLO)]);
    project.build();
    let good = project.book();
    let witness = Witness::in_folder(&project.root);
    let family = programs::parent(&witness.path);
    project.listing("demo", None, &[("family", &family)]);
    project.chapter("chapter", chapter);

    let run = project.start(&["build"]);
    witness.wait_for(&programs::FAMILY);
    interrupt(run.pid);
    let outcome = run.end();
    assert!(!outcome.status.success(), "it said:\n{}", outcome.said);
    witness.wait_for_the_end_of_all();
    assert_eq!(project.book(), good);
    project
}

/// The next build succeeds, and clears up what the interrupted one has left in the project.
#[track_caller]
fn recovers(project: &Project) {
    project.chapter("chapter", GOOD);
    let outcome = project.start(&["build"]).end();
    assert!(outcome.status.success(), "it said:\n{}", outcome.said);
    assert_eq!(project.page().outputs(), ["hello"]);
    assert_eq!(project.leftovers_in("target/book"), [""; 0]);
}

#[test]
fn ctrl_c_ends_the_programs_of_a_scene() {
    // A terminal sends it to the whole group.
    let project = interrupted(ENDLESS, |tool| {
        kill_process_group(tool, Signal::INT).unwrap()
    });
    recovers(&project);
}

#[test]
fn an_interrupt_of_the_tool_alone_ends_the_programs_of_a_scene() {
    let project = interrupted(ENDLESS, |tool| kill_process(tool, Signal::INT).unwrap());
    recovers(&project);
}

#[test]
fn a_termination_of_the_tool_ends_the_programs_of_a_scene() {
    let project = interrupted(ENDLESS, |tool| kill_process(tool, Signal::TERM).unwrap());
    recovers(&project);
}

#[test]
fn killing_the_tool_ends_the_programs_of_a_scene() {
    let project = interrupted(ENDLESS, |tool| kill_process(tool, Signal::KILL).unwrap());
    recovers(&project);
}

/// As a supervisor does that has lost its patience.
#[test]
fn killing_the_tool_with_its_group_ends_the_programs_of_a_scene() {
    let project = interrupted(ENDLESS, |tool| {
        kill_process_group(tool, Signal::KILL).unwrap()
    });
    recovers(&project);
}

#[test]
fn closing_the_terminal_ends_the_programs_of_a_scene() {
    let project = interrupted(ENDLESS, |tool| {
        kill_process_group(tool, Signal::HUP).unwrap()
    });
    recovers(&project);
}

/// The first directive, which is over at once, has the program compiled; the second one starts it without the help of `book`.
#[test]
fn killing_the_tool_ends_any_other_command() {
    let chapter = "<!-- cmdrun --strict book scene demo 'hello' -->\n\n\
                   <!-- cmdrun --strict ../target/book/programs/demo/*/family & wait -->";
    let project = interrupted(chapter, |tool| kill_process(tool, Signal::KILL).unwrap());
    recovers(&project);
}

/// The folder that the programs of a scene run in is not in the project, so the next build does not find it.
#[test]
fn an_interrupted_scene_leaves_no_folder_behind() {
    let project = interrupted(ENDLESS, |tool| {
        kill_process_group(tool, Signal::INT).unwrap()
    });
    recovers(&project);
    project.assert_tidy();
}

/// A script that makes a part of a listing runs while it is compiled.
#[test]
fn ctrl_c_ends_the_compilation_of_a_listing() {
    let project = Project::with_listing(GOOD, None, &[("hello", programs::HELLO)]);
    let witness = Witness::in_folder(&project.root);
    let script = programs::loner(&witness.path);
    project.write("listings/demo/build.rs", script);
    let run = project.start(&["build"]);
    witness.wait_for(&["loner"]);
    kill_process_group(run.pid, Signal::INT).unwrap();
    assert_eq!(run.end().status.signal(), Some(Signal::INT.as_raw()));
    witness.wait_for_the_end_of_all();
    fs::remove_file(project.path("listings/demo/build.rs")).unwrap();
    recovers(&project);
}

/// `cargo book scene`, as an author tries it in a terminal.
#[test]
fn ctrl_c_ends_the_programs_of_a_scene_that_was_started_by_hand() {
    let project = Project::new("");
    let witness = Witness::in_folder(&project.root);
    let family = programs::parent(&witness.path);
    project.listing("demo", None, &[("family", &family)]);
    let run = project.start(&["scene", "--deadline", "600", "demo", "family"]);
    witness.wait_for(&programs::FAMILY);
    kill_process_group(run.pid, Signal::INT).unwrap();
    assert!(!run.end().status.success());
    witness.wait_for_the_end_of_all();
}
