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

/// Another replay that has the address of a step of `name`, or the other way round: `#echo-2` is step 2 of `echo`.
pub fn mistaken<'a>(name: &str, replays: &'a Replays) -> Option<&'a str> {
    let has_step = |owner: &str, address: &str| {
        let number = address.strip_prefix(owner)?.strip_prefix('-')?;
        let mut steps = replays.get(owner)?.steps.values();
        steps.find(|step| step.to_string() == number)
    };
    let is_mistaken = |other: &&str| has_step(name, other).or(has_step(other, name)).is_some();
    replays.keys().map(String::as_str).find(is_mistaken)
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
