//! Which spec rules have a test named after them, such as `w8_a_running_pair_is_accepted_again`.

use std::collections::{BTreeMap, BTreeSet};

use super::source::Source;

/// One line: for each letter of the spec, how many rules and tests.
pub(super) fn summary(sources: &[Source]) -> String {
    let mut letters: BTreeMap<char, (BTreeSet<u32>, usize)> = BTreeMap::new();
    for (letter, number) in sources.iter().filter(|source| source.is_rust()).flat_map(rules) {
        let entry = letters.entry(letter).or_default();
        entry.0.insert(number);
        entry.1 += 1;
    }
    let total: usize = letters.values().map(|(_, tests)| tests).sum();
    let each: Vec<_> =
        letters.iter().map(|(letter, (rules, tests))| format!("{letter} {} rules by {tests}", rules.len())).collect();
    format!(
        "tidy: {total} tests are named after spec rules ({})",
        if each.is_empty() { "none".to_owned() } else { each.join(", ") }
    )
}

/// The rules that the tests of one file are named after.
pub(super) fn rules(source: &Source) -> Vec<(char, u32)> {
    source.lines().filter(|line| line.in_tests).filter_map(|line| rule_of(line.text)).collect()
}

/// `async fn w8_…` or `fn w8a_…` is about rule 8 of letter w.
fn rule_of(line: &str) -> Option<(char, u32)> {
    let line = line.trim_start();
    let name = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")?;
    let (id, _) = name.split_once('_')?;
    let mut characters = id.chars();
    let letter = characters.next().filter(char::is_ascii_lowercase)?;
    let digits = characters.as_str().trim_end_matches(|character: char| character.is_ascii_lowercase());
    Some((letter, digits.parse().ok()?))
}
