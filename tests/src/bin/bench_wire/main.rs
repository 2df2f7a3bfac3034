//! Our worker beside a bare tonic client on the same stream: what the job machinery costs.
//!
//! One scripted server dispatches jobs and counts results. The floor answers each `RunJob` at once with
//! `JobAccepted` and `JobResult` (or with frames); ours decodes, runs a real endpoint, encodes. Both run in turns in
//! this process on the same threads, several rounds each, and the round in the middle counts (the exception is told at
//! [`Load::quantile`]). The Python worker of the same contract
//! then takes the same jobs, fewer of them, in a process of its own. Figures go to standard output as JSON lines.
//!
//! ```text
//! bench_wire [<part of a load's name>][=<floor|ours>]    one side alone, for a profiler: no figures
//! ```

mod endpoints;
mod load;
mod sides;

use std::time::Duration;

use anyhow::{Context, Result};
use gen_worker_tests::Figure;

use self::{
    load::{LOADS, Load},
    sides::{PEER, Side, run},
};

#[global_allocator]
static ALLOCATOR: gen_worker_allocator::Allocator = gen_worker_allocator::Allocator;

/// Rounds of the peer, which is slow enough to be measured in fewer.
const PEER_ROUNDS: usize = 3;

fn main() -> Result<()> {
    let only = std::env::args().nth(1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(bench(only.as_deref()))
}

async fn bench(only: Option<&str>) -> Result<()> {
    let side = only.and_then(|only| only.split_once('=')).map(|(_, side)| side);
    let only = only.map(|only| only.split('=').next().unwrap_or(only));
    for load in LOADS.into_iter().filter(|load| only.is_none_or(|only| load.name.contains(only))) {
        let (mut floor, mut ours) = (Vec::new(), Vec::new());
        for round in 0..load.rounds() {
            if side != Some("ours") {
                floor.push(run(load, Side::Floor).await?);
            }
            if side != Some("floor") {
                ours.push(run(load, Side::Ours).await?);
            }
            eprintln!("{} round {round}: floor {:?}, ours {:?}", load.name, floor.last(), ours.last());
        }
        if side.is_none() {
            let (floor, ours) = (load.rate(counted(load, floor)?), load.rate(counted(load, ours)?));
            report(load, ours, floor);
            if let Some((function, jobs)) = load.peer {
                beside_peer(Load { function, jobs, ..load }, ours).await?;
            }
        }
    }
    Ok(())
}

async fn beside_peer(load: Load, ours: f64) -> Result<()> {
    let mut peer = Vec::new();
    for _ in 0..PEER_ROUNDS {
        peer.push(run(load, Side::Peer).await?);
    }
    // No bar: what we want is measured against the floor.
    compared(load, ours, load.rate(counted(load, peer)?), format!("gen-worker {PEER} on Python")).print();
    Ok(())
}

fn report(load: Load, ours: f64, floor: f64) {
    let figure = compared(load, ours, floor, "bare tonic client".to_owned());
    let (bar, met) = load.measure.judge(ours / floor).unzip();
    Figure { bar, met, ..figure }.print();
}

fn compared(load: Load, ours: f64, reference: f64, name: String) -> Figure {
    let (metric, unit) = load.measure.unit();
    let (reference, ratio) = (Some(reference), Some(ours / reference));
    Figure { reference, reference_name: Some(name), ratio, ..Figure::of(load.name, metric, unit, ours) }
}

/// The round whose figure counts.
fn counted(load: Load, mut took: Vec<Duration>) -> Result<Duration> {
    took.sort();
    took.get((took.len() as f64 * load.quantile()) as usize).copied().context("no round was run")
}
