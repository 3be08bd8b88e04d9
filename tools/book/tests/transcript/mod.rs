//! Scenes as text, in which everything that differs from one run or one machine to the next is replaced by a name for it.

use std::sync::LazyLock;

use regex::Regex;

use crate::repository;
use crate::site::Terminal;

/// What is replaced, in this order. What takes the place of `rest` is what stood there. Each pattern says exactly what may stand
/// there: an answer that no machine should give stays on the page and fails the comparison.
static REDACTIONS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let no_family = "EAFNOSUPPORT: Address family not supported by protocol";
    [
        // The kernel chooses ports from the upper half of the numbers; all documented ports are below.
        (r"(?<rest>127\.0\.0\.1:|\[::1\]:)[1-6]\d{4}\b", "[PORT]"),
        // daytime, in the form of RFC 867's first example.
        (
            r"\b[SMTWF][a-z]+day, [A-Z][a-z]+ \d{1,2}, \d{4} \d\d:\d\d:\d\d-UTC",
            "[TIME]",
        ),
        // The first byte of that.
        (r#"(?<rest>^  ")[SMTWF]"$"#, "[DAY]\""),
        // The same in seconds.
        (r"(?<rest>^  Unix time )\d{10}$", "[TIME]"),
        // HTTP, in the form of RFC 9110, section 5.6.7.
        (
            r"\b[SMTWF][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT",
            "[TIME]",
        ),
        // Certificates: in the form of RFC 3339, and in seconds since 1970, compared with now.
        (
            r"(?<rest>^    valid (?:from |until) )\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$",
            "[TIME]",
        ),
        (r"(?<rest>: verification time )\d{10}\b", "[TIME]"),
        (
            r"(?<rest> is not valid (?:after|before) )\d{10} \((?:360\d seconds ago|(?:86400|8639\d) seconds in future)\)$",
            "[TIME] ([DURATION])",
        ),
        (r"(?<rest>\bafter )\d+ (?:ms|µs)(?<after>,|$)", "[DURATION]"),
        (r"(?<rest>^  time for each client: )\d+ µs$", "[DURATION]"),
        // What clients cost: a task less than 2 KiB.
        (r"(?<rest>^  \d+ threads?, )\d{4,6} KiB$", "[SIZE]"),
        (r"(?<rest>^  )1?\d{3} bytes(?<after> for each)$", "[SIZE]"),
        (r"(?<rest>^  memory for each client: )\d{2,6} bytes$", "[SIZE]"),
        // How fast this machine is; but two digits are not three, and none is none.
        (r"(?<rest>^  )[1-9]\d answers, [1-9]\d/s$", "[TENS OF] answers"),
        // A busy one may not send the last of them before the end.
        (
            r"(?<rest>^  )[1-9]\d{2,} answers, [1-9]\d{2,}/s(?:\n  [1-9]\d? could not even be sent in time)?$",
            "[MANY] answers",
        ),
        (
            r"(?<rest>^ {5,8}(?:50|75|90|99|99\.9|100))(?: +\d+\.\d\d)+$",
            " [TIMES]",
        ),
        // How much buffers hold is for the kernel to say.
        (r"(?<rest>^  sent )\d{5,} bytes(?<after>, read none)", "[SIZE]"),
        (r"(?<rest>^  received )\d+$", "[COUNT]"),
        // `localhost` is one address, or the other, or both, in either order.
        (
            r"(?<rest>--bin resolve\n  localhost )(?:127\.0\.0\.1|::1)(?:\n  localhost (?:127\.0\.0\.1|::1))*$",
            "[LOOPBACK]",
        ),
        // Which families there are, and for whom: IPv6 can be switched off, and packets are for root.
        (
            &format!(r"(?<rest>^  AF_(?:INET6|IPX|BLUETOOTH) .*  )(?:ok|{no_family}|EPROTONOSUPPORT: .*)$"),
            "[ANSWER]",
        ),
        (
            &format!(r"(?<rest>^  AF_PACKET .*  )(?:ok|EPERM: Operation not permitted|{no_family})$"),
            "[ANSWER]",
        ),
        (
            &format!(r"(?<rest>^  bind AF_INET6 .*  )(?:ok|EADDRNOTAVAIL: .*|{no_family})$"),
            "[ANSWER]",
        ),
    ]
    .map(|(pattern, name)| {
        let pattern = Regex::new(&format!("(?m){pattern}")).expect("a valid pattern");
        (pattern, name)
    })
    .into()
});

/// `text` without what varies.
pub fn redact(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, name) in REDACTIONS.iter() {
        let with = format!("${{rest}}{name}${{after}}");
        text = pattern.replace_all(&text, with).into_owned();
    }
    text
}

/// A scene as text: each command after a `$`, beneath it what it printed, then what it printed on stderr after a `!`, and how it ended.
pub fn scene(terminals: &[Terminal]) -> String {
    let mut text = String::new();
    for terminal in terminals {
        text.push_str(&format!("$ {}\n", terminal.command));
        // Two streams are two pipes: which of them is read first is chance.
        for stream in [false, true] {
            let lines = terminal
                .lines
                .iter()
                .filter(|(is_error, _)| *is_error == stream);
            for (_, line) in lines {
                let mark = if stream { '!' } else { ' ' };
                text.push_str(format!("{mark} {line}").trim_end());
                text.push('\n');
            }
        }
        if let Some(end) = &terminal.end {
            text.push_str(&format!("({end})\n"));
        }
    }
    redact(&at_documented_address(&text))
}

/// If somebody else had the address of the listing, the scene went elsewhere and says so. Here it never does.
fn at_documented_address(scene: &str) -> String {
    let package = Regex::new(r"\$ cargo run -q -p (\S+)").expect("a valid pattern");
    let listing = &package.captures(scene).expect("a command of a listing")[1];
    let manifest = repository::manifest(listing);
    let address = manifest["package"]
        .get("metadata")
        .and_then(|metadata| metadata.get("book")?.get("address")?.as_str());
    let Some(documented) = address else {
        return scene.into();
    };
    let (_, port) = documented.rsplit_once(':').expect("an address has a port");
    let pattern = |text: &str| Regex::new(text).expect("a valid pattern");
    // A server on `localhost` is at whichever address stands first for that name.
    let loopback = pattern(r"(?m)^([ !] (?:listening on )?)\[::1\]:");
    let scene = match listing {
        "https" => &loopback.replace_all(scene, "${1}127.0.0.1:"),
        _ => scene,
    };
    let anywhere = pattern(r"(?m)(^\$ .* -- )127\.0\.0\.1:0\b");
    let mut scene = anywhere
        .replace_all(scene, format!("${{1}}{documented}"))
        .into_owned();
    // A program that is alone listens where it likes: nobody has to find it.
    let moved = match scene.matches("$ cargo run ").count() {
        1 => pattern(r"(?m)^\$ .* -- 127\.0\.0\.1:([1-6]\d{4})\b"),
        _ => pattern(r"(?m)(?:^  listening on |^\$ .* -- )127\.0\.0\.1:([1-6]\d{4})\b"),
    };
    if let Some(moved) = moved.captures(&scene) {
        let moved = format!(":{}", &moved[1]);
        scene = scene.replace(&moved, &format!(":{port}"));
    }
    // An address that is the documented one need not be said.
    scene
        .replace(&format!(" -- {documented}\n"), "\n")
        .replace(&format!(" -- {documented} "), " -- ")
}
