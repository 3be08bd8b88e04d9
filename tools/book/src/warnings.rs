//! mdBook reports a tag that is not closed, or a theme file that it cannot read, as a warning in its log. To an author of this book
//! these are mistakes.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail};
use tracing_subscriber::filter::LevelFilter;

static WARNINGS: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Collects what mdBook logs from now on.
pub fn collect() {
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::WARN)
        .with_ansi(false)
        .with_level(false)
        .with_target(false)
        .without_time()
        .with_writer(|| Collector)
        .init();
}

/// Begins anew.
pub fn forget() {
    WARNINGS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clear();
}

/// Fails with all warnings since the last call of [`forget`].
pub fn fail_if_any() -> Result<()> {
    let warnings = WARNINGS.lock().unwrap_or_else(PoisonError::into_inner);
    if !warnings.is_empty() {
        bail!(
            "mdBook is not content:\n{}",
            String::from_utf8_lossy(&warnings).trim_end()
        );
    }
    Ok(())
}

struct Collector;

impl Write for Collector {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        WARNINGS
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
