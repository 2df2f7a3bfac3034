//! `cargo xtask parity`: our embeddings beside PyTorch's, the numbers and the speed.
//!
//! PyTorch takes 5 GB and is not part of `setup`. `parity.py` writes what it computes to a fixture that is checked in, so that the
//! tests compare with it everywhere; `--bench` times both sides on the same batches, in turns, so that whatever else the machine does
//! hits both.

mod turns;

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use crate::figures::{self, Figure};
use crate::paths::Paths;
use crate::process::{self, say};
use crate::section;
use crate::setup::{self, Need};

use turns::Turns;

/// What the reference is made of.
const REQUIREMENTS: &str = include_str!("../requirements/parity.txt");

const SCRIPT: &str = "xtask/src/parity/parity.py";
const FIXTURE: &str = "crates/inference/tests/fixtures/minilm_parity.json";

/// How many times faster than PyTorch we want to be, by batch; others are only shown.
const BARS: [(&str, f64); 4] = [("1x16", 1.2), ("32x16", 1.2), ("16x86", 1.2), ("32xmixed", 2.0)];

/// From the start of the process to the first embedding.
const FIRST_MS_MAX: f64 = 100.0;

/// Turns of each side per batch; odd, so that the median is a measurement.
const ROUNDS: usize = 5;

/// Milliseconds by implementation, as one turn gave them.
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
    say("parity: timing both sides in turns");
    let mut ours = paths.command(paths.built("release")?.join("examples/embed_bench"));
    let mut ours = Turns::start(ours.arg(paths.model()))?;
    let mut reference = Turns::start(&mut script("turns"))?;
    let mut figures = Vec::new();
    for (batch, bar) in BARS {
        let (ours, reference) = in_turns(&mut ours, &mut reference, batch, ROUNDS)?;
        figures.push(batch_figure(batch, bar, ours, reference));
    }
    // Each is already a median over processes, and PyTorch's takes seconds.
    let (first, reference) = in_turns(&mut ours, &mut reference, "first", 1)?;
    figures.push(start_figure(first, reference));
    let table = format!("{}\n{}\n", figures::table(&figures), figures::origin(paths)?);
    print!("{table}");
    let (bars, met) = figures::bars(&figures);
    say(&format!("parity: {met} of {bars} bars met"));
    if update_readme { section::replace(&paths.readme(), "parity", &table) } else { Ok(()) }
}

/// `rounds` turns of each side, one after the other: the time of each.
fn in_turns(ours: &mut Turns, reference: &mut Turns, batch: &str, rounds: usize) -> Result<(f64, f64)> {
    let (mut our_rounds, mut their_rounds) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        our_rounds.push(ours.take(batch)?);
        their_rounds.push(reference.take(batch)?);
    }
    let timed = |rounds: &[Times]| best(rounds).with_context(|| format!("batch {batch} was not timed on both sides"));
    Ok((timed(&our_rounds)?, timed(&their_rounds)?))
}

/// The median over rounds of the implementation that is fastest by it; none when no round timed any.
fn best(rounds: &[Times]) -> Option<f64> {
    let implementations = rounds.first()?.keys();
    let medians = implementations.filter_map(|name| {
        let mut times: Vec<f64> = rounds.iter().filter_map(|times| times.get(name)).copied().collect();
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied()
    });
    medians.reduce(f64::min)
}

fn batch_figure(batch: &str, bar: f64, ours: f64, reference: f64) -> Figure {
    Figure {
        bench: format!("embed {batch}"),
        metric: "time per batch".to_owned(),
        unit: "ms".to_owned(),
        ours,
        reference: Some(reference),
        reference_name: Some("PyTorch".to_owned()),
        ratio: Some(reference / ours),
        bar: Some(format!(">= {bar}x as fast")),
        met: Some(reference / ours >= bar),
    }
}

fn start_figure(ours: f64, reference: f64) -> Figure {
    Figure {
        bench: "embed start".to_owned(),
        metric: "process to first embedding".to_owned(),
        unit: "ms".to_owned(),
        ours,
        reference: Some(reference),
        reference_name: Some("PyTorch".to_owned()),
        ratio: Some(reference / ours),
        bar: Some(format!("<= {FIRST_MS_MAX} ms")),
        met: Some(ours <= FIRST_MS_MAX),
    }
}

#[cfg(test)]
mod tests;
