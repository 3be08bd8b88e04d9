//! Which scenes run again, and what happens if a listing does not compile.

mod fixture;

use std::fs;
use std::path::PathBuf;

use fixture::{Project, programs};

const CHAPTER: &str = "Above.\n\n<!-- cmdrun --strict book scene demo 'count' -->";

/// A project with a scene that counts how often it has been run.
struct Counted {
    project: Project,
    program: String,
    seen: usize,
}

impl Counted {
    fn new() -> Counted {
        let project = Project::new(CHAPTER);
        // One byte for each run. The file `broken` makes it fail.
        let program = format!(
            r#"fn main() {{
                let folder = std::path::Path::new({:?});
                let runs = std::fs::File::options().create(true).append(true).open(folder.join("runs"));
                std::io::Write::write_all(&mut runs.unwrap(), b"x").unwrap();
                println!("it works");
                std::process::exit(folder.join("broken").exists().into());
            }}"#,
            project.root
        );
        project.listing("demo", None, &[("count", &program)]);
        project.build();
        let counted = Counted {
            project,
            program,
            seen: 1,
        };
        assert_eq!(counted.runs(), 1);
        counted
    }

    fn runs(&self) -> usize {
        self.project.read("runs").len()
    }

    /// Builds the book with `arguments` added; `runs` is how many more times the scene must have run by then.
    #[track_caller]
    fn builds(&mut self, arguments: &[&str], runs: usize) {
        let arguments: Vec<&str> = ["build"].iter().chain(arguments).copied().collect();
        self.project.builds(&arguments);
        assert_eq!(self.runs(), self.seen + runs, "runs of the scene");
        self.seen += runs;
        assert_eq!(self.project.page().outputs(), ["it works"]);
    }

    fn results(&self) -> Vec<PathBuf> {
        let folder = fs::read_dir(self.project.path("target/book/results"));
        let entries = folder.expect("a folder of results");
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

#[test]
fn after_an_edit_to_the_prose_no_scene_runs() {
    let mut counted = Counted::new();
    let text = CHAPTER.replace("Above.", "# Above\n\nMore <!-- cmdrun echo text -->.\n");
    counted.project.chapter("chapter", &text);
    counted.builds(&[], 0);
    assert!(counted.project.page().text().contains("More text."));
    counted.project.chapter("other", "Another chapter.");
    counted.builds(&[], 0);
}

#[test]
fn after_an_edit_to_the_tests_of_a_listing_no_scene_runs() {
    let mut counted = Counted::new();
    let test = "listings/demo/tests/count.rs";
    counted.project.write(test, "#[test] fn x() {}");
    counted.builds(&[], 0);
}

#[test]
fn after_an_edit_to_a_listing_its_scenes_run() {
    let mut counted = Counted::new();
    for (name, text) in [
        ("src/bin/count.rs", format!("{}\n// more", counted.program)),
        ("src/lib.rs", String::new()),
        ("data.txt", "data".into()),
        (
            "Cargo.toml",
            counted.project.read("listings/demo/Cargo.toml") + "\n[features]\nmore = []\n",
        ),
    ] {
        let path = format!("listings/demo/{name}");
        counted.project.write(path, text);
        counted.builds(&[], 1);
        counted.builds(&[], 0);
    }
}

#[test]
fn after_an_edit_to_another_listing_only_its_scenes_run() {
    let mut counted = Counted::new();
    counted
        .project
        .chapter("other", "<!-- cmdrun --strict book scene other 'hello' -->");
    let hello = [("hello", programs::HELLO)];
    counted.project.listing("other", None, &hello);
    // `Cargo.lock` has a new package.
    counted.builds(&[], 1);
    let changed = programs::HELLO.replace("hello", "changed");
    counted
        .project
        .listing("other", None, &[("hello", &changed)]);
    counted.builds(&[], 0);
    assert_eq!(counted.project.page_of("other").outputs(), ["changed"]);
}

#[test]
fn after_an_edit_to_one_of_several_listings_of_a_scene_it_runs() {
    let counted = Counted::new();
    let text = CHAPTER.replace("demo 'count'", "other 'hello' 'demo/count'");
    counted.project.chapter("chapter", &text);
    let hello = [("hello", programs::HELLO)];
    counted.project.listing("other", None, &hello);
    counted.project.build();
    assert_eq!(counted.project.page().outputs(), ["hello", "it works"]);
    let changed = programs::HELLO.replace("hello", "changed");
    let changed = [("hello", changed.as_str())];
    counted.project.listing("other", None, &changed);
    counted.project.build();
    assert_eq!(counted.project.page().outputs(), ["changed", "it works"]);
    let program = format!("{}\n// more", counted.program);
    let more = [("count", program.as_str())];
    counted.project.listing("demo", None, &more);
    counted.project.build();
    counted.project.build();
    assert_eq!(counted.runs(), 1 + 3);
}

#[test]
fn after_an_edit_to_a_directive_its_scene_runs() {
    let mut counted = Counted::new();
    let text = CHAPTER.replace("demo", "--deadline 9 demo");
    counted.project.chapter("chapter", &text);
    counted.builds(&[], 1);
    counted.builds(&[], 0);
    // The old one has not been forgotten.
    counted.project.chapter("chapter", CHAPTER);
    counted.builds(&[], 0);
}

#[test]
fn a_fresh_build_runs_every_scene() {
    let mut counted = Counted::new();
    counted.builds(&["--fresh"], 1);
    counted.builds(&[], 0);
}

#[test]
fn a_failed_scene_is_not_kept() {
    let mut counted = Counted::new();
    counted.project.write("broken", "");
    counted.builds(&[], 0);
    counted.project.fails(&["build", "--fresh"]);
    counted.seen += 1;
    fs::remove_file(counted.project.path("broken")).unwrap();

    let text = format!("{CHAPTER}\n\nMore.");
    counted.project.chapter("chapter", &text);
    let program = format!("{}\n// more", counted.program);
    counted.project.write("broken", "");
    counted
        .project
        .listing("demo", None, &[("count", &program)]);
    counted.project.build_fails();
    counted.project.build_fails();
    counted.seen += 2;
    fs::remove_file(counted.project.path("broken")).unwrap();
    counted.builds(&[], 1);
}

#[test]
fn a_scene_that_succeeds_beside_one_that_fails_is_kept() {
    let mut counted = Counted::new();
    let text = CHAPTER.replace("demo", "--deadline 9 demo");
    let failing = "\n\n<!-- cmdrun --strict false -->";
    counted
        .project
        .chapter("chapter", &format!("{text}{failing}"));
    counted.project.build_fails();
    counted.seen += 1;
    counted.project.chapter("chapter", &text);
    counted.builds(&[], 0);
}

/// A machine that lost its power leaves files that are empty or end early; a disk that fails, worse.
#[test]
fn a_damaged_result_is_not_shown() {
    let mut counted = Counted::new();
    let good = counted.project.book();
    for damage in [
        |bytes: &[u8]| bytes[..0].to_vec(),
        |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec(),
        |bytes: &[u8]| vec![0; bytes.len()],
        |bytes: &[u8]| vec![0xff; bytes.len()],
        |bytes: &[u8]| bytes.to_ascii_uppercase(),
    ] {
        for path in counted.results() {
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, damage(&bytes)).unwrap();
        }
        counted.builds(&[], 1);
        assert_eq!(counted.project.book(), good);
    }
}

