//! `cargo xtask fuzz`: builds the fuzzers of `fuzz/` and lets them look for input that breaks something.
//!
//! They run on the stable toolchain: coverage comes from the compiler's own pass, without a sanitizer. Inputs that reached new code
//! are kept in `target/fuzz/corpus`, on top of those that are checked in under `fuzz/corpus`; an input that breaks something is
//! written to `fuzz/crashes`.

mod progress;

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::paths::Paths;
use crate::process::{self, say};
use progress::Progress;

/// What `cargo fuzz --sanitizer none` passes: edges are counted, and comparisons tell the fuzzer what to try.
const FLAGS: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Between the flags, as Cargo wants them.
const SEPARATOR: &str = "\u{1f}";

/// Longest input in bytes: long enough for two-byte lengths, short enough for tens of thousands of runs a second.
const INPUT_BYTES_MAX: u32 = 2048;

/// Memory that a run may take, in MB: an input of 2 KB that makes something allocate this much is a finding.
const MEMORY_MB_MAX: u32 = 1024;

/// A run that takes longer, in seconds, is a finding.
const RUN_SECONDS_MAX: u32 = 10;

/// How long each target is fuzzed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Budget {
    Seconds(u32),
    Runs(u32),
}

/// Fuzzes `target`, or one target after the other. Stops at the first that finds something.
pub(crate) fn run(paths: &Paths, target: Option<&str>, budget: Budget) -> Result<()> {
    let all = targets(paths)?;
    let chosen: Vec<&String> = all.iter().filter(|name| target.is_none_or(|target| target == *name)).collect();
    if chosen.is_empty() {
        bail!("there is no fuzz target `{}`, only {}", target.unwrap_or_default(), all.join(", "));
    }
    let programs = build(paths)?;
    for name in chosen {
        fuzz(paths, &programs.join(name), name, budget)?;
    }
    Ok(())
}

/// The programs of `fuzz/`, by name.
fn targets(paths: &Paths) -> Result<Vec<String>> {
    let directory = paths.root().join("fuzz/src/bin");
    let entries = std::fs::read_dir(&directory).with_context(|| format!("list {}", directory.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry.context("list the fuzz targets")?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// Builds every fuzzer and says where they are. A target triple keeps the flags off build scripts and macros.
fn build(paths: &Paths) -> Result<PathBuf> {
    let host = host(paths)?;
    let output = paths.target().join("fuzz");
    let mut cargo = paths.cargo();
    cargo.args(["build", "--release", "--locked", "--manifest-path", "fuzz/Cargo.toml", "--target", &host]);
    cargo.arg("--target-dir").arg(&output).env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join(SEPARATOR));
    process::run(&mut cargo)?;
    Ok(output.join(host).join("release"))
}

fn host(paths: &Paths) -> Result<String> {
    let version = process::output(paths.command("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    Ok(host.to_owned())
}

fn fuzz(paths: &Paths, program: &PathBuf, name: &str, budget: Budget) -> Result<()> {
    let found = paths.target().join("fuzz/corpus").join(name);
    let crashes = paths.root().join("fuzz/crashes");
    for directory in [&found, &crashes] {
        std::fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))?;
    }
    let mut command = paths.command(program);
    command.arg(match budget {
        Budget::Seconds(seconds) => format!("-max_total_time={seconds}"),
        Budget::Runs(runs) => format!("-runs={runs}"),
    });
    command
        .arg(format!("-artifact_prefix={}/{name}-", crashes.display()))
        .args([format!("-max_len={INPUT_BYTES_MAX}"), format!("-rss_limit_mb={MEMORY_MB_MAX}")])
        .args([format!("-timeout={RUN_SECONDS_MAX}"), "-print_final_stats=1".to_owned()])
        .arg(&found)
        .arg(paths.root().join("fuzz/corpus").join(name));
    let start = Instant::now();
    let (progress, succeeded) = follow(&mut command)?;
    say(&progress.summary(name, start.elapsed()));
    if succeeded {
        return Ok(());
    }
    bail!("{name} found an input that breaks something; the end of its output:\n{}", progress.tail())
}

/// Runs a fuzzer and reads what it says about itself.
fn follow(command: &mut Command) -> Result<(Progress, bool)> {
    let line = process::describe(command);
    say(&format!("  $ {line}"));
    let child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = child.with_context(|| format!("start `{line}`"))?;
    let stderr = child.stderr.take().context("the fuzzer has no error output")?;
    let mut progress = Progress::default();
    for line in BufReader::new(stderr).split(b'\n') {
        let line = line.context("read what the fuzzer says")?;
        progress.read(String::from_utf8_lossy(&line).trim_end());
    }
    let status = child.wait().with_context(|| format!("wait for `{line}`"))?;
    Ok((progress, status.success()))
}

/// Time with a tenth of a second.
fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
