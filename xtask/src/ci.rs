//! `cargo xtask ci`: everything a change has to pass, in the order of how fast it answers. The workflow only calls this.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::paths::Paths;
use crate::process::{self, say};
use crate::setup::{self, Need};
use crate::{layers, proto, readme, test, tidy};

/// One thing to pass.
struct Step {
    name: &'static str,
    run: fn(&Paths) -> Result<()>,
}

const STEPS: [Step; 12] = [
    Step { name: "setup", run: |paths| setup::run(paths, Need::Ci) },
    Step { name: "lock", run: lock },
    Step { name: "fmt", run: |paths| process::run(paths.cargo().args(["fmt", "--all", "--check"])) },
    Step { name: "tidy", run: tidy::run },
    Step { name: "proto", run: |paths| proto::run(paths.root(), true) },
    Step { name: "layers", run: |paths| layers::run(paths, false) },
    Step { name: "deny", run: deny },
    Step { name: "machete", run: |paths| process::run(paths.cargo().arg("machete")) },
    Step { name: "clippy", run: clippy },
    Step { name: "doc", run: doc },
    Step { name: "test", run: readme_test },
    Step { name: "clean", run: clean },
];

/// Passes every step, or stops at the first that fails and names it.
pub(crate) fn run(paths: &Paths) -> Result<()> {
    let changed = changed_files(paths)?;
    if crate::environment::in_ci() && !changed.is_empty() {
        bail!("the checkout is not clean:\n{changed}");
    }
    std::fs::create_dir_all(paths.notes()).context("make room for notes")?;
    std::fs::write(paths.notes().join(BEFORE), changes(paths)?).context("note the state of the checkout")?;
    let mut times: Vec<(&str, Duration)> = Vec::new();
    for step in STEPS {
        say(&format!("ci: {} …", step.name));
        let start = Instant::now();
        if let Err(error) = (step.run)(paths) {
            return Err(error.context(format!("step `{}` failed after {}", step.name, seconds(start.elapsed()))));
        }
        say(&format!("ci: {} passed in {}", step.name, seconds(start.elapsed())));
        times.push((step.name, start.elapsed()));
    }
    say("ci: every step passed");
    for (name, time) in &times {
        say(&format!("ci: {name:<8} {:>10}", seconds(*time)));
    }
    say(&format!("ci: {:<8} {:>10}", "total", seconds(times.iter().map(|(_, time)| *time).sum())));
    // Last, so that the end of the log says what was tested.
    say(&test::last_summary(paths).unwrap_or_else(|| "no tests ran".to_owned()));
    Ok(())
}

/// Where the state of the checkout before the first step is kept.
const BEFORE: &str = "checkout-before.txt";

/// A lock file that a manifest has outgrown would be rewritten by the next step, and the change would not be the one reviewed.
fn lock(paths: &Paths) -> Result<()> {
    process::output(paths.cargo().args(["metadata", "--locked", "--format-version=1"])).map(drop)
}

fn deny(paths: &Paths) -> Result<()> {
    // Advisories need a database from the network; they would fail changes that did not cause them.
    process::run(paths.cargo().args([
        "deny",
        "--workspace",
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ]))
}

fn clippy(paths: &Paths) -> Result<()> {
    process::run(paths.cargo().args(["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]))
}

fn doc(paths: &Paths) -> Result<()> {
    let mut cargo = paths.cargo();
    cargo.env("RUSTDOCFLAGS", "-D warnings");
    process::run(cargo.args(["doc", "--workspace", "--no-deps", "--document-private-items", "--quiet"]))
}

/// Runs what the README tells its readers to run, as they would.
fn readme_test(paths: &Paths) -> Result<()> {
    let readme = std::fs::read_to_string(paths.readme()).context("read README.md")?;
    process::run(paths.command("sh").args(["-c", readme::test_command(&readme)?]))
}

fn clean(paths: &Paths) -> Result<()> {
    let before = std::fs::read_to_string(paths.notes().join(BEFORE)).context("read the state of the checkout")?;
    if before != changes(paths)? {
        bail!("the steps changed files of the checkout; changed now:\n{}", changed_files(paths)?);
    }
    Ok(())
}

/// What git sees as changed. Empty when clean.
fn changed_files(paths: &Paths) -> Result<String> {
    process::output(paths.command("git").args(["status", "--porcelain", "--untracked-files=all"]))
}

/// The same with what has changed in them.
fn changes(paths: &Paths) -> Result<String> {
    let diff = process::output(paths.command("git").args(["diff", "HEAD", "--no-ext-diff"]))?;
    Ok(changed_files(paths)? + &diff)
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
