//! `cargo xtask bench`: our figures beside the peer's and the floor's, in one run.
//!
//! A bench is a program `tests/src/bin/bench_<name>.rs`. It prints figures as lines of JSON on standard output, finds the programs it
//! measures beside itself, and says what it does on standard error. Figures are never judged by tests: machines differ.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::paths::Paths;
use crate::process::{self, say};
use crate::setup::{self, Need};
use crate::{
    figures::{self, Figure},
    section, test,
};

/// Where the programs are, and what their names start with.
const SOURCES: &str = "tests/src/bin";
const PREFIX: &str = "bench_";

/// The program that loads a worker for a long time.
const SOAK: &str = "soak";

/// Runs every bench whose name contains `filter`, and prints one table. With `update_readme` it goes into the README too; what the
/// README says of other benches stays, if it was measured on the same machine and day.
pub(crate) fn run(paths: &Paths, filter: Option<&str>, update_readme: bool) -> Result<()> {
    let names: Vec<String> =
        names(paths)?.into_iter().filter(|name| filter.is_none_or(|part| name.contains(part))).collect();
    if names.is_empty() {
        bail!("no bench matches; a bench is a file {SOURCES}/{PREFIX}<name>.rs");
    }
    let built = build(paths)?;
    let mut all = Vec::new();
    for name in &names {
        all.extend(measure(paths, &built, name, None)?);
    }
    let table = show(paths, &all)?;
    if !update_readme {
        return Ok(());
    }
    let readme = paths.readme();
    let table = match filter {
        Some(_) => {
            let text = std::fs::read_to_string(&readme).with_context(|| format!("read {}", readme.display()))?;
            let old = section::read(&text, "bench").context("the README has no section `bench`")?;
            figures::merged(old, &table)?
        }
        None => table,
    };
    section::replace(&readme, "bench", &table)
}

/// Loads a worker for so many minutes, and prints what it keeps of that.
pub(crate) fn soak(paths: &Paths, minutes: f64) -> Result<()> {
    let built = build(paths)?;
    show(paths, &measure(paths, &built, SOAK, Some(minutes.to_string()))?).map(drop)
}

/// A length of a soak.
pub(crate) fn minutes(text: &str) -> Result<f64, String> {
    let minutes = text.parse().ok().filter(|minutes: &f64| minutes.is_finite() && *minutes > 0.0);
    minutes.ok_or_else(|| "expected a number of minutes above 0".to_owned())
}

/// Builds the benches and what they measure; gives where they are.
fn build(paths: &Paths) -> Result<PathBuf> {
    setup::run(paths, Need::Test)?;
    process::run(paths.cargo().args(["build", "--release", "--package", "gen-worker-tests", "--bins"]))?;
    // After the benches: each by itself, with its own features only, as users build them.
    test::build_binaries(paths, "release")?;
    paths.built("release")
}

fn measure(paths: &Paths, built: &Path, name: &str, argument: Option<String>) -> Result<Vec<Figure>> {
    say(&format!("bench: {name}"));
    let mut program = paths.command(built.join(name));
    figures::parse(name, &process::output_with_log(program.args(argument))?)
}

/// Prints the table, and gives it.
fn show(paths: &Paths, all: &[Figure]) -> Result<String> {
    let table = format!("{}\n{}\n", figures::table(all), figures::origin(paths)?);
    print!("{table}");
    let (bars, met) = figures::bars(all);
    say(&format!("bench: {met} of {bars} bars met"));
    Ok(table)
}

fn names(paths: &Paths) -> Result<Vec<String>> {
    let dir = paths.root().join(SOURCES);
    let files: Vec<PathBuf> = match std::fs::read_dir(&dir) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).with_context(|| format!("list {}", dir.display())),
    };
    let stems = files.iter().filter_map(|file| file.file_stem()?.to_str());
    let mut names: Vec<String> = stems.filter(|stem| stem.starts_with(PREFIX)).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    Ok(names)
}
