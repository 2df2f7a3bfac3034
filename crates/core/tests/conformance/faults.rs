//! What goes wrong outside: networks that say nothing, clocks that jump, messages at the limit, careless handlers.

use std::time::Duration;

use gen_worker_proto::{
    limits::MESSAGE_BYTES_MAX,
    pb::{self, JobStatus},
};
use tokio::time::{Instant, advance};

use crate::{
    fixture::Fixture,
    functions::{Text, text},
};

#[tokio::test(start_paused = true)]
async fn a_half_open_connection_is_noticed_and_loses_nothing() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    session.run("r1", 1, "gated-echo", &text("a")).await;
    session.accepted().await;
    let _kept = session.freeze();
    let began = Instant::now();
    fixture.probe.open("a");
    let (mut session, hello) = fixture.orchestrator.connect().await;
    // A ping after 20 s, 10 s for its answer, and the first backoff.
    assert!(began.elapsed() <= Duration::from_secs(32), "{:?}", began.elapsed());
    assert_eq!(hello.in_flight, [pb::InFlightJob { request_id: "r1".into(), attempt: 1 }]);
    assert_eq!(session.result().await.status(), JobStatus::Ok);
    session.silence().await;
    assert_eq!(fixture.probe.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_stopped_for_a_minute_goes_on() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    session.run("r1", 1, "gated-echo", &text("a")).await;
    session.accepted().await;
    // All timers are due at once, and nobody had any of that time to answer.
    advance(Duration::from_secs(60)).await;
    fixture.probe.open("a");
    let result = loop {
        // Either end may have given the connection up; then the next one has the result.
        match session.try_next().await {
            Some(pb::worker_message::Msg::JobResult(result)) => break result,
            Some(_) => {}
            None => session = fixture.orchestrator.connect().await.0,
        }
    };
    assert_eq!((result.request_id.as_str(), result.status()), ("r1", JobStatus::Ok));
    assert!(fixture.is_running());
    assert_eq!(fixture.probe.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn messages_up_to_the_limit_arrive_and_larger_ones_end_the_connection_only() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    session.run("r1", 1, "gated-echo", &text("a")).await;
    session.accepted().await;
    // Room for ids and the frame of the message.
    let large = rmp_serde::to_vec_named(&Text { text: "x".repeat(MESSAGE_BYTES_MAX - 1024) }).expect("encodes");
    session.run("r2", 1, "refuse", &large).await;
    let result = session.result().await;
    assert_eq!((result.request_id.as_str(), result.status()), ("r2", JobStatus::Invalid));
    assert!(result.safe_message.len() <= 1024, "cut");
    let beyond = rmp_serde::to_vec_named(&Text { text: "x".repeat(MESSAGE_BYTES_MAX + 1024) }).expect("encodes");
    session.run("r3", 1, "refuse", &beyond).await;
    let (mut session, hello) = fixture.orchestrator.connect().await;
    assert!(hello.in_flight.iter().any(|job| job.request_id == "r1"), "it goes on");
    fixture.probe.open("a");
    // What was not known to be written may come again.
    while session.result().await.request_id != "r1" {}
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_leaves_tasks_behind_keeps_no_place() {
    let mut fixture = Fixture::with(|options| options.limits.jobs_max = 1);
    let mut session = fixture.session().await;
    for id in ["r1", "r2", "r3"] {
        session.run(id, 1, "leaky", &text("a")).await;
        let result = session.result().await;
        assert_eq!((result.request_id.as_str(), result.status()), (id, JobStatus::Ok));
    }
}
