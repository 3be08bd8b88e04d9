//! The pages of a built book: their links, and the scenes in them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use regex::Regex;
use scraper::{ElementRef, Html, Node, Selector};
use url::Url;
use walkdir::WalkDir;

/// Stands for the folder of the book. Nobody has this name (RFC 6761, section 6.4).
const SITE: &str = "https://book.invalid/";

/// All pages of a book, by their addresses.
pub struct Site {
    pub pages: BTreeMap<String, Page>,
    /// The addresses of all other files.
    pub files: Vec<String>,
}

/// One page.
pub struct Page {
    /// The address that its links are relative to.
    base: Url,
    /// Its links: of elements, and to others on the same page, as SVG and ARIA name them.
    pub links: Vec<String>,
    /// As often as they occur.
    pub ids: Vec<String>,
    pub scenes: Vec<Vec<Terminal>>,
    /// Its content as HTML, without the scenes.
    pub prose: String,
    /// The text of each code block.
    pub code: Vec<String>,
}

/// One terminal of a scene.
pub struct Terminal {
    pub command: String,
    /// Each line, and whether it was printed on stderr.
    pub lines: Vec<(bool, String)>,
    /// What stands beneath: `exit code 1`.
    pub end: Option<String>,
}

impl Site {
    pub fn read(folder: &Path) -> Site {
        let mut site = Site {
            pages: BTreeMap::new(),
            files: Vec::new(),
        };
        for entry in WalkDir::new(folder) {
            let entry = entry.expect("an entry of the book");
            if !entry.file_type().is_file() {
                continue;
            }
            let path = entry.path();
            let name = path.strip_prefix(folder).expect("a path inside");
            let address = address(name.to_str().expect("a name in UTF-8"));
            if path
                .extension()
                .is_some_and(|extension| extension == "html")
            {
                let text = fs::read_to_string(path).expect("a page in UTF-8");
                let page = Page::parse(&address, &text);
                site.pages.insert(address, page);
            } else {
                site.files.push(address);
            }
        }
        site
    }

    /// The page of a chapter.
    pub fn chapter(&self, name: &str) -> &Page {
        let page = self.pages.get(&address(&format!("{name}.html")));
        page.unwrap_or_else(|| panic!("the chapter {name} has no page"))
    }

    /// What is wrong with the links of a page.
    pub fn mistakes<'a>(
        &self,
        page: &Page,
        links: impl IntoIterator<Item = &'a String>,
    ) -> Vec<String> {
        let mistake = |link: &String| Some(format!("{link}: {}", self.mistake(&page.base, link)?));
        links.into_iter().filter_map(mistake).collect()
    }

    fn mistake(&self, base: &Url, link: &str) -> Option<String> {
        let url = match base.join(link) {
            Ok(url) => url,
            Err(error) => return Some(error.to_string()),
        };
        if !url.as_str().starts_with(SITE) {
            let is_here = matches!(url.host_str(), Some("127.0.0.1" | "localhost"));
            let is_fine = url.scheme() == "https" || (url.scheme() == "http" && is_here);
            return (!is_fine).then(|| "it is neither in the book nor https".into());
        }
        let mut target = url.clone();
        target.set_fragment(None);
        target.set_query(None);
        let target = match target.path() {
            "/" => address("index.html"),
            _ => target.into(),
        };
        match (self.pages.get(&target), url.fragment()) {
            (Some(_), None | Some("")) => None,
            (Some(page), Some(id)) => (!page.ids.iter().any(|known| known == id))
                .then(|| format!("the page has no #{id}")),
            (None, _) if self.files.contains(&target) => None,
            (None, _) => Some("there is no such file".into()),
        }
    }
}

fn address(name: &str) -> String {
    let site = Url::parse(SITE).expect("a valid address");
    site.join(name).expect("a valid name").into()
}

impl Page {
    fn parse(address: &str, text: &str) -> Page {
        let mut html = Html::parse_document(text);
        let all = |name: &str| html.select(&selector(name)).collect::<Vec<_>>();
        let address = Url::parse(address).expect("the address of a page");
        let base = match all("base[href]").first() {
            Some(base) => address.join(base.attr("href").unwrap_or_default()),
            None => Ok(address),
        };
        let terminal = selector(".terminal");
        let terminals = |scene: &ElementRef| scene.select(&terminal).map(Terminal::read).collect();
        // A recorded scene is as constant as prose.
        let scenes = all(".scene:not(.recorded .scene)");
        let mut page = Page {
            base: base.expect("a valid base"),
            links: links(&html),
            ids: all("[id]")
                .iter()
                .filter_map(|e| e.attr("id"))
                .map(String::from)
                .collect(),
            scenes: scenes.iter().map(terminals).collect(),
            prose: String::new(),
            code: all("pre > code")
                .iter()
                .map(|block| block.text().collect())
                .collect(),
        };
        let scenes: Vec<_> = scenes.iter().map(|scene| scene.id()).collect();
        for scene in scenes {
            html.tree.get_mut(scene).expect("the scene").detach();
        }
        let main = html.select(&selector("main")).next();
        page.prose = main.map(|main| main.inner_html()).unwrap_or_default();
        page
    }
}

fn links(html: &Html) -> Vec<String> {
    let reference = Regex::new(r"url\((#[^)]+)\)").expect("a valid pattern");
    let elements = html.tree.nodes().filter_map(ElementRef::wrap);
    let mut links = Vec::new();
    for (name, value) in elements.flat_map(|element| element.value().attrs()) {
        match name {
            "href" | "src" | "action" | "poster" => links.push(value.trim().to_owned()),
            "aria-labelledby" | "aria-describedby" | "aria-controls" | "for" => {
                links.extend(value.split_whitespace().map(|id| format!("#{id}")));
            }
            _ => links.extend(
                reference
                    .captures_iter(value)
                    .map(|link| link[1].to_owned()),
            ),
        }
    }
    links
}

impl Terminal {
    fn read(terminal: ElementRef) -> Terminal {
        let text = |what: &str| {
            let found = terminal.select(&selector(what)).next()?;
            Some(found.text().collect::<String>().trim_end().to_owned())
        };
        let mut lines = Vec::new();
        for samp in terminal.select(&selector("pre.output > samp")) {
            let mut follows_element = false;
            for part in samp.children() {
                let (is_error, text) = match (part.value(), ElementRef::wrap(part)) {
                    (_, Some(element)) => {
                        assert_eq!(element.attr("class"), Some("stderr"), "in {terminal:?}");
                        (true, element.text().collect::<String>())
                    }
                    (Node::Text(text), None) => (false, text.to_string()),
                    (other, None) => panic!("{other:?} in the output of a program"),
                };
                // The line break after an element ends the element's last line.
                let text = match text.strip_prefix('\n') {
                    Some(rest) if follows_element && !is_error => rest,
                    _ => &text,
                };
                follows_element = is_error;
                let text = text.strip_suffix('\n').unwrap_or(text);
                if !text.is_empty() || is_error {
                    lines.extend(text.split('\n').map(|line| (is_error, line.to_owned())));
                }
            }
        }
        Terminal {
            command: text("pre > code").expect("a terminal shows its command"),
            lines,
            end: text(".exit"),
        }
    }
}

fn selector(text: &str) -> Selector {
    Selector::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}
