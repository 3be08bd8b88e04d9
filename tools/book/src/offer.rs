//! What a page offers to do with what it shows: to run a scene, or to change a listing, where the book is served; elsewhere it says how
//! to get there. A program that needs nothing but std can be opened in the Rust Playground.

use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, ensure};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use toml::{Table, Value};

use crate::include;
use crate::listing::Listing;
use crate::project::Project;
use crate::scene::{Cast, Scene};
use crate::source::Source;
use crate::text::html;

/// Bytes that an address may have: more is too much for some servers.
const ADDRESS: usize = 8000;

/// A code block that shows all of a listing's source file.
pub struct Shown {
    /// Where in the chapter it begins.
    pub position: usize,
    pub listing: Listing,
    /// `src/bin/server.rs`
    pub file: String,
}

/// The code blocks of a chapter that show whole files; `content` is the chapter with its includes filled in, without anchors.
pub fn shown(project: &Project, source: &Source, content: &str) -> Result<Vec<Shown>> {
    let mut shown = Vec::new();
    let mut from = 0;
    for path in include::whole(source) {
        let path = std::path::absolute(source.folder().join(path))?;
        let Some((listing, file)) = listed(project, &path) else {
            continue;
        };
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let block = format!("```rust\n{}", include::without_anchors(&text).trim_end());
        let Some(position) = content[from..].find(&block).map(|found| from + found) else {
            continue;
        };
        from = position + block.len();
        if content[from..].trim_start().starts_with("```") {
            shown.push(Shown {
                position,
                listing: Listing::load(project, &listing)?,
                file,
            });
        }
    }
    Ok(shown)
}

/// The listing and the name in it of a file in `listings/`.
fn listed(project: &Project, path: &Path) -> Option<(String, String)> {
    let listings = std::path::absolute(project.listings()).ok()?;
    let mut names = Vec::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(names.pop()),
            part => names.push(part.as_os_str()),
        }
    }
    let path: PathBuf = names.into_iter().collect();
    let path = path.strip_prefix(listings).ok()?.to_str()?;
    let (listing, file) = path.split_once('/')?;
    Some((listing.into(), file.into()))
}

/// What `theme/workbench.js` makes the controls of a scene of.
pub fn scene(id: &str, scene: &Scene, cast: &Cast) -> String {
    let inputs = scene.inputs.iter().map(|input| {
        format!(
            "<input name=\"{}\" data-kind=\"{}\" value=\"{}\">",
            html(&input.name),
            input.kind.name(),
            html(&input.value)
        )
    });
    let inputs: String = inputs.collect();
    let programs = cast.programs().collect::<Vec<_>>();
    let server = programs.first().filter(|_| scene.server);
    let server = server.map(|program| format!(" data-server=\"{}\"", html(program)));
    format!(
        "<div class=\"bench\" data-scene=\"{}\" data-programs=\"{}\"{} hidden>{inputs}</div>\n\n",
        html(id),
        html(&programs.join(" ")),
        server.unwrap_or_default()
    )
}

/// What a page says where nothing can be run.
pub fn nothing() -> String {
    "<p class=\"bench\">To run and change this here, start the book on your own machine: <code>cargo book serve</code>.</p>\n\n".into()
}

impl Shown {
    /// What `theme/workbench.js` makes the controls of an editor of.
    pub fn editor(&self) -> String {
        format!(
            "<div class=\"bench\" data-listing=\"{}\" data-file=\"{}\" hidden></div>\n\n",
            html(&self.listing.name),
            html(&self.file)
        )
    }
}

/// A link that opens the program in the Rust Playground that `scene` plays by itself, if it is in one file and needs nothing but std.
pub fn playground(scene: &Scene, cast: &Cast) -> Result<Option<String>> {
    let listing = &cast.listing;
    let [program] = &scene.programs[..] else {
        return Ok(None);
    };
    // One that fails, or has arguments, would do something else there.
    if scene.fails != 0 || scene.closed_port || !listing.programs.contains(program) {
        return Ok(None);
    }
    let path = listing.folder.join(format!("src/bin/{program}.rs"));
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    if needs_others(&text, listing)? {
        return Ok(None);
    }
    let code = utf8_percent_encode(&text, NON_ALPHANUMERIC);
    let address =
        format!("https://play.rust-lang.org/?version=stable&mode=debug&edition=2024&code={code}");
    ensure!(
        address.len() <= ADDRESS,
        "{program} of {} is too long for a link to the Rust Playground",
        listing.name
    );
    // Not of the class `playground`: where mdBook's script finds that, it asks the Playground for its crates as soon as the page loads.
    Ok(Some(format!(
        "<p class=\"to-playground\"><a href=\"{}\">Open this program in the Rust Playground</a></p>\n\n",
        html(&address)
    )))
}

/// Whether `text` names another crate, or its listing's library.
fn needs_others(text: &str, listing: &Listing) -> Result<bool> {
    let manifest: Table = toml::from_str(&fs::read_to_string(listing.folder.join("Cargo.toml"))?)?;
    let targets = manifest.get("target").and_then(Value::as_table);
    let tables = targets
        .into_iter()
        .flat_map(Table::values)
        .filter_map(Value::as_table);
    let dependencies = tables
        .chain([&manifest])
        .filter_map(|table| table.get("dependencies"));
    let names = dependencies
        .filter_map(Value::as_table)
        .flat_map(Table::keys);
    let mut names = names
        .chain([&listing.name])
        .map(|name| name.replace('-', "_"));
    Ok(names.any(|name| text.contains(&format!("{name}::"))))
}
