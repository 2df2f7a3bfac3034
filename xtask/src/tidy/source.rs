//! The files of the repository, as the rules see them.

use anyhow::{Context, Result};

use crate::paths::Paths;
use crate::process;

/// How Tokio's test attribute puts a test on virtual time.
const PAUSED: &str = "start_paused = true";

/// Inputs of fuzz targets: bytes as they were found, whatever they look like.
const CORPUS: &str = "fuzz/corpus/";

/// One text file.
#[derive(Debug)]
pub(super) struct Source {
    /// Relative to the root, with forward slashes.
    pub(super) path: String,
    pub(super) text: String,
}

impl Source {
    /// Rust that people write; generated code answers to its generator.
    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs") && !self.is_generated()
    }

    /// Written by a tool: code, the lock file, recorded data.
    pub(super) fn is_generated(&self) -> bool {
        self.path.ends_with("/generated.rs") || self.path == "Cargo.lock" || self.path.contains("/fixtures/")
    }

    /// Whole files of tests; tests inside other files start at `#[cfg(test)]`, see [`Source::lines`].
    fn is_test_file(&self) -> bool {
        let inside =
            self.path.starts_with("tests/") || self.path.contains("/tests/") || self.path.ends_with("/tests.rs");
        // Programs that the system tests start are measured or tested, they test nothing.
        inside && !self.path.starts_with("tests/src/bin/")
    }

    /// The lines with their place.
    pub(super) fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let mut above = "";
        let mut in_tests = self.is_test_file();
        let clock_is_paused = self.text.contains(PAUSED);
        self.text.lines().enumerate().map(move |(index, text)| {
            in_tests |= text.trim_start() == "#[cfg(test)]";
            let excused = excuses(text) || (excuses(above) && above.trim_start().starts_with("//"));
            above = text;
            Line { path: &self.path, number: index + 1, text, in_tests, clock_is_paused, excused }
        })
    }
}

/// One line of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'source> {
    path: &'source str,
    number: usize,
    pub(super) text: &'source str,
    /// Part of the tests?
    pub(super) in_tests: bool,
    /// Do tests of this file run on virtual time?
    pub(super) clock_is_paused: bool,
    /// Does it, or the comment above it, say why it breaks a rule?
    pub(super) excused: bool,
}

impl Line<'_> {
    /// What a rule found here.
    pub(super) fn finding(&self, sentence: &str) -> String {
        format!("{}:{}: {sentence}", self.path, self.number)
    }

    /// The line without its comment; blank for a line of comment.
    pub(super) fn code(&self) -> &str {
        self.text.split_once("//").map_or(self.text, |(code, _)| code)
    }
}

fn excuses(line: &str) -> bool {
    line.split_once("// tidy:").is_some_and(|(_, reason)| !reason.trim().is_empty())
}

/// Every text file that git tracks or would add.
pub(super) fn read(paths: &Paths) -> Result<Vec<Source>> {
    let mut git = paths.command("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"]);
    let mut sources = Vec::new();
    for path in process::output(&mut git)?.split('\0').filter(|path| !path.is_empty()) {
        if path.starts_with(CORPUS) {
            continue;
        }
        let file = paths.root().join(path);
        // Deleted but not yet committed, or a link: nothing to read.
        if !file.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
            continue;
        }
        let bytes = std::fs::read(&file).with_context(|| format!("read {path}"))?;
        if let Ok(text) = String::from_utf8(bytes) {
            sources.push(Source { path: path.to_owned(), text });
        }
    }
    Ok(sources)
}
