//! The send queue under an orchestrator that does not read.

use gen_worker_proto::pb::{JobStatus, worker_message::Msg};

use crate::{
    fixture::Fixture,
    functions::{count, text},
};

#[tokio::test(start_paused = true)]
async fn c32_only_the_oldest_progress_is_lost() {
    let mut fixture = Fixture::with(|options| options.send_queue_entries = 8);
    let mut session = fixture.session().await;
    session.run("r1", 1, "gated-echo", &text("a")).await;
    session.accepted().await;
    fixture.orchestrator.set_reachable(false);
    session.run("r2", 1, "chatty", &count(2_000)).await;
    session.accepted().await;
    let mut seen = Vec::new();
    let result = loop {
        match session.next().await {
            Msg::JobProgress(progress) => seen.push(progress.seq),
            Msg::JobResult(result) => break result,
            other => panic!("unexpected {other:?}"),
        }
    };
    assert_eq!((result.request_id.as_str(), result.status()), ("r2", JobStatus::Ok));
    assert!(seen.len() < 2_000, "the queue was too small for all of them");
    assert!(seen.is_sorted() && seen.ends_with(&[1_999, 2_000]), "the newest arrive, in order");
    fixture.probe.open("a");
    assert_eq!(session.result().await.request_id, "r1", "every result arrives");
}

#[tokio::test(start_paused = true)]
async fn the_receive_loop_goes_on_while_nobody_reads() {
    let mut fixture = Fixture::with(|options| options.send_queue_entries = 4);
    let mut session = fixture.session().await;
    // Far more output than pipe, windows and queue hold together.
    for at in 0..200 {
        session.run(&format!("r{at:03}"), 1, "large", &count(60_000)).await;
    }
    for at in 0..200 {
        let result = session.result().await;
        assert_eq!((result.request_id, result.attempt), (format!("r{at:03}"), 1));
    }
}
