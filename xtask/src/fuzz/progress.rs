//! What libFuzzer says about itself, line by line.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use super::seconds;

/// Lines that are kept for a report: a panic with its backtrace fits.
const TAIL_LINES: usize = 60;

/// What is known of a run.
#[derive(Debug, Default)]
pub(super) struct Progress {
    executions: Option<u64>,
    edges: Option<u64>,
    inputs: Option<u64>,
    tail: VecDeque<String>,
}

impl Progress {
    /// Takes in a line such as `#4194304 pulse  cov: 512 ft: 2048 corp: 300/12Kb lim: 2048 exec/s: 139810 rss: 60Mb`.
    pub(super) fn read(&mut self, line: &str) {
        let after = |name: &str| {
            let (_, rest) = line.split_once(name)?;
            let digits = rest.trim_start().split(|c: char| !c.is_ascii_digit()).next()?;
            digits.parse().ok()
        };
        self.edges = after(" cov:").or(self.edges);
        self.inputs = after(" corp:").or(self.inputs);
        let counted = line.strip_prefix('#').and(after("#"));
        self.executions = after("stat::number_of_executed_units:").or(counted).or(self.executions);
        if self.tail.len() == TAIL_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(line.to_owned());
    }

    /// One line about the whole run.
    pub(super) fn summary(&self, name: &str, time: Duration) -> String {
        let number = |number: Option<u64>| number.map_or_else(|| "?".to_owned(), |number| number.to_string());
        format!(
            "fuzz: {name}: {} executions in {}, {} edges covered by {} inputs",
            number(self.executions),
            seconds(time),
            number(self.edges),
            number(self.inputs)
        )
    }

    /// What was said last.
    pub(super) fn tail(&self) -> String {
        self.tail.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}
