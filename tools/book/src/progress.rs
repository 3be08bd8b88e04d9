//! Says what is running: a bar on a terminal, plain lines elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How many of the directives have run.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub fn start(length: usize) -> Progress {
        let bar = ProgressBar::new(length as u64);
        if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos}/{len} scenes  {wide_msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Progress { bar }
    }

    /// The directive at `location` begins to run.
    pub fn begin(&self, location: &str) {
        if self.bar.is_hidden() {
            eprintln!("running {location}");
        }
        self.bar.set_message(location.to_owned());
    }

    pub fn end(&self) {
        self.bar.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
