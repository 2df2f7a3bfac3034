//! Handshake, reconnect, refusals, credentials.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use gen_worker_core::{TokenCheck, TokenRefused};
use gen_worker_proto::pb::{self, JobStatus, scheduler_message::Msg as Outbound, worker_message::Msg};
use tokio::{sync::Semaphore, time::Instant};
use tonic::Code;

use crate::{
    fixture::Fixture,
    functions::{count, text},
};

#[tokio::test(start_paused = true)]
async fn c12_w18_a_job_outlives_the_stream_and_its_result_arrives_once() {
    let mut fixture = Fixture::start();
    let session = {
        let mut session = fixture.session().await;
        session.run("r1", 1, "gated-echo", &text("a")).await;
        session.accepted().await;
        session
    };
    session.cut();
    let (mut session, hello) = fixture.orchestrator.connect().await;
    assert_eq!(hello.in_flight, [pb::InFlightJob { request_id: "r1".into(), attempt: 1 }]);
    fixture.probe.open("a");
    assert_eq!(session.result().await.status(), JobStatus::Ok);
    // One more message each way: with them everything before is known to be written.
    session.run("r2", 1, "gated-echo", &text("b")).await;
    session.accepted().await;
    session.cancel("nobody", 1).await;
    session.silence().await;
    session.cut();
    let (mut session, hello) = fixture.orchestrator.connect().await;
    let r2 = pb::InFlightJob { request_id: "r2".into(), attempt: 1 };
    assert_eq!(hello.in_flight, [r2], "a written result is not pending");
    session.silence().await;
    assert_eq!(fixture.probe.runs(), 2);
}

#[tokio::test(start_paused = true)]
async fn c13_w6_a_result_finished_offline_comes_ahead_of_the_state() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    session.run("r2", 1, "gated-echo", &text("b")).await;
    session.run("r1", 1, "gated-echo", &text("a")).await;
    session.accepted().await;
    session.accepted().await;
    fixture.orchestrator.set_reachable(false);
    session.cut();
    fixture.probe.open("a");
    tokio::time::sleep(Duration::from_secs(20)).await;
    fixture.orchestrator.set_reachable(true);
    let (mut session, hello) = fixture.orchestrator.connect().await;
    let listed: Vec<_> = hello.in_flight.iter().map(|job| job.request_id.as_str()).collect();
    assert_eq!(listed, ["r1", "r2"], "running and pending, in order");
    let Msg::JobResult(result) = session.next().await else { panic!("the result comes first") };
    assert_eq!(result.request_id, "r1");
    assert!(matches!(session.next().await, Msg::StateDelta(_)));
}

#[tokio::test(start_paused = true)]
async fn c14_w15_a_cancel_for_a_listed_pair_ends_it() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    session.run("r1", 1, "gated-echo", &text("a")).await;
    session.accepted().await;
    session.cut();
    let (mut session, _) = fixture.orchestrator.connect().await;
    session.cancel("r1", 1).await;
    assert_eq!(session.result().await.status(), JobStatus::Canceled);
    session.silence().await;
}

#[tokio::test(start_paused = true)]
async fn c15_w10_a_redispatch_after_a_reconnect_replaces_the_attempt() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    session.run("r1", 1, "gated-echo", &text("a")).await;
    session.accepted().await;
    session.cut();
    let (mut session, _) = fixture.orchestrator.connect().await;
    session.run("r1", 2, "gated-echo", &text("a")).await;
    assert_eq!(session.accepted().await, ("r1".into(), 2));
    fixture.probe.open("a");
    assert_eq!(session.result().await.attempt, 2);
    session.silence().await;
}

#[tokio::test(start_paused = true)]
async fn c21_redials_lie_under_the_ceiling() {
    let mut fixture = Fixture::start();
    let session = fixture.session().await;
    fixture.orchestrator.next_dial().await;
    session.end(Code::Unavailable, "restart").await;
    let mut last = Instant::now();
    fixture.orchestrator.set_reachable(false);
    for ceiling in [1, 2, 4, 8, 16, 30, 30, 30] {
        let (_, at) = fixture.orchestrator.next_dial().await;
        let waited = at - last;
        assert!(waited <= Duration::from_millis(ceiling * 1000 + 10), "{waited:?} against {ceiling} s");
        last = at;
    }
    assert!(fixture.is_running());
}

