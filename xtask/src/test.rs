//! `cargo xtask test`: every test of the workspace, after everything they need.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::environment;
use crate::paths::Paths;
use crate::process::{self, say};
use crate::setup::{self, Need};

/// The packages whose binaries the tests start. Each is built by itself: built together, Cargo would unite their features, and
/// the orchestrator would be linked into every endpoint.
pub(crate) const BINARIES: [&str; 3] = ["example-marco-polo", "example-embed", "gen-worker-cli"];

/// Where the last summary of the test runner is kept, for the end of CI's log.
const SUMMARY: &str = "test-summary.txt";

/// Installs what is missing, builds what the tests start, and runs them all.
pub(crate) fn run(paths: &Paths) -> Result<()> {
    setup::run(paths, Need::Test)?;
    build_binaries(paths, "dev")?;
    nextest(paths)?;
    process::run(paths.cargo().args(["test", "--doc", "--workspace", "--quiet"]))
}

/// Builds the programs of the pool in `profile` (`dev` or `release`).
pub(crate) fn build_binaries(paths: &Paths, profile: &str) -> Result<()> {
    for package in BINARIES {
        process::run(paths.cargo().args(["build", "--profile", profile, "--package", package, "--bins"]))?;
    }
    Ok(())
}

/// What the test runner said last, such as `Summary [ 12.3s] 345 tests run: 345 passed, 0 skipped`.
pub(crate) fn last_summary(paths: &Paths) -> Option<String> {
    std::fs::read_to_string(paths.notes().join(SUMMARY)).ok()
}

fn nextest(paths: &Paths) -> Result<()> {
    let mut command = paths.cargo();
    command.args(["nextest", "run", "--workspace", "--no-tests=pass"]);
    if environment::in_ci() {
        command.args(["--profile", "ci"]);
    }
    let line = process::describe(&command);
    say(&format!("  $ {line}"));
    let mut child =
        command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().with_context(|| format!("start `{line}`"))?;
    let stderr = child.stderr.take().context("the test runner has no error output")?;
    let summary = pass_on(stderr)?;
    let status = child.wait().with_context(|| format!("wait for `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed: {status}");
    }
    let notes = paths.notes();
    std::fs::create_dir_all(&notes).with_context(|| format!("create {}", notes.display()))?;
    std::fs::write(notes.join(SUMMARY), summary).context("keep the test summary")
}

/// Copies the runner's report to ours and returns its summary line.
fn pass_on(report: impl std::io::Read) -> Result<String> {
    let mut summary = String::new();
    let mut lines = BufReader::new(report);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).context("read the test report")? > 0 {
        std::io::stderr().write_all(&line).context("pass on the test report")?;
        let text = String::from_utf8_lossy(&line);
        if text.trim_start().starts_with("Summary [") {
            summary = text.trim().to_owned();
        }
        line.clear();
    }
    Ok(summary)
}
