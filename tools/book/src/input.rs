//! What a reader of the served book may change in a scene: the author names it, and says what it must be.

use std::net::SocketAddr;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};

/// How many characters a text may have.
const TEXT: usize = 200;
/// The largest number: of clients, say.
const NUMBER: u32 = 1000;

/// `NAME:KIND=VALUE`: where a program's arguments have `{NAME}`, the programs get VALUE, or what the reader wants instead. An address is
/// that of the scene's server: it is named nowhere, and all programs get it if it is not the documented one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    pub name: String,
    pub kind: Kind,
    pub value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A few words.
    Text,
    /// From 1 to 1,000.
    Number,
    /// An address of this machine, with its port.
    Address,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Number => "number",
            Kind::Address => "address",
        }
    }

    /// Fails unless `value` is of this kind, whatever the browser has let through.
    fn check(self, value: &str) -> Result<()> {
        match self {
            Kind::Text => {
                let length = value.chars().count();
                ensure!(
                    (1..=TEXT).contains(&length),
                    "it must have 1 to {TEXT} characters"
                );
                ensure!(
                    !value.chars().any(char::is_control),
                    "it must have no control characters"
                );
                ensure!(!value.starts_with('-'), "it must not look like an option");
            }
            Kind::Number => {
                let number = value.parse::<u32>().ok();
                let is_plain = value.bytes().all(|byte| byte.is_ascii_digit());
                ensure!(
                    is_plain && number.is_some_and(|number| (1..=NUMBER).contains(&number)),
                    "it must be a number from 1 to {NUMBER}"
                );
            }
            Kind::Address => {
                let address: SocketAddr = value.parse().ok().context(
                    "it must be an IP address and a port up to 65535, such as 127.0.0.1:8001, and no name",
                )?;
                ensure!(
                    address.port() != 0,
                    "its port must not be 0: the clients would not know which one the server got"
                );
                ensure!(
                    address.ip().is_loopback(),
                    "it must be an address of this machine: 127.0.0.1 or [::1]"
                );
            }
        }
        Ok(())
    }
}

impl Input {
    /// The same with another value.
    pub fn with(&self, value: &str) -> Result<Input> {
        self.kind
            .check(value)
            .with_context(|| format!("{:?} cannot be {value:?}", self.name))?;
        Ok(Input {
            value: value.into(),
            ..self.clone()
        })
    }

    /// If that is its kind.
    pub fn address(&self) -> Option<SocketAddr> {
        let is_address = self.kind == Kind::Address;
        is_address.then(|| self.value.parse().ok()).flatten()
    }

    /// As the author wrote it.
    pub fn definition(&self) -> String {
        format!("{}:{}={}", self.name, self.kind.name(), self.value)
    }
}

impl FromStr for Input {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Input> {
        let (name, rest) = text.split_once(':').context("it is NAME:KIND=VALUE")?;
        let (kind, value) = rest.split_once('=').context("it is NAME:KIND=VALUE")?;
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase());
        ensure!(is_name, "a name has small letters only");
        let kinds = [Kind::Text, Kind::Number, Kind::Address];
        let Some(kind) = kinds.into_iter().find(|known| known.name() == kind) else {
            bail!("a kind is text, number or address");
        };
        Input {
            name: name.into(),
            kind,
            value: String::new(),
        }
        .with(value)
    }
}

/// Fails if an input has no place in `programs`, as their author wrote them.
pub fn check(inputs: &[Input], programs: &[String], documented: Option<SocketAddr>) -> Result<()> {
    for input in inputs {
        let name = &input.name;
        let place = format!("{{{name}}}");
        let is_named = programs.iter().any(|program| program.contains(&place));
        if input.kind == Kind::Address {
            ensure!(
                input.address() == documented && !is_named,
                "the address {name:?} must be the documented one, and stand in no program"
            );
        } else {
            ensure!(is_named, "no program has {place}");
        }
    }
    Ok(())
}

