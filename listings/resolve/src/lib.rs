//! What the programs of this listing share: their arguments, hosts.

use std::env;
use std::process;

/// The host that is looked up, unless the programs are told otherwise.
pub const HOST: &str = "localhost";

/// The hosts in the arguments, or [`HOST`].
///
/// Anything else ends the program with one line on stderr and exit code 2.
pub fn hosts() -> Vec<String> {
    let arguments: Vec<String> = env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    if let Some(wrong) = arguments.iter().find(|argument| !is_host(argument)) {
        eprintln!("expected hosts or nothing, got: {wrong:?}");
        process::exit(2);
    }
    if arguments.is_empty() {
        return vec![HOST.into()];
    }
    arguments
}

/// Whether `text` can be a host. Whether it is one, only the resolver can say.
fn is_host(text: &str) -> bool {
    !text.is_empty() && !text.starts_with('-') && !text.contains(char::is_control)
}
