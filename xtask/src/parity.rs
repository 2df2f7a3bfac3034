//! `cargo xtask parity`: our embeddings beside PyTorch's, the numbers and the speed.
//!
//! PyTorch takes 5 GB and is not part of `setup`. `parity.py` writes what it computes to a fixture that is checked in, so that the
//! tests compare with it everywhere; `--bench` times both sides on the same batches, one after the other on this machine.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::figures::{self, Figure};
use crate::paths::Paths;
use crate::process::{self, say};
use crate::section;
use crate::setup::{self, Need};

/// What the reference is made of.
const REQUIREMENTS: &str = include_str!("../requirements/parity.txt");

const SCRIPT: &str = "xtask/src/parity/parity.py";
const FIXTURE: &str = "crates/inference/tests/fixtures/minilm_parity.json";

/// How many times faster than PyTorch we want to be, by batch; others are only shown.
const BARS: [(&str, f64); 4] = [("1x16", 1.2), ("32x16", 1.2), ("16x86", 1.2), ("32xmixed", 2.0)];

/// From the start of the process to the first embedding.
const FIRST_MS_MAX: f64 = 100.0;

/// What one side printed.
#[derive(Debug, Deserialize)]
struct Report<Times> {
    first_embedding_ms: f64,
    ms_per_batch: Times,
}

/// Milliseconds by batch.
type Times = BTreeMap<String, f64>;

/// Writes the fixture. With `bench`, also compares the speed; with `update_readme` that table goes into the README too.
pub(crate) fn run(paths: &Paths, bench: bool, update_readme: bool) -> Result<()> {
    setup::run(paths, Need::Demo)?;
    setup::ensure_python(paths, &paths.parity_env(), REQUIREMENTS)?;
    let script = |verb: &str| {
        let mut python = paths.command(paths.parity_env().join("bin/python"));
        python.arg(SCRIPT).arg(verb).arg(paths.model());
        python
    };
    process::run(script("fixture").arg(FIXTURE))?;
    say(&format!("parity: wrote {FIXTURE}"));
    if !bench {
        return Ok(());
    }
    let example = ["--release", "--package", "gen-worker-inference", "--example", "embed_bench"];
    process::run(paths.cargo().arg("build").args(example))?;
    say("parity: timing ours");
    let mut ours = paths.command(paths.built("release")?.join("examples/embed_bench"));
    let ours: Report<Times> = report(&process::output_with_log(ours.arg(paths.model()))?)?;
    say("parity: timing PyTorch");
    // Two implementations of attention; we compare with the better one of each batch.
    let reference: Report<BTreeMap<String, Times>> = report(&process::output_with_log(&mut script("bench"))?)?;
    let figures = compare(&ours, &reference)?;
    let table = format!("{}\n{}\n", figures::table(&figures), figures::origin(paths)?);
    print!("{table}");
    let (bars, met) = figures::bars(&figures);
    say(&format!("parity: {met} of {bars} bars met"));
    if update_readme { section::replace(&paths.readme(), "parity", &table) } else { Ok(()) }
}

fn report<'json, R: Deserialize<'json>>(output: &'json str) -> Result<R> {
    let line = output.lines().last().unwrap_or_default();
    serde_json::from_str(line).with_context(|| format!("read the report {line:?}"))
}

fn compare(ours: &Report<Times>, reference: &Report<BTreeMap<String, Times>>) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (batch, bar) in BARS {
        let best = reference.ms_per_batch.values().filter_map(|times| times.get(batch)).copied().reduce(f64::min);
        let (Some(best), Some(ours)) = (best, ours.ms_per_batch.get(batch)) else {
            bail!("batch {batch} was not timed on both sides");
        };
        figures.push(Figure {
            bench: format!("embed {batch}"),
            metric: "time per batch".to_owned(),
            unit: "ms".to_owned(),
            ours: *ours,
            reference: Some(best),
            reference_name: Some("PyTorch".to_owned()),
            ratio: Some(best / ours),
            bar: Some(format!(">= {bar}x as fast")),
            met: Some(best / ours >= bar),
        });
    }
    figures.push(Figure {
        bench: "embed start".to_owned(),
        metric: "process to first embedding".to_owned(),
        unit: "ms".to_owned(),
        ours: ours.first_embedding_ms,
        reference: Some(reference.first_embedding_ms),
        reference_name: Some("PyTorch".to_owned()),
        ratio: Some(reference.first_embedding_ms / ours.first_embedding_ms),
        bar: Some(format!("<= {FIRST_MS_MAX} ms")),
        met: Some(ours.first_embedding_ms <= FIRST_MS_MAX),
    });
    Ok(figures)
}

#[cfg(test)]
mod tests;
