//! Where a build puts the pages, and what it leaves alone.

mod fixture;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use fixture::{Project, programs, snapshot};

const TEXT: &str = "# Title\n\nText.";

/// Everything in the project but what a build makes for itself.
fn sources(project: &Project) -> Vec<(PathBuf, Vec<u8>)> {
    let files = snapshot(&project.root).into_iter();
    files
        .filter(|(path, _)| !path.starts_with("target"))
        .collect()
}

/// Builds into `destination`, from `folder`. It must be refused, with a message that names `named`, and change nothing.
#[track_caller]
fn refused(project: &Project, folder: &str, destination: &Path, named: &Path) -> String {
    let before = sources(project);
    let destination = destination.to_str().unwrap();
    let run = project.start_in(folder, &["build", "--dest-dir", destination]);
    let outcome = run.end();
    let said = outcome.said;
    assert_eq!(outcome.status.code(), Some(1), "it said:\n{said}");
    assert!(said.starts_with("error: "), "{said}");
    assert!(said.contains(&named.display().to_string()), "{said}");
    assert_eq!(sources(project), before, "something has changed");
    project.assert_tidy();
    said
}

#[test]
fn a_build_says_where_the_book_is() {
    let project = Project::new(TEXT);
    let said = project.build();
    assert!(said.starts_with("the book is in book ("), "{said}");
    assert_eq!(project.page().texts("h1"), ["Title"]);
}

#[test]
fn a_destination_that_does_not_exist_is_made() {
    let project = Project::new(TEXT);
    project.builds(&["build", "--dest-dir", "new/deep/pages/"]);
    assert!(project.path("new/deep/pages/chapter.html").exists());
    assert!(!project.path("book").exists());
}

#[test]
fn a_destination_is_relative_to_the_folder_that_the_author_is_in() {
    let project = Project::new(TEXT);
    for (destination, place) in [("../up", "up"), ("here", "src/here"), ("./too", "src/too")] {
        let run = project.start_in("src", &["build", "--dest-dir", destination]);
        let outcome = run.end();
        assert!(outcome.status.success(), "it said:\n{}", outcome.said);
        assert!(project.path(place).join("chapter.html").exists());
    }
}

#[test]
fn an_empty_destination_is_filled() {
    let project = Project::new(TEXT);
    fs::create_dir(project.path("empty")).unwrap();
    project.builds(&["build", "--dest-dir", "empty"]);
    assert!(project.path("empty/chapter.html").exists());
}

#[test]
fn a_destination_with_an_old_book_is_replaced() {
    let project = Project::new(TEXT);
    project.chapter("old", "This chapter will go.");
    project.builds(&["build", "--dest-dir", "pages"]);
    assert!(project.path("pages/old.html").exists());
    project.write("src/SUMMARY.md", "# Summary\n\n- [chapter](chapter.md)\n");
    project.builds(&["build", "--dest-dir", "pages"]);
    assert!(project.path("pages/chapter.html").exists());
    assert!(!project.path("pages/old.html").exists());
}

#[test]
fn a_destination_that_is_a_link_stays_one() {
    let project = Project::new(TEXT);
    fs::create_dir(project.path("site")).unwrap();
    symlink("site", project.path("link")).unwrap();
    for _ in 0..2 {
        project.builds(&["build", "--dest-dir", "link"]);
        assert!(project.path("link").is_symlink(), "the link is gone");
        assert!(project.path("site/chapter.html").exists());
    }
}

/// `gh-pages`, say: mdBook's own files are in it, and the history of all that has been published.
#[test]
fn an_old_book_that_is_kept_under_version_control_does_not_lose_its_history() {
    let project = Project::new(TEXT);
    project.builds(&["build", "--dest-dir", "pages"]);
    project.write("pages/.git/HEAD", "ref: refs/heads/gh-pages\n");
    let run = project.start(&["build", "--dest-dir", "pages"]);
    let outcome = run.end();
    assert!(project.path("pages/.git/HEAD").exists(), "it is lost");
    let is_clear = outcome.status.success() || outcome.said.contains("pages");
    assert!(is_clear, "{}", outcome.said);
}

