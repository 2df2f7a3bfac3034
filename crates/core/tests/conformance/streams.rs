//! Streaming handlers and events.

use gen_worker_proto::pb::{self, JobStatus, worker_message::Msg};

use crate::{
    fixture::Fixture,
    functions::{count, text},
    orchestrator::Session,
};

#[tokio::test(start_paused = true)]
async fn c6_three_items_are_three_frames_and_a_result_without_output() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    session.run("r1", 1, "numbers", &count(3)).await;
    session.accepted().await;
    for want in 1..=3_i64 {
        let Msg::JobProgress(progress) = session.next().await else { panic!("progress comes") };
        assert_eq!((progress.seq, progress.content_type.as_str()), (want, "application/json"));
        assert_eq!(progress.data, format!("{{\"count\":{want}}}"));
    }
    let result = session.result().await;
    assert_eq!((result.status(), result.output), (JobStatus::Ok, None));
}

#[tokio::test(start_paused = true)]
async fn w24_long_streams_lose_nothing_while_connected() {
    let mut fixture = Fixture::with(|options| options.send_queue_entries = 16);
    let mut session = fixture.session().await;
    session.run("r1", 1, "numbers", &count(5_000)).await;
    session.accepted().await;
    for want in 1..=5_000_i64 {
        let Msg::JobProgress(progress) = session.next().await else { panic!("progress comes") };
        assert_eq!(progress.seq, want);
    }
    assert_eq!(session.result().await.status(), JobStatus::Ok);
}

#[tokio::test(start_paused = true)]
async fn events_of_a_handler_share_the_sequence() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    session.run("r1", 1, "chatty", &count(2)).await;
    session.accepted().await;
    for want in 1..=2_i64 {
        let Msg::JobProgress(progress) = session.next().await else { panic!("progress comes") };
        assert_eq!((progress.seq, progress.content_type.as_str()), (want, "application/x-request-event+json"));
        let event: serde_json::Value = serde_json::from_slice(&progress.data).expect("JSON");
        assert_eq!((event["request_id"].as_str(), event["type"].as_str()), (Some("r1"), Some("request.progress")));
    }
    assert_eq!(session.result().await.status(), JobStatus::Ok);
}

#[tokio::test(start_paused = true)]
async fn events_keep_their_place_between_the_chunks() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    session.run("r1", 1, "narrated", &count(40)).await;
    session.accepted().await;
    for want in 1..=80_i64 {
        let Msg::JobProgress(progress) = session.next().await else { panic!("progress comes") };
        assert_eq!(progress.seq, want);
        if want % 2 == 1 {
            let event: serde_json::Value = serde_json::from_slice(&progress.data).expect("JSON");
            assert_eq!(event["payload"]["progress"].as_f64(), Some((want / 2 + 1) as f64), "told before its item");
        } else {
            assert_eq!(progress.data, format!("{{\"count\":{}}}", want / 2));
        }
    }
    assert_eq!(session.result().await.status(), JobStatus::Ok);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_too_large_says_so_instead() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    session.run("r1", 1, "shouts", &count(100_000)).await;
    session.accepted().await;
    let Msg::JobProgress(progress) = session.next().await else { panic!("progress comes") };
    let event: serde_json::Value = serde_json::from_slice(&progress.data).expect("JSON");
    assert_eq!((event["type"].as_str(), &event["payload"]["truncated"]), (Some("request.log"), &true.into()));
    assert_eq!(session.result().await.status(), JobStatus::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_panics_when_it_is_dropped_fails_its_job_only() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    session.run("r1", 1, "sore_loser", &count(1)).await;
    let result = session.result().await;
    assert_eq!((result.request_id.as_str(), result.status()), ("r1", JobStatus::Fatal));
    session.run("r2", 1, "numbers", &count(1)).await;
    assert_eq!(session.result().await.status(), JobStatus::Ok);
}

/// Media types and bodies of the frames of a run, and its result.
async fn mixed(session: &mut Session, id: &str, input: &str) -> (Vec<(String, Vec<u8>)>, pb::JobResult) {
    session.run(id, 1, "mixed", &text(input)).await;
    session.accepted().await;
    let mut frames = Vec::new();
    loop {
        match session.next().await {
            Msg::JobProgress(progress) => frames.push((progress.content_type, progress.data.to_vec())),
            Msg::JobResult(result) => return (frames, result),
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn c7_tokens_batches_done_and_errors_are_frames_and_ends() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    let (frames, result) = mixed(&mut session, "r1", "go").await;
    let types: Vec<_> = frames.iter().map(|(content_type, _)| content_type.as_str()).collect();
    assert_eq!(types, ["text/plain", "text/plain", "application/x-batch-item+msgpack"], "Done is no frame and ends");
    assert_eq!((frames[0].1.as_slice(), frames[1].1.as_slice()), (b"a".as_slice(), b"b".as_slice()));
    assert!(frames[2].1.windows(4).any(|bytes| bytes == [0xc4, 2, 1, 2]), "the chunk is bin");
    assert_eq!(result.status(), JobStatus::Ok);
    let Some(pb::job_result::Output::Inline(output)) = result.output else { panic!("the summary is inline") };
    let summary: serde_json::Value = rmp_serde::from_slice(&output).expect("MessagePack");
    assert_eq!(summary["text"], "ab", "the joined text");

    let (frames, result) = mixed(&mut session, "r2", "fail").await;
    assert_eq!(frames.len(), 3, "Error is no frame");
    assert_eq!((result.status(), result.safe_message.as_str()), (JobStatus::Invalid, "no more paint"));
}
