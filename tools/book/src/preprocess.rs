//! The bridge as a program: stock mdBook starts it, as `book.toml` says, and talks JSON with it.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use mdbook_preprocessor::Preprocessor;

use crate::bridge::Bridge;
use crate::project::Project;

/// Reads a book from `input`, and writes it to `output` with its directives run.
pub fn preprocess(tool: PathBuf, input: impl Read, mut output: impl Write) -> Result<()> {
    let (context, book) = mdbook_preprocessor::parse_input(input)
        .context("this is a preprocessor: mdBook starts it and sends it a book")?;
    let project = Project {
        root: context.root.canonicalize()?,
    };
    let bridge = Bridge {
        project,
        tool,
        fresh: false,
        late: None,
        patience: Duration::MAX,
        workbench: None,
    };
    let book = bridge.run(&context, book)?;
    output.write_all(&serde_json::to_vec(&book)?)?;
    Ok(())
}
