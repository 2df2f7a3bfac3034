//! What one echo job asks of the allocator of its worker process. Nothing is timed here.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use bytes::Bytes;
use gen_worker_proto::pb::job_result::Output;
use gen_worker_tests::{Figure, Jobs, ScriptedSession};

/// Jobs between two counts of allocations: enough that what grows once no longer shows.
const COUNTED_JOBS: usize = 50_000;

/// Jobs at once while allocations are counted.
const IN_FLIGHT: usize = 64;

pub(crate) async fn bench() -> Result<()> {
    let (_worker, _scripted, mut session) = super::start("counting-worker", &[]).await?;
    let payload = super::payload(&BTreeMap::from([("text", "marco")]))?;
    let jobs = Jobs { function: "echo", payload, count: COUNTED_JOBS, in_flight: IN_FLIGHT };
    session.run(&jobs).await?;
    let before = counted(&mut session).await?;
    session.run(&jobs).await?;
    let after = counted(&mut session).await?;
    let per_job = |name: &str| {
        let count = |counts: &BTreeMap<String, u64>| counts.get(name).copied().unwrap_or_default();
        count(&after).saturating_sub(count(&before)) as f64 / COUNTED_JOBS as f64
    };
    Figure::of("worker-allocations", "allocations per job, 64 in flight", "1", per_job("allocations")).print();
    Figure::of("worker-allocations", "allocated per job, 64 in flight", "bytes", per_job("bytes")).print();
    Ok(())
}

/// What the worker process has allocated so far.
async fn counted(session: &mut ScriptedSession) -> Result<BTreeMap<String, u64>> {
    session.dispatch("allocated", &Bytes::from_static(b"\x80")).await?;
    let Some(Output::Inline(output)) = session.result().await?.output else { anyhow::bail!("no output") };
    rmp_serde::from_slice(&output).context("read the counts")
}
