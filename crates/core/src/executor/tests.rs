//! Measurements of a job, and what an upload is told.
use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::StreamExt as _;

use gen_worker_proto::{Pair, pb};
use tokio::time::{Instant, advance};

use super::{JobCell, handler::gather, metrics::PeakMemory};
use crate::outbox::SharedOutbox;

fn cell(run: pb::RunJob) -> Arc<JobCell> {
    let pair = Pair::parse("r1", 1).expect("a pair");
    Arc::new(JobCell::new(pair, 0, run, None, None, SharedOutbox::new(8, None), Instant::now()))
}

#[tokio::test(start_paused = true)]
async fn metrics_are_absent_until_the_handler_starts() {
    let cell = cell(pb::RunJob::default());
    assert_eq!(cell.metrics(&mut PeakMemory::default()), None);
    cell.accepted(3);
    advance(Duration::from_millis(20)).await;
    cell.begin(None).expect("it starts once");
    assert!(cell.begin(None).is_none());
    advance(Duration::from_millis(7)).await;
    cell.ended(Instant::now());
    advance(Duration::from_millis(100)).await;
    let metrics = cell.metrics(&mut PeakMemory::default()).expect("metrics");
    assert_eq!((metrics.queue_ms, metrics.runtime_ms, metrics.concurrency_at_start), (20, 7, 3));
    assert!(cfg!(not(target_os = "linux")) || metrics.peak_rss_bytes > 0);
}

#[tokio::test(start_paused = true)]
async fn w17_the_deadline_counts_from_the_start_of_the_handler() {
    let own = cell(pb::RunJob { timeout_ms: 300, ..Default::default() });
    assert_eq!(own.deadline(), None);
    advance(Duration::from_secs(5)).await;
    own.begin(Some(Duration::from_secs(9)));
    assert_eq!(own.deadline(), Some(Instant::now() + Duration::from_millis(300)));
    let default = cell(pb::RunJob::default());
    default.begin(Some(Duration::from_secs(9)));
    assert_eq!(default.deadline(), Some(Instant::now() + Duration::from_secs(9)));
    let none = cell(pb::RunJob { timeout_ms: -1, ..Default::default() });
    none.begin(None);
    assert_eq!(none.deadline(), None);
}

#[tokio::test(start_paused = true)]
async fn a_result_on_its_way_is_waited_for_but_not_for_ever() {
    let cell = cell(pb::RunJob::default());
    assert!(!cell.is_returning());
    cell.returning();
    advance(crate::peaks::LAST_LOOK_MAX).await;
    assert!(cell.is_returning(), "a cancel or a deadline comes too late");
    advance(crate::peaks::LAST_LOOK_MAX).await;
    assert!(!cell.is_returning());
}

#[tokio::test]
async fn an_upload_carries_the_token_of_its_job() {
    let run = pb::RunJob { tenant: "acme".into(), capability_token: "secret".into(), ..Default::default() };
    let cell = cell(run);
    cell.begin(None);
    let content = crate::saves::SaveContent::Bytes("out".into());
    let upload = cell.file_upload("a".into(), content, None, "http://files".into());
    assert_eq!(upload.name, "a");
    assert_eq!((upload.tenant.as_str(), upload.capability_token.as_str()), ("acme", "secret"));
    assert_eq!(upload.file_base_url, "http://files");
}

#[test]
fn frames_of_a_stream_that_computes_in_its_polls_go_out_as_they_come() {
    let cell = cell(pb::RunJob::default());
    let compute = |at: u64| {
        std::thread::sleep(Duration::from_millis(2)); // tidy: stands for a computation; only more of it, never less, can happen
        Ok(crate::function::Frame::Chunk { content_type: "text/plain", data: at.to_string().into() })
    };
    let mut frames = futures::stream::iter(0..32).map(compute).boxed();
    let (mut ready, mut cx) = (VecDeque::new(), Context::from_waker(Waker::noop()));
    assert!(matches!(gather(&cell, &mut frames, &mut cx, &mut ready), Poll::Ready(None)));
    assert_eq!(ready.len(), 1, "the first does not wait for the others");
}
