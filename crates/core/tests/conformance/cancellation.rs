//! Ending jobs from outside.

use gen_worker_proto::pb::{JobStatus, worker_message::Msg};

use crate::{
    fixture::Fixture,
    functions::{count, text},
};

#[tokio::test(start_paused = true)]
async fn c8_w16_a_running_job_is_cancelled_once() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    session.run("r1", 3, "gated-echo", &text("a")).await;
    session.accepted().await;
    session.cancel("r1", 2).await;
    session.cancel("r2", 3).await;
    session.silence().await;
    session.cancel("r1", 3).await;
    let result = session.result().await;
    assert_eq!((result.status(), result.safe_message.as_str()), (JobStatus::Canceled, "canceled"));
    session.cancel("r1", 3).await;
    fixture.probe.open("a");
    session.silence().await;
}

#[tokio::test(start_paused = true)]
async fn w16_a_blocking_handler_is_told_and_answers_itself() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    session.run("r1", 1, "until_cancelled", &text("a")).await;
    session.accepted().await;
    session.cancel("r1", 1).await;
    assert_eq!(session.result().await.status(), JobStatus::Canceled);
    session.run("r2", 1, "busy", &count(3)).await;
    assert_eq!(session.result().await.status(), JobStatus::Ok);
}

#[tokio::test(start_paused = true)]
async fn w16_a_job_that_waits_for_a_thread_is_cancelled_at_once() {
    let mut fixture = Fixture::with(|options| options.limits.threads = 1);
    let mut session = fixture.session().await;
    session.run("r1", 1, "until_cancelled", &text("a")).await;
    session.run("r2", 1, "until_cancelled", &text("b")).await;
    session.run("r3", 1, "busy", &count(1)).await;
    session.accepted().await;
    session.accepted().await;
    session.accepted().await;
    session.cancel("r2", 1).await;
    let result = session.result().await;
    assert_eq!((result.request_id.as_str(), result.status()), ("r2", JobStatus::Canceled));
    assert_eq!(result.metrics, None, "its handler never started");
    session.cancel("r1", 1).await;
    assert_eq!(session.result().await.request_id, "r1");
    let result = session.result().await;
    assert_eq!((result.request_id.as_str(), result.status()), ("r3", JobStatus::Ok), "the thread came back");
}

#[tokio::test(start_paused = true)]
async fn w13_nothing_follows_a_result() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    session.run("r1", 1, "ticks", &count(100)).await;
    session.accepted().await;
    for want in 1..=3 {
        let Msg::JobProgress(progress) = session.next().await else { panic!("progress comes") };
        assert_eq!(progress.seq, want);
    }
    session.cancel("r1", 1).await;
    assert_eq!(session.result().await.status(), JobStatus::Canceled);
    session.silence().await;
}
