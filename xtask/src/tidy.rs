//! `cargo xtask tidy`: the house rules that a program can check.
//!
//! A rule is a function of one file, or of all of them, that returns what it found as `path:line: sentence`. A line that has to
//! break a rule says so itself, or the line above does: `// tidy: reason`. Lint levels and formatting are Clippy's and rustfmt's.

mod code;
mod manifests;
mod names;
mod size;
mod source;
mod spec_rules;
mod text;

use anyhow::{Result, bail};

use crate::paths::Paths;
use crate::process::say;
use source::Source;

/// Checks every file that is tracked or would be, and prints the ten largest and the spec rules that tests are named after.
pub(crate) fn run(paths: &Paths) -> Result<()> {
    let sources = source::read(paths)?;
    let found = findings(&sources);
    for line in size::largest(&sources) {
        say(&line);
    }
    say(&spec_rules::summary(&sources));
    if !found.is_empty() {
        bail!("{} breaches of the house rules:\n  {}", found.len(), found.join("\n  "));
    }
    say(&format!("tidy: {} files keep the house rules", sources.len()));
    Ok(())
}

fn findings(sources: &[Source]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for source in sources {
        found.extend(names::check(source));
        found.extend(text::check(source));
        found.extend(code::check(source));
        found.extend(manifests::check(source));
    }
    found
}

#[cfg(test)]
mod tests;
