//! Events of a request, from the worker's frames to subscribers.

use std::time::Duration;

use futures::StreamExt;
use gen_worker_proto::{
    RequestId,
    pb::{self, worker_message as up},
};

use super::harness::{Pool, hello, memory, request};
use crate::{
    pool::{Event, EventId, Subscription},
    request::{Durability, Options, State},
};

fn id(id: &str) -> RequestId {
    RequestId::parse(id).expect("valid id")
}

/// Reads to the end: one line per event.
async fn lines(mut events: Subscription) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(event) = events.next().await {
        let place = event.id().map(|id| format!("{id} ")).unwrap_or_default();
        lines.push(match event {
            Event::State { state, .. } => format!("{place}{state:?}"),
            Event::Chunk { data, .. } => format!("{place}chunk {}", String::from_utf8_lossy(&data)),
            Event::Progress { value, .. } => format!("{place}progress {}", value["payload"]),
            Event::Log { value, .. } => format!("{place}log {}", value["payload"]),
            Event::Phase { value } => format!("phase {} {}", value["ref"], value["state"]),
            Event::Gap { lost } => format!("gap {lost}"),
            Event::Result(request) => format!("result {:?}", request.state),
            Event::Error(request) => format!("error {:?}", request.state),
        });
    }
    lines
}

#[tokio::test(start_paused = true)]
async fn o14_p10_frames_go_to_every_subscriber_in_order_and_the_result_ends_them() {
    let pool = Pool::start().await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    pool.submit(request("r", "echo")).await;
    let early = pool.handle.subscribe(&id("r"), None).await.expect("open").expect("known");
    worker.expect_run("r", 1).await;
    worker.accept("r", 1).await;
    worker.progress("r", 1, 1, "one").await;
    worker.progress("r", 1, 3, "three").await;
    worker.progress("r", 1, 2, "two").await;
    worker.progress("r", 2, 4, "stale").await;
    for (kind, payload) in [("request.progress", 5), ("request.log", 6)] {
        let data = serde_json::json!({ "type": kind, "payload": payload }).to_string();
        worker
            .send(up::Msg::JobProgress(pb::JobProgress {
                request_id: "r".into(),
                attempt: 1,
                seq: 4,
                data: data.into(),
                content_type: "application/x-request-event+json".into(),
            }))
            .await;
    }
    worker.finish("r", 1, pb::JobStatus::Ok, "").await;
    let expected = [
        "0-1 Queued",
        "1-1 Assigned",
        "1-2 Running",
        "1-3 chunk one",
        "1-4 chunk three",
        "1-5 chunk two",
        "1-6 progress 5",
        "1-7 log 6",
        "result Succeeded",
    ];
    assert_eq!(lines(early).await, expected);
    let late = pool.handle.subscribe(&id("r"), None).await.expect("open").expect("known");
    assert_eq!(lines(late).await, expected);
    let resumed = Some(EventId { attempt: 1, seq: 6 });
    let resumed = pool.handle.subscribe(&id("r"), resumed).await.expect("open").expect("known");
    assert_eq!(lines(resumed).await, ["1-7 log 6", "result Succeeded"]);
    assert_eq!(pool.handle.counters().frames, 5);
}

#[tokio::test(start_paused = true)]
async fn p12_events_are_kept_for_a_minute_then_only_the_end_is_known() {
    let pool = Pool::start().await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    for new in [request("d", "echo"), memory("m", "echo")] {
        let name = new.id.to_string();
        pool.submit(new).await;
        worker.expect_run(&name, 1).await;
        worker.finish(&name, 1, pb::JobStatus::Fatal, "boom").await;
        pool.ended(&name).await;
    }
    tokio::time::sleep(Duration::from_secs(59)).await;
    let kept = pool.handle.subscribe(&id("d"), None).await.expect("open").expect("known");
    assert_eq!(lines(kept).await, ["0-1 Queued", "1-1 Assigned", "error Failed"]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = Some(EventId { attempt: 1, seq: 1 });
    let gone = pool.handle.subscribe(&id("d"), after).await.expect("open").expect("stored");
    assert_eq!(lines(gone).await, ["gap 0", "error Failed"]);
    assert_eq!(pool.get("d").await.state, State::Failed);
    assert!(pool.handle.get(&id("m")).await.expect("open").is_none(), "memory requests are forgotten");
    assert!(pool.handle.subscribe(&id("m"), None).await.expect("open").is_none());
}

#[tokio::test(start_paused = true)]
async fn p13_a_reader_that_does_not_read_stops_nobody() {
    let pool = Pool::start().await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    pool.submit(request("r", "echo")).await;
    let lazy = pool.handle.subscribe(&id("r"), None).await.expect("open").expect("known");
    worker.expect_run("r", 1).await;
    worker.accept("r", 1).await;
    for seq in 1..=3_000 {
        worker.progress("r", 1, seq, "x").await;
    }
    worker.finish("r", 1, pb::JobStatus::Ok, "").await;
    pool.ended("r").await;
    let lines = lines(lazy).await;
    assert_eq!(lines[0], "gap 1979");
    assert_eq!(lines.len(), 1 + 1_024 + 1);
    assert_eq!(lines[lines.len() - 1], "result Succeeded");
}

#[tokio::test(start_paused = true)]
async fn p10_a_held_request_hears_about_the_model_it_waits_for() {
    let pool = Pool::start().await;
    let loading = pb::StateDelta {
        phase: pb::WorkerPhase::DownloadingModels.into(),
        loading_functions: vec!["embed".into()],
        ..Default::default()
    };
    let mut worker = pool.worker(pb::Hello { state: Some(loading), ..hello("w", &[]) }).await;
    let options = Options { durability: Durability::Memory, ..Options::default() };
    pool.submit(super::harness::request_with("r", "embed", options)).await;
    let events = pool.handle.subscribe(&id("r"), None).await.expect("open").expect("known");
    worker
        .send(up::Msg::ModelEvent(pb::ModelEvent {
            r#ref: "a/b".into(),
            state: pb::ModelState::Downloading.into(),
            bytes_done: 1,
            bytes_total: 2,
            ..Default::default()
        }))
        .await;
    worker.state(super::harness::ready(&["embed"])).await;
    worker.expect_run("r", 1).await;
    worker.finish("r", 1, pb::JobStatus::Ok, "").await;
    let expected = ["0-1 Queued", "phase \"a/b\" \"downloading\"", "1-1 Assigned", "result Succeeded"];
    assert_eq!(lines(events).await, expected);
}

#[tokio::test(start_paused = true)]
async fn p7_events_go_on_over_attempts_with_growing_ids() {
    let pool = Pool::start().await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    pool.submit(memory("r", "echo")).await;
    let events = pool.handle.subscribe(&id("r"), None).await.expect("open").expect("known");
    worker.expect_run("r", 1).await;
    worker.finish("r", 1, pb::JobStatus::Retryable, "later").await;
    worker.expect_run("r", 2).await;
    worker.finish("r", 2, pb::JobStatus::Ok, "").await;
    let expected = ["0-1 Queued", "1-1 Assigned", "1-2 Queued", "2-1 Assigned", "result Succeeded"];
    assert_eq!(lines(events).await, expected);
}
