//! Says what is running: a bar on a terminal, plain lines elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::text;

/// How many things have been done.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// `length` things will be done; `name` is what they are called.
    pub fn start(length: usize, name: &str) -> Progress {
        let bar = ProgressBar::new(length as u64);
        let template = format!("{{bar:24}} {{pos}}/{{len}} {name}  {{wide_msg}}");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Progress { bar }
    }

    /// One of them begins to run.
    pub fn begin(&self, name: &str) {
        if self.bar.is_hidden() {
            eprintln!("running {name}");
        }
        self.bar.set_message(name.to_owned());
    }

    /// Says something above the bar.
    pub fn say(&self, text: &str) {
        let text = text::readable(text.as_bytes());
        self.bar.suspend(|| eprintln!("{text}"));
    }

    pub fn end(&self) {
        self.bar.inc(1);
    }
}

impl Drop for Progress {
    /// The bar vanishes: what matters has been said.
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
