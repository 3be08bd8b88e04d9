//! What a recording says about the machine that it was made on.

use std::fs;

use jiff::Timestamp;

/// The day, in universal time: `2026-11-22`.
pub fn date() -> String {
    Timestamp::now().strftime("%Y-%m-%d").to_string()
}

/// The kernel and its version, without what its builder has added to that: `Linux 6.18.44`.
pub fn kernel() -> String {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let version = release.split(['-', '+']).next().unwrap_or_default();
    format!("{} {version}", name.sysname().to_string_lossy())
}

/// The model of the processor, or its architecture where the system does not say.
pub fn cpu() -> String {
    let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = information
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == "model name");
    match model {
        Some((_, model)) => model.trim().replace("(R)", "").replace("(TM)", ""),
        None => rustix::system::uname()
            .machine()
            .to_string_lossy()
            .into_owned(),
    }
}

/// How many processors programs can use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
