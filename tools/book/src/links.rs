//! Links to the steps of a replay: `[](replay:echo-hello/server:accept)` in a chapter becomes "step 7", and leads there. A step is
//! named by what happens in it, so that text and picture cannot drift apart.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use anyhow::{Error, anyhow};
use regex::{Captures, Regex};

use crate::listing::suggestion;
use crate::replay::Replay;

/// The replays of a chapter, by their names.
pub type Replays = BTreeMap<String, Replay>;

static LINK: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"\[(?<text>[^\]\[]*)\]\(replay:(?<replay>[^)/\s]*)/(?<step>[^)\s]*)\)";
    Regex::new(pattern).expect("the pattern is fixed and valid")
});

/// All links in `text` to steps that are not there, and where they stand.
pub fn mistakes(text: &str, replays: &Replays) -> Vec<(usize, Error)> {
    LINK.captures_iter(text)
        .filter_map(|link| {
            let position = link.get(0)?.start();
            let error = number(&link, replays).err()?;
            Some((position, error))
        })
        .collect()
}

/// `text` with links that a browser can follow. One without a text of its own says which step it is.
pub fn with_steps(text: &str, replays: &Replays) -> String {
    let replace = |link: &Captures| match number(link, replays) {
        Ok(number) => {
            let text = match &link["text"] {
                "" => format!("step {number}"),
                own => own.to_owned(),
            };
            format!("[{text}](#{}-{number})", &link["replay"])
        }
        Err(_) => link[0].to_owned(),
    };
    LINK.replace_all(text, replace).into_owned()
}

/// The number of the step that a link names.
fn number(link: &Captures, replays: &Replays) -> Result<usize, Error> {
    let (name, step) = (&link["replay"], &link["step"]);
    let names: Vec<String> = replays.keys().cloned().collect();
    let replay = replays.get(name).ok_or_else(|| {
        anyhow!(
            "this chapter has no replay {name:?}{}",
            suggestion(name, &names)
        )
    })?;
    let steps: Vec<String> = replay.steps.keys().cloned().collect();
    let number = replay.steps.get(step).copied();
    number.ok_or_else(|| {
        anyhow!(
            "the replay {name:?} has no step {step:?}{}",
            suggestion(step, &steps)
        )
    })
}
