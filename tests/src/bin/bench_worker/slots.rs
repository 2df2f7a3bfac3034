//! What it costs a call that its handler runs in a process of its own: the same function both ways, in turns, in the
//! same worker.

use std::collections::BTreeMap;

use anyhow::Result;
use gen_worker_tests::{Figure, Jobs, percentile};

/// Calls of one round: a good second of either function.
const CALLS: usize = 10_000;

/// Calls before the first round.
const WARM_UP: usize = 1_000;

/// Rounds; odd, so that the median is a measurement.
const ROUNDS: usize = 5;

pub(crate) async fn bench() -> Result<()> {
    let (_worker, _scripted, mut session) = super::start("measured-endpoint", &[]).await?;
    let payload = super::payload(&BTreeMap::from([("text", "marco")]))?;
    let jobs = |function, count| Jobs { function, payload: payload.clone(), count, in_flight: 1 };
    let functions = ["echo-isolated", "echo"];
    for function in functions {
        session.run(&jobs(function, WARM_UP)).await?;
    }
    let mut rounds = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (function, took) in functions.into_iter().zip(&mut rounds) {
            let round = session.run(&jobs(function, CALLS)).await?;
            took.push(round.as_secs_f64() * 1e6 / CALLS as f64);
        }
    }
    let [isolated, own] = rounds.map(|mut took| percentile(&mut took, 50));
    let figure = |metric: &str, value| Figure::of("worker-slot-1-in-flight", metric, "us", value);
    let beside = Figure {
        reference: Some(own),
        reference_name: Some("the same function in-process".to_owned()),
        ratio: Some(isolated / own),
        ..figure("round trip of a call into a slot", isolated)
    };
    beside.print();
    figure("of that, the slot", isolated - own).print();
    Ok(())
}
