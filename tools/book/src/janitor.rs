//! What is left when the tool is gone, and who removes it: each guard that outlives the tool, once its command has ended, and the
//! janitor, for the moments in which there is no guard.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::project::{self, Project};
use crate::workbench::scratch;

/// Starts the janitor of this process. It goes to work when what is returned is dropped, whatever ends the process.
pub fn start(project: &Project, tool: &Path) -> Result<Child> {
    let mut janitor = Command::new(tool);
    janitor
        .arg("janitor")
        .arg(std::process::id().to_string())
        .current_dir(&project.root)
        // It reads from this process's end of a pipe, which nobody else has.
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        // Ctrl-C is for the tool alone.
        .process_group(0);
    janitor.spawn().context("cannot start a janitor")
}

/// Waits until the process `tool`, which started this one, is gone, and removes what it has left.
pub fn run(project: &Project, tool: u32) -> Result<()> {
    io::copy(&mut io::stdin().lock(), &mut io::sink())?;
    clear_up(project, tool)
}

/// Removes what the process `tool` would have removed.
pub fn clear_up(project: &Project, tool: u32) -> Result<()> {
    // Others may be at it, too: the last one finds nobody else's files coming into these folders.
    project::remove_leftovers(&project.state(), |process| process == tool);
    scratch::remove_abandoned(project)
}