#[tokio::test(start_paused = true)]
async fn c22_a_silent_orchestrator_is_given_up_after_30_s() {
    let mut fixture = Fixture::start();
    let call = fixture.orchestrator.next_call().await;
    let began = call.at;
    let mut session = call.accept();
    session.hello().await;
    let again = fixture.orchestrator.next_call().await;
    let waited = again.at - began;
    assert!((30..=32).contains(&waited.as_secs()), "{waited:?}");
    drop(session);
}

#[tokio::test(start_paused = true)]
async fn another_first_message_is_a_failed_handshake() {
    let mut fixture = Fixture::start();
    let session = fixture.orchestrator.next_call().await.accept();
    session.drain(0).await;
    fixture.session().await;
}

#[tokio::test(start_paused = true)]
async fn c23_redirects_are_followed_at_once_for_three_hops() {
    let mut fixture = Fixture::start();
    let began = Instant::now();
    for (hop, from) in ["leader", "a", "b", "c"].into_iter().enumerate() {
        let (address, at) = fixture.orchestrator.next_dial().await;
        assert_eq!((address.host(), address.tls()), (from, false));
        assert!(at - began < Duration::from_millis(100), "at once");
        let target = ["a", "b", "c", "d"].get(hop).expect("four hops");
        fixture.orchestrator.next_call().await.refuse(Code::FailedPrecondition, &format!("not_leader:{target}:7"));
    }
    let (address, _) = fixture.orchestrator.next_dial().await;
    assert_eq!(address.host(), "leader", "the fourth hop falls back");
    fixture.session().await;
}

#[tokio::test(start_paused = true)]
async fn c24_a_dead_token_ends_the_worker_after_three_strikes_and_a_minute() {
    let mut fixture = Fixture::start();
    let began = Instant::now();
    let mut strikes = 0;
    while fixture.is_running() {
        tokio::select! {
            call = fixture.orchestrator.next_call() => {
                call.refuse(Code::Unauthenticated, "bad token");
                strikes += 1;
            }
            () = tokio::time::sleep(Duration::from_secs(45)) => {}
        }
    }
    assert!(strikes >= 3 && began.elapsed() >= Duration::from_secs(60));
    assert_eq!(fixture.exit_code().await, 1);
}

#[tokio::test(start_paused = true)]
async fn c24_w3_fatal_refusals_end_the_worker_at_once() {
    for detail in
        ["worker_id_mismatch", "release_id_mismatch: x", "missing worker identity", "protocol_version_mismatch"]
    {
        let mut fixture = Fixture::start();
        fixture.orchestrator.next_call().await.refuse(Code::FailedPrecondition, detail);
        assert_eq!(fixture.exit_code().await, 1, "{detail}");
    }
    let mut fixture = Fixture::start();
    let mut session = fixture.orchestrator.next_call().await.accept();
    session.hello().await;
    session.send(Outbound::HelloAck(pb::HelloAck { protocol_version: 3, ..Default::default() })).await;
    assert_eq!(fixture.exit_code().await, 1);
}

#[tokio::test(start_paused = true)]
async fn c25_w21_a_refreshed_token_is_used_from_the_next_dial_on() {
    let mut fixture = Fixture::with(|options| options.token = Some("old".into()));
    let call = fixture.orchestrator.next_call().await;
    assert_eq!(call.authorization.as_deref(), Some("Bearer old"));
    let mut session = call.accept();
    session.hello().await;
    session.ack().await;
    session.ready().await;
    let refresh = |token: &str| Outbound::TokenRefresh(pb::TokenRefresh { token: token.into(), expires_at_unix: 1 });
    session.send(refresh("new")).await;
    session.send(refresh("")).await;
    session.run("r1", 1, "echo", &text("a")).await;
    assert_eq!(session.result().await.status(), JobStatus::Ok, "the stream goes on");
    session.end(Code::Unavailable, "restart").await;
    assert_eq!(fixture.orchestrator.next_call().await.authorization.as_deref(), Some("Bearer new"));
}

/// Takes tokens that begin with `good`, but not before the gate is open.
struct Gate(Arc<Semaphore>);