/// `word` with the values of all inputs that it names.
pub fn fill(word: &str, inputs: &[Input]) -> String {
    fill_with(word, inputs, |value| value.into())
}

/// `program`, a line for a shell, with the values of all inputs that it names.
pub fn fill_line(program: &str, inputs: &[Input]) -> String {
    fill_with(program, inputs, |value| {
        shlex::try_quote(value).map_or_else(|_| value.into(), Into::into)
    })
}

fn fill_with(word: &str, inputs: &[Input], written: impl Fn(&str) -> String) -> String {
    let mut filled = String::new();
    let mut rest = word;
    while let Some(start) = rest.find('{') {
        let (before, from) = rest.split_at(start);
        filled.push_str(before);
        let named = inputs.iter().find_map(|input| {
            let after = from[1..]
                .strip_prefix(input.name.as_str())?
                .strip_prefix('}')?;
            Some((input, after))
        });
        rest = match named {
            // What has been filled in is not looked at again: it may have braces.
            Some((input, after)) => {
                filled.push_str(&written(&input.value));
                after
            }
            None => {
                filled.push('{');
                &from[1..]
            }
        };
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_takes_what_its_author_allowed_and_nothing_else() {
        let accepts = |definition: &str, value: &str| {
            definition.parse::<Input>().unwrap().with(value).is_ok()
        };
        for (value, is_right) in [
            ("hello you", true),
            ("{message}", true),
            ("", false),
            ("-h", false),
            ("a\nb", false),
            ("a\0", false),
        ] {
            assert_eq!(accepts("message:text=hello", value), is_right, "{value:?}");
        }
        assert!(!accepts("message:text=hello", &"x".repeat(TEXT + 1)));
        for (value, is_right) in [
            ("1", true),
            ("1000", true),
            ("0", false),
            ("1001", false),
            ("+5", false),
            ("5 ", false),
            ("", false),
        ] {
            assert_eq!(accepts("clients:number=50", value), is_right, "{value:?}");
        }
        for (value, is_right) in [
            ("127.0.0.1:9", true),
            ("[::1]:9", true),
            ("192.0.2.1:9", false),
            ("0.0.0.0:9", false),
            ("127.0.0.1:0", false),
            ("localhost:9", false),
        ] {
            assert_eq!(
                accepts("server:address=127.0.0.1:8001", value),
                is_right,
                "{value:?}"
            );
        }
    }

    #[test]
    fn a_definition_says_name_kind_and_value() {
        for wrong in [
            "message",
            "message=x",
            "message:text",
            "Message:text=x",
            ":text=x",
            "message:word=x",
            "clients:number=many",
        ] {
            assert!(wrong.parse::<Input>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_input_without_a_place_is_a_mistake() {
        let documented = "127.0.0.1:8001".parse().ok();
        let is_right = |input: &str, program: &str| {
            check(&[input.parse().unwrap()], &[program.into()], documented).is_ok()
        };
        assert!(is_right("message:text=hello", "client {message}"));
        assert!(!is_right("message:text=hello", "client hello"));
        assert!(is_right("server:address=127.0.0.1:8001", "client"));
        assert!(!is_right("server:address=127.0.0.1:8002", "client"));
        assert!(!is_right(
            "server:address=127.0.0.1:8001",
            "client {server}"
        ));
    }

    #[test]
    fn a_line_for_a_shell_has_values_in_quotes() {
        let inputs = ["message:text=hello $(you)".parse::<Input>().unwrap()];
        assert_eq!(
            fill_line("client {message}", &inputs),
            "client 'hello $(you)'"
        );
    }

    #[test]
    fn a_value_is_one_word_and_is_not_read_again() {
        let inputs = [
            "message:text={n} $(x)".parse::<Input>().unwrap(),
            "n:number=2".parse().unwrap(),
        ];
        assert_eq!(fill("{message}/{n}{x}{", &inputs), "{n} $(x)/2{x}{");
    }
}
