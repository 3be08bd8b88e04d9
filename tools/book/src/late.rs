//! While the book is served, a page does not wait for its slow scenes: those that show a timeout take as long as the timeout. It shows
//! what they printed before, says so, and is made again when they have run.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow};

use crate::cache::Cache;

/// How long a page waits for its scenes.
pub const PATIENCE: Duration = Duration::from_millis(300);

/// The scenes that pages did not wait for.
pub struct Late {
    state: Mutex<State>,
    /// Told when they have all run.
    ready: Sender<()>,
}

#[derive(Default)]
struct State {
    /// By the name of their result in the cache.
    running: HashSet<String>,
    failed: HashMap<String, String>,
    /// What each command printed last.
    old: HashMap<String, String>,
}

impl Late {
    pub fn new(ready: Sender<()>) -> Late {
        Late {
            state: Mutex::default(),
            ready,
        }
    }

    /// What is on the page while the scene with this result and command is running; none if it is not.
    pub fn stand_in_if_running(&self, key: &str, command: &str) -> Option<String> {
        let is_running = self.state().running.contains(key);
        is_running.then(|| self.stand_in(command))
    }

    /// The old output of a command, marked as such.
    pub fn stand_in(&self, command: &str) -> String {
        let state = self.state();
        let old = state.old.get(command).map(String::as_str);
        format!(
            "<p class=\"late\">This scene has not ended since the last change. Until it does, here is what it printed before.</p>\n\n{}",
            old.unwrap_or_default()
        )
    }

    /// Why a scene that no page waited for has failed; told once.
    pub fn failure(&self, key: &str) -> Option<Result<String>> {
        let failed = self.state().failed.remove(key);
        failed.map(|error| Err(anyhow!(error)))
    }

    /// Remembers what a command printed.
    pub fn remember(&self, command: &str, output: &str) {
        self.state().old.insert(command.into(), output.into());
    }

    /// Waits in the background for the results that are still to come; `keys` are their names in the cache.
    pub fn wait(
        self: &Arc<Late>,
        keys: HashMap<usize, String>,
        results: Receiver<(usize, Result<String>)>,
        cache: Cache,
    ) {
        self.state().running.extend(keys.values().cloned());
        let late = Arc::clone(self);
        thread::spawn(move || {
            for (number, result) in results {
                let Some(key) = keys.get(&number) else {
                    continue;
                };
                if let Err(error) = result.and_then(|output| cache.put(key, &output)) {
                    late.state()
                        .failed
                        .insert(key.clone(), format!("{error:#}"));
                }
            }
            for key in keys.values() {
                late.state().running.remove(key);
            }
            // Nobody waits any more when the server ends.
            let _ = late.ready.send(());
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
