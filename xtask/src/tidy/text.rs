//! Rules about every text file: it says nothing about the machine it was written on.

use super::source::{Line, Source};

/// Directories where checkouts lie on machines of ours; examples of other people's (`/home/…`) are fine. Joined here so that this file does not contain them.
const MACHINE: [&str; 3] = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/tmp/ba", "sh_jobs")];

/// Package sources other than the public ones.
const REGISTRIES: [&str; 4] =
    [concat!("index", "-url"), concat!("find", "-links"), concat!("artif", "actory"), concat!(".inter", "nal/")];

/// What breaks them in `source`.
pub(super) fn check(source: &Source) -> Vec<String> {
    if source.is_generated() || source.path.starts_with("LICENSE") {
        return Vec::new();
    }
    let mut found: Vec<String> =
        source.lines().filter(|line| !line.excused).filter_map(|line| Some(line.finding(breach(&line)?))).collect();
    if !source.text.is_empty() && !source.text.ends_with('\n') {
        found.push(format!("{}: the last line has no end", source.path));
    }
    found
}

fn breach(line: &Line<'_>) -> Option<&'static str> {
    if line.text.ends_with(' ') || line.text.ends_with('\t') || line.text.ends_with('\r') {
        return Some("white space at the end of the line");
    }
    if MACHINE.iter().any(|needle| line.text.match_indices(needle).any(|(at, _)| starts_path(line.text, at))) {
        return Some("a path of somebody's machine");
    }
    if REGISTRIES.iter().any(|needle| line.text.contains(needle)) {
        return Some("a package source that only somebody's machine can reach");
    }
    None
}

/// A path starts here, rather than going on: `a/root/b` and `https://host/root/` are none of ours.
fn starts_path(line: &str, at: usize) -> bool {
    let before = line.get(..at).and_then(|text| text.chars().next_back());
    before.is_none_or(|before| !(before.is_alphanumeric() || "-_./}>*".contains(before)))
}