#[test]
fn a_destination_with_something_else_in_it_is_refused() {
    let project = Project::new(TEXT);
    project.write("photos/one.jpg", "a photo");
    let photos = project.path("photos");
    refused(&project, "", &photos, &photos);
    refused(&project, "photos", Path::new("."), &photos);
    for name in ["src", "listings", "theme"] {
        project.write(format!("{name}/kept.txt"), "kept");
        refused(&project, "", Path::new(name), &project.path(name));
    }
}

#[test]
fn a_destination_that_is_a_file_is_refused() {
    let project = Project::new(TEXT);
    project.write("file", "a file");
    let file = project.path("file");
    refused(&project, "", &file, &file);
    refused(&project, "", &file.join("below"), &file);
}

#[test]
fn the_project_itself_and_what_holds_it_are_refused() {
    let project = Project::new(TEXT);
    // Even if they look like a book.
    for name in [".nojekyll", "404.html", "../.nojekyll", "../404.html"] {
        project.write(name, "");
    }
    let root = project.root.clone();
    let parent = root.parent().unwrap();
    let link = parent.join("link");
    symlink(&root, &link).unwrap();
    for (folder, destination, named) in [
        ("", root.as_path(), root.as_path()),
        ("", parent, parent),
        ("", Path::new("/"), Path::new("/")),
        ("", Path::new("."), &root),
        ("", Path::new(".."), parent),
        ("src", Path::new(".."), &root),
        ("src", Path::new("../../project"), &root),
        ("", &link, &root),
    ] {
        let said = refused(&project, folder, destination, named);
        assert!(said.contains("holds the book's sources"), "{said}");
    }
    assert!(link.is_symlink(), "the link is gone");
    assert!(parent.join("404.html").exists());
}

#[test]
#[cfg(target_os = "linux")]
#[ignore = "needs a second file system, at /dev/shm"]
fn a_destination_may_be_on_another_file_system() {
    use std::os::unix::fs::MetadataExt;
    let project = Project::new(TEXT);
    project.chapter("old", "This chapter will go.");
    let other = tempfile::tempdir_in("/dev/shm").expect("/dev/shm can be written to");
    let device = |path: &Path| fs::metadata(path).unwrap().dev();
    assert_ne!(device(other.path()), device(&project.root));

    let pages = other.path().join("pages");
    let arguments = ["build", "--dest-dir", pages.to_str().unwrap()];
    project.builds(&arguments);
    assert!(pages.join("old.html").exists());
    project.write("src/SUMMARY.md", "# Summary\n\n- [chapter](chapter.md)\n");
    project.builds(&arguments);
    assert!(!pages.join("old.html").exists());
    project.build();
    assert_eq!(snapshot(&pages), project.book());
    let entries = fs::read_dir(other.path()).unwrap();
    assert_eq!(entries.count(), 1, "something is left beside the pages");
}

#[test]
fn a_build_that_fails_leaves_the_last_good_book_as_it_was() {
    let project = Project::with_listing(
        "# Title\n\n<!-- cmdrun --strict book scene demo 'hello' -->",
        None,
        &[("hello", programs::HELLO)],
    );
    project.build();
    let good = snapshot(&project.path("book"));
    for text in [
        "<!-- cmdrun --strict false -->",
        "<!-- cmdrnu --strict true -->",
        "<!-- cmdrun --strict book scene --fails 1 demo 'hello' -->",
        "{{#include missing.rs}}",
        "<div>",
    ] {
        project.chapter("chapter", text);
        project.build_fails();
        assert_eq!(snapshot(&project.path("book")), good, "after {text}");
    }
    fs::remove_file(project.path("theme/book.css")).unwrap();
    project.chapter("chapter", TEXT);
    project.build_fails();
    assert_eq!(snapshot(&project.path("book")), good);
}
