//! What the compiler has to say about a reader's changes, from cargo's JSON messages
//! (<https://doc.rust-lang.org/rustc/json.html>).

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What it has to say about one place. Lines and columns count from 1, columns in characters; an end is behind the last one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// `src/bin/server.rs`
    pub file: String,
    #[serde(flatten)]
    pub place: Place,
    /// `error` or `warning`
    pub level: String,
    pub message: String,
    /// What helps to understand it, or to mend it: `help: consider borrowing here: …`.
    pub notes: Vec<String>,
    pub fixes: Vec<Fix>,
    /// All of it, as a terminal would show it.
    pub rendered: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub line: u32,
    pub column: u32,
    pub end_line: u32,
    pub end_column: u32,
}

/// What the compiler would write instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fix {
    pub message: String,
    pub edits: Vec<Edit>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    pub file: String,
    #[serde(flatten)]
    pub place: Place,
    pub text: String,
}

/// What cargo says, as far as it matters here.
#[derive(Deserialize)]
#[serde(tag = "reason")]
pub enum Message {
    #[serde(rename = "compiler-message")]
    Compiler { message: CompilerMessage },
    #[serde(rename = "compiler-artifact")]
    Artifact {
        target: Target,
        executable: Option<PathBuf>,
    },
    #[serde(rename = "build-finished")]
    Finished { success: bool },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
pub struct Target {
    pub name: String,
}

#[derive(Deserialize)]
pub struct CompilerMessage {
    message: String,
    level: String,
    spans: Vec<Span>,
    children: Vec<CompilerMessage>,
    rendered: Option<String>,
}

#[derive(Clone, Deserialize)]
struct Span {
    file_name: String,
    line_start: u32,
    line_end: u32,
    column_start: u32,
    column_end: u32,
    is_primary: bool,
    suggested_replacement: Option<String>,
    expansion: Option<Box<Expansion>>,
}

/// Where a macro is used.
#[derive(Clone, Deserialize)]
struct Expansion {
    span: Span,
}

impl CompilerMessage {
    /// None if it is about no place in one of `files`, as the summary at the end is.
    pub fn diagnostic(self, files: &[String]) -> Option<Diagnostic> {
        let primary = self.spans.iter().find(|span| span.is_primary)?;
        let span = primary.within(files)?;
        let fixes = self.children.iter().filter_map(|child| child.fix(files));
        Some(Diagnostic {
            file: span.file_name.clone(),
            place: span.place(),
            level: match self.level.as_str() {
                "warning" => "warning",
                _ => "error",
            }
            .into(),
            fixes: fixes.collect(),
            notes: self.children.iter().map(CompilerMessage::note).collect(),
            message: self.message,
            rendered: self.rendered.unwrap_or_default(),
        })
    }

    /// In one line, with what it would have written.
    fn note(&self) -> String {
        let texts = self
            .spans
            .iter()
            .filter_map(|span| span.suggested_replacement.as_deref());
        let texts: Vec<&str> = texts
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .collect();
        match texts[..] {
            [] => format!("{}: {}", self.level, self.message),
            _ => format!("{}: {}: {}", self.level, self.message, texts.join(" … ")),
        }
    }

    fn fix(&self, files: &[String]) -> Option<Fix> {
        let edits: Vec<Edit> = self
            .spans
            .iter()
            .filter_map(|span| {
                Some(Edit {
                    file: span.file_name.clone(),
                    place: span.place(),
                    text: span.suggested_replacement.clone()?,
                })
            })
            .collect();
        let is_known = edits.iter().all(|edit| files.contains(&edit.file));
        (is_known && !edits.is_empty()).then(|| Fix {
            message: self.message.clone(),
            edits,
        })
    }
}

impl Span {
    /// The place in one of `files`: where it is itself, or where the macro is used that it is in.
    fn within(&self, files: &[String]) -> Option<&Span> {
        match &self.expansion {
            _ if files.contains(&self.file_name) => Some(self),
            Some(expansion) => expansion.span.within(files),
            None => None,
        }
    }

    fn place(&self) -> Place {
        Place {
            line: self.line_start,
            column: self.column_start,
            end_line: self.line_end,
            end_column: self.column_end,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn span(file: &str, is_primary: bool) -> Value {
        json!({
            "file_name": file, "line_start": 3, "line_end": 3, "column_start": 5, "column_end": 9,
            "is_primary": is_primary, "suggested_replacement": null, "expansion": null,
        })
    }

    fn message(spans: Vec<Value>, children: Vec<Value>) -> Option<Diagnostic> {
        let message = json!({
            "message": "mismatched types", "level": "error", "spans": spans, "children": children,
            "rendered": "error: mismatched types",
        });
        let message: CompilerMessage = serde_json::from_value(message).unwrap();
        message.diagnostic(&["src/main.rs".into()])
    }

    #[test]
    fn a_diagnostic_stands_at_its_primary_place() {
        let spans = vec![span("src/other.rs", false), span("src/main.rs", true)];
        let found = message(spans, vec![]).unwrap();
        assert_eq!(
            (
                found.file.as_str(),
                found.place.line,
                found.place.end_column
            ),
            ("src/main.rs", 3, 9)
        );
    }

    #[test]
    fn what_is_in_a_macro_stands_where_that_is_used() {
        let mut inner = span("/rustc/std/macros.rs", true);
        inner["expansion"] = json!({ "span": span("src/main.rs", false) });
        assert_eq!(message(vec![inner], vec![]).unwrap().file, "src/main.rs");
    }

    #[test]
    fn what_is_about_no_file_of_the_listing_has_no_place() {
        assert_eq!(message(vec![], vec![]), None);
        assert_eq!(
            message(vec![span("/rustc/std/macros.rs", true)], vec![]),
            None
        );
    }

    #[test]
    fn a_suggestion_is_told_and_can_be_applied() {
        let mut edit = span("src/main.rs", true);
        edit["suggested_replacement"] = json!("&name");
        let help = json!({ "message": "consider borrowing here", "level": "help", "spans": [edit], "children": [], "rendered": null });
        let found = message(vec![span("src/main.rs", true)], vec![help]).unwrap();
        assert_eq!(found.notes, ["help: consider borrowing here: &name"]);
        let fix = &found.fixes[0];
        assert_eq!(
            (fix.edits[0].text.as_str(), fix.edits[0].place.column),
            ("&name", 5)
        );
    }
}
