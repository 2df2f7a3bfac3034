//! The largest files: not a rule, but where a second idea has probably moved in.

use super::source::Source;

/// As many as fit on a screen with the rest of the report.
const SHOWN: usize = 10;

/// One line for each of the largest files, in lines of code without tests, comments and blanks.
pub(super) fn largest(sources: &[Source]) -> Vec<String> {
    let mut sizes: Vec<(usize, &str)> = sources
        .iter()
        .filter(|source| source.is_rust())
        .map(|source| {
            (source.lines().filter(|line| !line.in_tests && !line.code().trim().is_empty()).count(), &*source.path)
        })
        .collect();
    sizes.sort_by_key(|(size, path)| (std::cmp::Reverse(*size), *path));
    sizes.iter().take(SHOWN).map(|(size, path)| format!("tidy: {size:>5} lines of code in {path}")).collect()
}
