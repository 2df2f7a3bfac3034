//! From a cancel to the end of its handler.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use gen_worker_proto::pb::{self, scheduler_message::Msg as Outbound, worker_message::Msg};
use gen_worker_tests::{Figure, ScriptedSession, percentile};

/// Cancels measured.
const CANCELS: usize = 500;

/// Handlers that run at once when one of them is canceled.
const RUNNING: usize = 16;

/// How long the canceled handlers would run, in milliseconds.
const LONG_MS: u64 = 600_000;

/// Cancels of a handler that ignores them; each takes the grace.
const HARD_CANCELS: usize = 5;

/// Seconds that such a handler gets.
const GRACE: &str = "1";

/// What we want, in milliseconds: the grace, and a second to kill the process and start the next.
const HARD_MS_MAX: f64 = 2_000.0;

/// From a cancel to the result of its job. The handler awaits, so it is stopped before the result goes out.
pub(crate) async fn cooperative() -> Result<()> {
    let (_worker, _scripted, mut session) = super::start("marco-polo", &[]).await?;
    let payload = super::payload(&BTreeMap::from([("delay_ms", LONG_MS)]))?;
    let mut running = VecDeque::new();
    let mut took = Vec::new();
    while took.len() < CANCELS {
        while running.len() < RUNNING {
            let id = session.dispatch("marco-slow", &payload).await?;
            super::accepted(&mut session, &id).await?;
            running.push_back(id);
        }
        let request_id = running.pop_front().context("a running job")?;
        // Handlers are in different places: a moment after the last one was accepted, another one each time.
        tokio::time::sleep(Duration::from_micros((took.len() as u64 * 37) % 3_000)).await;
        let sent = Instant::now();
        cancel(&session, &request_id).await?;
        let result = loop {
            if let Msg::JobResult(result) = session.next().await? {
                break result;
            }
        };
        took.push(milliseconds(sent));
        ensure!(result.request_id == request_id && result.status() == pb::JobStatus::Canceled, "{result:?}");
    }
    let figure = |metric: &str, value| Figure::of("worker-cancel", metric, "ms", value);
    figure("cancel to handler stopped p50", percentile(&mut took, 50)).print();
    figure("cancel to handler stopped p99", percentile(&mut took, 99)).at_most(50.0).print();
    Ok(())
}

/// The same of a handler in a process of its own that computes on: from the cancel to the result of its job, which
/// waits for nobody, and to the result of the next call, which waits for a new process in the same place.
pub(crate) async fn hard() -> Result<()> {
    let (_worker, _scripted, mut session) = super::start("measured-endpoint", &["--cancel-grace", GRACE]).await?;
    let payload = |for_ever| super::payload(&BTreeMap::from([("for_ever", for_ever)]));
    let (endless, short) = (payload(true)?, payload(false)?);
    let (mut to_result, mut to_slot) = (Vec::new(), Vec::new());
    for _ in 0..HARD_CANCELS {
        let canceled = session.dispatch("stubborn", &endless).await?;
        runs(&mut session, &canceled).await?;
        let ended = hard_cancel(&mut session, &canceled, &short).await?;
        to_result.push(ended.0);
        to_slot.push(ended.1);
    }
    let figure = |metric: &str, value| {
        Figure::of("worker-cancel-hard", &format!("{metric}, {GRACE} s of grace"), "ms", value).at_most(HARD_MS_MAX)
    };
    figure("cancel to result max", percentile(&mut to_result, 100)).print();
    figure("cancel to next result of the same slot max", percentile(&mut to_slot, 100)).print();
    Ok(())
}

/// Waits until the handler of this job has told that it runs.
async fn runs(session: &mut ScriptedSession, id: &str) -> Result<()> {
    loop {
        match session.next().await? {
            Msg::JobProgress(progress) if progress.request_id == id => return Ok(()),
            Msg::JobResult(result) => bail!("{}: {}", result.request_id, result.safe_message),
            _ => {}
        }
    }
}

/// Cancels a job and wants its slot for another one at once; gives the milliseconds to the result of either.
async fn hard_cancel(session: &mut ScriptedSession, canceled: &str, short: &Bytes) -> Result<(f64, f64)> {
    let sent = Instant::now();
    cancel(session, canceled).await?;
    let next = session.dispatch("stubborn", short).await?;
    let (mut to_result, mut to_slot) = (None, None);
    loop {
        if let (Some(to_result), Some(to_slot)) = (to_result, to_slot) {
            return Ok((to_result, to_slot));
        }
        let Msg::JobResult(result) = session.next().await? else { continue };
        let (took, want) = if result.request_id == next {
            (&mut to_slot, pb::JobStatus::Ok)
        } else {
            (&mut to_result, pb::JobStatus::Canceled)
        };
        ensure!(result.status() == want, "{result:?}");
        *took = Some(milliseconds(sent));
    }
}

async fn cancel(session: &ScriptedSession, id: &str) -> Result<()> {
    session.send(Outbound::CancelJob(pb::CancelJob { request_id: id.to_owned(), attempt: 1 })).await
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
