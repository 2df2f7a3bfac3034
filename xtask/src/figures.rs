//! Measured figures: the lines that bench programs print, and the table people read.

use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::paths::Paths;
use crate::process;

/// What every table begins with.
const HEAD: &str = "| bench | metric | ours | reference | ratio | bar | |\n|---|---|---:|---:|---:|---|---|\n";

/// One measured value beside its reference. A bench program prints each as one line of JSON.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Figure {
    /// What ran, such as `stream-64-in-flight`.
    pub(crate) bench: String,
    /// What was measured, such as `jobs/s` or `p50`.
    pub(crate) metric: String,
    /// Of `ours` and `reference`.
    pub(crate) unit: String,
    pub(crate) ours: f64,
    /// The other side in the same run, when there is one.
    #[serde(default)]
    pub(crate) reference: Option<f64>,
    #[serde(default)]
    pub(crate) reference_name: Option<String>,
    /// How the two compare, the way `bar` counts.
    #[serde(default)]
    pub(crate) ratio: Option<f64>,
    /// What we want, in words, such as `>= 0.25x`.
    #[serde(default)]
    pub(crate) bar: Option<String>,
    #[serde(default)]
    pub(crate) met: Option<bool>,
}

/// The figures among the lines that program `from` printed. Blank lines are skipped, anything else fails.
pub(crate) fn parse(from: &str, output: &str) -> Result<Vec<Figure>> {
    let lines = output.lines().filter(|line| !line.trim().is_empty());
    let figures: Vec<Figure> = lines
        .map(|line| {
            serde_json::from_str(line).with_context(|| format!("{from} printed something that is no figure: {line}"))
        })
        .collect::<Result<_>>()?;
    ensure!(!figures.is_empty(), "{from} printed no figure");
    Ok(figures)
}

/// The figures as a Markdown table.
pub(crate) fn table(figures: &[Figure]) -> String {
    let mut text = String::from(HEAD);
    for figure in figures {
        let reference = match (figure.reference, &figure.reference_name) {
            (Some(value), Some(name)) => format!("{} ({name})", number(value)),
            (Some(value), None) => number(value),
            (None, _) => String::new(),
        };
        let ratio = figure.ratio.map(|ratio| format!("{}x", number(ratio))).unwrap_or_default();
        let met = match figure.met {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| {} | {}, {} | {} | {reference} | {ratio} | {} | {met} |",
            figure.bench,
            figure.metric,
            figure.unit,
            number(figure.ours),
            figure.bar.as_deref().unwrap_or_default(),
        );
    }
    text
}

/// The table `old` with the rows of `new` in place of those of the same benches. Both end with where they come from, which has to be
/// the same.
pub(crate) fn merged(old: &str, new: &str) -> Result<String> {
    let ((kept, old_origin), (rows, origin)) = (parts(old), parts(new));
    ensure!(origin == old_origin, "the other figures are of another machine or day ({old_origin}): measure all");
    let is_measured = |row: &&str| rows.iter().any(|new| bench_of(new) == bench_of(row));
    let place = kept.iter().position(is_measured).unwrap_or(kept.len());
    let (before, after) = kept.split_at(place);
    let after = after.iter().copied().filter(|row| !is_measured(row));
    let rows = before.iter().copied().chain(rows.iter().copied()).chain(after);
    Ok(format!("{HEAD}{}\n\n{origin}\n", rows.collect::<Vec<_>>().join("\n")))
}

/// The rows of a table, and where they come from.
fn parts(table: &str) -> (Vec<&str>, &str) {
    let rows = table.lines().filter(|line| line.starts_with('|')).skip(HEAD.lines().count()).collect();
    (rows, table.trim().lines().last().unwrap_or_default())
}

fn bench_of(row: &str) -> Option<&str> {
    row.split('|').nth(1).map(str::trim)
}

/// How many bars there are, and how many of them are met.
pub(crate) fn bars(figures: &[Figure]) -> (usize, usize) {
    let judged = figures.iter().filter_map(|figure| figure.met);
    judged.fold((0, 0), |(bars, met), is_met| (bars + 1, met + usize::from(is_met)))
}

/// The machine and the day, for under a table.
pub(crate) fn origin(paths: &Paths) -> Result<String> {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let date = process::output(paths.command("date").args(["-u", "+%Y-%m-%d"]))?;
    let rustc = process::output(paths.command("rustc").arg("--version"))?;
    let rustc = rustc.split_whitespace().nth(1).unwrap_or_default();
    Ok(format!("{}, {cores} cores, rustc {rustc}, {}", model.unwrap_or("unknown CPU").trim(), date.trim()))
}

/// Three significant digits, and thousands apart.
fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 1000.0 {
        let mut digits = format!("{value:.0}");
        let mut at = digits.len();
        while at > 3 + usize::from(value < 0.0) {
            at -= 3;
            digits.insert(at, ',');
        }
        return digits;
    }
    let decimals = if size >= 100.0 || value == 0.0 {
        0
    } else if size >= 10.0 {
        1
    } else if size >= 1.0 {
        2
    } else {
        3
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests;