impl TokenCheck for Gate {
    fn check(&self, token: String) -> BoxFuture<'static, Result<(), TokenRefused>> {
        let gate = self.0.clone();
        Box::pin(async move {
            drop(gate.acquire().await);
            let good = token.starts_with("good");
            good.then_some(()).ok_or_else(|| TokenRefused { source: "wrong signature".into() })
        })
    }
}

#[tokio::test(start_paused = true)]
async fn w21_a_refreshed_token_is_used_only_if_it_passes_the_check() {
    let gate = Arc::new(Semaphore::new(0));
    let check = Arc::new(Gate(gate.clone()));
    let mut fixture = Fixture::with(|options| {
        options.token = Some("first".into());
        options.token_check = Some(check);
    });
    let refresh = |token: &str| Outbound::TokenRefresh(pb::TokenRefresh { token: token.into(), expires_at_unix: 1 });
    let mut expected = "Bearer first";
    for (pushed, then) in [
        (["good-1", "good-2"], "Bearer good-2"),
        // Only the latest is looked at, and it is forged.
        (["good-3", "forged"], "Bearer good-2"),
        (["forged", "good-4"], "Bearer good-4"),
    ] {
        let call = fixture.orchestrator.next_call().await;
        assert_eq!(call.authorization.as_deref(), Some(expected));
        let mut session = call.accept();
        session.hello().await;
        session.ack().await;
        session.ready().await;
        for token in pushed {
            session.send(refresh(token)).await;
        }
        session.run(pushed[1], 1, "echo", &text("a")).await;
        assert_eq!(session.result().await.status(), JobStatus::Ok, "the check holds nothing up");
        gate.add_permits(1);
        session.end(Code::Unavailable, "restart").await;
        expected = then;
    }
    assert_eq!(fixture.orchestrator.next_call().await.authorization.as_deref(), Some(expected));
}

#[tokio::test(start_paused = true)]
async fn without_a_token_there_is_no_header() {
    let mut fixture = Fixture::start();
    assert_eq!(fixture.orchestrator.next_call().await.authorization, None);
}

#[tokio::test(start_paused = true)]
async fn c26_a_superseded_worker_reconnects_and_reclaims() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    session.run("r1", 1, "gated-echo", &text("a")).await;
    session.accepted().await;
    session.end(Code::Aborted, "worker_stream_superseded").await;
    let (mut session, hello) = fixture.orchestrator.connect().await;
    assert_eq!(hello.in_flight.len(), 1);
    fixture.probe.open("a");
    assert_eq!(session.result().await.status(), JobStatus::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_worker_without_a_connection_gives_up_after_its_limit() {
    let mut fixture = Fixture::start();
    fixture.orchestrator.set_reachable(false);
    let began = Instant::now();
    assert_eq!(fixture.exit_code().await, 1);
    let waited = began.elapsed().as_secs();
    assert!((600..=601).contains(&waited), "{waited} s");
}

#[tokio::test(start_paused = true)]
async fn c31_w6_a_repeated_acknowledgement_is_answered_with_state() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    session
        .send(Outbound::HelloAck(pb::HelloAck {
            protocol_version: 2,
            file_base_url: "http://other".into(),
            keep: vec!["a/b".into()],
            ..Default::default()
        }))
        .await;
    assert!(matches!(session.next().await, Msg::StateDelta(state) if state.phase() == pb::WorkerPhase::Ready));
    session.silence().await;
}

#[tokio::test(start_paused = true)]
async fn c33_w4_unknown_messages_break_nothing() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    session.send_unknown().await;
    session.send(Outbound::ModelOp(pb::ModelOp { op: 99, r#ref: "a/b".into(), snapshot: None })).await;
    session.run_job(pb::RunJob { function_name: "echo".into(), ..Default::default() }).await;
    session.run("r1", 1, "echo", &text("a")).await;
    assert_eq!(session.accepted().await, ("r1".into(), 1));
    assert_eq!(session.result().await.status(), JobStatus::Ok);
}

#[tokio::test(start_paused = true)]
async fn w2_hello_lists_pairs_in_order_without_duplicates() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    for id in ["c", "a", "b"] {
        session.run(id, 1, "slow", &count(3_600_000)).await;
        session.accepted().await;
    }
    session.cut();
    let (_session, hello) = fixture.orchestrator.connect().await;
    let listed: Vec<_> = hello.in_flight.iter().map(|job| job.request_id.as_str()).collect();
    assert_eq!(listed, ["a", "b", "c"]);
}