#[test]
fn a_folder_that_cannot_be_written_to_is_named() {
    // A file in its place keeps out even a user who may do everything.
    for name in ["target", "target/book", "target/book/results"] {
        let project = Project::with_listing(
            "<!-- cmdrun --strict book scene demo 'hello' -->",
            None,
            &[("hello", programs::HELLO)],
        );
        project.write(name, "in the way");
        let said = project.build_fails();
        let path = project.path(name).display().to_string();
        assert!(said.contains(&path), "no {path} in:\n{said}");
        assert_eq!(project.read(name), "in the way");
    }
}

#[test]
fn a_listing_that_does_not_compile_fails_the_build_and_the_old_pages_stay() {
    let counted = Counted::new();
    let project = &counted.project;
    let good = project.book();
    let broken = counted.program.replace("exists()", "exists(1)");
    project.listing("demo", None, &[("count", &broken)]);
    project.chapter("other", "<!-- cmdrun --strict book scene demo 'count' -->");
    let said = project.build_fails();
    for part in [
        "error[E0061]",
        "--> listings/demo/src/bin/count.rs:6:",
        "src/chapter.md:3: listings/demo does not compile",
        "src/other.md:1: listings/demo does not compile",
    ] {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
    assert_eq!(project.book(), good);
    assert_eq!(counted.runs(), 1);
}

/// cargo links programs of one name to one path, whichever listing they are from.
#[test]
fn programs_of_two_listings_may_share_a_name() {
    let scene = |name| format!("<!-- cmdrun --strict book scene {name} 'hello' -->");
    let project = Project::new(&scene("one"));
    project.chapter("other", &scene("two"));
    for name in ["one", "two"] {
        let program = programs::HELLO.replace("hello", name);
        project.listing(name, None, &[("hello", &program)]);
    }
    project.build();
    assert_eq!(project.page().outputs(), ["one"]);
    assert_eq!(project.page_of("other").outputs(), ["two"]);
}
