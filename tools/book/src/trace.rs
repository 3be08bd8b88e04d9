//! What strace wrote about the programs of a scene, read and put into words.
//!
//! Each thread has a file, `N.TID`: N is the program's number in the order of the scene. strace's form is not specified; this is
//! what versions 6.1 and later write with `-ff -k -yy -v --absolute-timestamps=format:unix,precision:ns --syscall-times=ns`.
//! `syntax` reads a file, `data`, `descriptor` and `decode` say what a call means, `symbols` which line of a listing made it,
//! and `told` whether it belongs in a story.

mod data;
mod decode;
mod descriptor;
mod symbols;
mod syntax;
mod told;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

pub use {
    decode::Decoder,
    descriptor::{Kind, descriptors, sockets},
    symbols::Symbols,
    syntax::{End, RawCall},
    told::is_told,
};

/// What one thread did.
#[derive(Debug)]
pub struct Thread {
    /// Which of the scene's programs it belongs to; the first one is 0 if strace was told so.
    pub program: usize,
    pub tid: u32,
    /// In the order in which they began. A thread may have made none.
    pub calls: Vec<RawCall>,
    /// None if strace did not see it.
    #[cfg_attr(not(test), allow(dead_code))]
    pub end: Option<End>,
}

/// All threads that have a file `N.TID` in `folder`, by program; of each program the one that made the first call comes first.
/// Other files are left alone. Fails with the file's name and the line if one cannot be understood.
pub fn read(folder: &Path) -> Result<Vec<Thread>> {
    let mut threads = Vec::new();
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {folder:?}"))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {folder:?}"))?;
        let name = entry.file_name();
        let Some((program, tid)) = name.to_str().and_then(numbers) else {
            continue;
        };
        let path = entry.path();
        let bytes = fs::read(&path).with_context(|| format!("cannot read {path:?}"))?;
        let (calls, end) = syntax::read(&String::from_utf8_lossy(&bytes), &path)?;
        threads.push(Thread {
            program,
            tid,
            calls,
            end,
        });
    }
    threads.sort_by_key(|thread| {
        let start = thread.calls.first().map_or(u64::MAX, |call| call.start);
        (thread.program, start, thread.tid)
    });
    Ok(threads)
}

fn numbers(name: &str) -> Option<(usize, u32)> {
    let (program, tid) = name.split_once('.')?;
    Some((program.parse().ok()?, tid.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_come_by_program_and_the_earliest_first_and_other_files_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let close = |second| format!("{second}.000000000 close(3) = 0 <0.000001000>\n");
        for (name, text) in [
            ("1.30", close(50)),
            ("0.20", close(42)),
            ("0.10", close(43) + "43.000000100 +++ exited with 3 +++\n"),
            ("0.9", "44.000000100 +++ exited with 3 +++\n".to_owned()),
            ("stderr", "no trace".to_owned()),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }

        let threads = read(folder.path()).unwrap();

        let order: Vec<_> = threads
            .iter()
            .map(|each| (each.program, each.tid))
            .collect();
        assert_eq!(order, [(0, 20), (0, 10), (0, 9), (1, 30)]);
        assert_eq!(threads[1].end, Some(End::Exited(3)));
    }

    #[test]
    fn an_error_says_which_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("0.7"),
            "1.000000000 close(3) = 0\nwhat?\n",
        )
        .unwrap();

        let error = format!("{:#}", read(folder.path()).unwrap_err());

        assert!(error.contains("0.7:2: "), "{error}");
    }
}
