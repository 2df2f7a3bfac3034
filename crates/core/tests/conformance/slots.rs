//! Functions with processes of their own, through the whole worker. The processes are tasks here, so that the clock
//! can be paused; real ones run in the system tests.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures::{StreamExt, future::pending, stream};
use gen_worker_core::{
    Ended, Registry, RegistryBuilder, RequestContext, Result, SlotOptions, WorkerExit,
    endpoint::Isolation,
    slot::{InMemorySlots, SlotExit},
};
use gen_worker_proto::pb::{self, JobStatus, worker_message::Msg};

use crate::{
    fixture::Fixture,
    functions::{Count, Probe, Text, count, text},
    orchestrator::Session,
};

/// Handlers that wait.
type Held = Arc<AtomicUsize>;

fn functions(held: &Held) -> RegistryBuilder {
    let held = held.clone();
    Registry::builder()
        .asynchronous("echo", |_: RequestContext, input: Text| async move { Ok(input) })
        .asynchronous("slot_echo", |_: RequestContext, input: Text| async move { Ok(input) })
        .isolation(Isolation::Process)
        .asynchronous("slot_hold", move |_: RequestContext, _: Text| {
            let held = held.clone();
            async move {
                held.fetch_add(1, Ordering::SeqCst);
                pending::<Result<Text>>().await
            }
        })
        .isolation(Isolation::Process)
        .streaming("slot_count", |_: RequestContext, input: Count| {
            stream::iter(0..input.count).map(|count| Ok(Count { count }))
        })
        .isolation(Isolation::Process)
}

struct Isolated {
    fixture: Fixture,
    slots: Arc<InMemorySlots>,
    options: SlotOptions,
    held: Held,
}

fn isolated() -> Isolated {
    let held = Held::default();
    let children = held.clone();
    let slots = Arc::new(InMemorySlots::new(move || functions(&children).build().expect("sound")));
    let options = SlotOptions::new(slots.clone());
    let given = options.clone();
    let fixture = Fixture::serving(functions(&held), Probe::default(), |options| options.slots = Some(given));
    Isolated { fixture, slots, options, held }
}

impl Isolated {
    /// Waits until so many handlers wait.
    async fn holding(&self, count: usize) {
        while self.held.load(Ordering::SeqCst) < count {
            tokio::task::yield_now().await;
        }
    }
}

async fn ended(session: &mut Session) -> (String, JobStatus, String) {
    let result = session.result().await;
    (result.request_id.clone(), result.status(), result.safe_message)
}

#[tokio::test(start_paused = true)]
async fn isolated_functions_are_served_like_others() {
    let mut isolated = isolated();
    let mut session = isolated.fixture.session().await;
    for number in 1..=3 {
        session.run(&format!("r{number}"), 1, "slot-echo", &text("hi")).await;
        let result = session.result().await;
        assert_eq!(result.status(), JobStatus::Ok, "{}", result.safe_message);
        assert!(matches!(result.output, Some(pb::job_result::Output::Inline(output)) if *output == *text("hi")));
    }
    session.run("s1", 1, "slot-count", &count(3)).await;
    session.accepted().await;
    for want in 1..=3 {
        let Msg::JobProgress(progress) = session.next().await else { panic!("progress comes") };
        assert_eq!(progress.seq, want);
    }
    assert_eq!(session.result().await.status(), JobStatus::Ok);
    assert_eq!(isolated.options.counters.read().started, 3, "one child per function");
}

#[tokio::test(start_paused = true)]
async fn e32_an_isolated_function_runs_one_call_at_a_time_unless_it_says_more() {
    let mut isolated = isolated();
    let mut session = isolated.fixture.session().await;
    session.run("r1", 1, "slot-hold", &text("a")).await;
    session.accepted().await;
    session.run("r2", 1, "slot-hold", &text("b")).await;
    assert_eq!(ended(&mut session).await, ("r2".into(), JobStatus::Retryable, "worker busy".into()));
}

#[tokio::test(start_paused = true)]
async fn a_crash_ends_its_own_job_retryable_once_and_then_fatal() {
    let mut isolated = isolated();
    let mut session = isolated.fixture.session().await;
    session.run("r1", 1, "slot-hold", &text("a")).await;
    session.accepted().await;
    isolated.holding(1).await;
    isolated.slots.crash(SlotExit::Signal(11));
    let crashed = "worker slot crashed: signal 11 (SIGSEGV)".to_owned();
    assert_eq!(ended(&mut session).await, ("r1".into(), JobStatus::Retryable, crashed));
    session.run("r1", 2, "slot-hold", &text("a")).await;
    session.accepted().await;
    isolated.holding(2).await;
    isolated.slots.crash(SlotExit::Code(134));
    let crashed = "worker slot crashed: exit code 134".to_owned();
    assert_eq!(ended(&mut session).await, ("r1".into(), JobStatus::Fatal, crashed));
    session.run("r2", 1, "slot-echo", &text("b")).await;
    assert_eq!(session.result().await.status(), JobStatus::Ok);
    session.run("r3", 1, "echo", &text("c")).await;
    assert_eq!(session.result().await.status(), JobStatus::Ok);
}

#[tokio::test(start_paused = true)]
async fn w16_a_cancel_is_answered_at_once_and_the_slot_serves_on() {
    let mut isolated = isolated();
    let mut session = isolated.fixture.session().await;
    session.run("r1", 1, "slot-hold", &text("a")).await;
    session.accepted().await;
    isolated.holding(1).await;
    session.cancel("r1", 1).await;
    assert_eq!(ended(&mut session).await, ("r1".into(), JobStatus::Canceled, "canceled".into()));
    // Accepted at once, run when the slot is free.
    session.run("r2", 1, "slot-hold", &text("b")).await;
    session.accepted().await;
    isolated.holding(2).await;
    let counts = isolated.options.counters.read();
    assert_eq!((counts.cancels, counts.killed), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn w17_a_deadline_ends_the_job_and_frees_the_slot() {
    let mut isolated = isolated();
    let mut session = isolated.fixture.session().await;
    for id in ["r1", "r2"] {
        session
            .run_job(pb::RunJob {
                request_id: id.into(),
                attempt: 1,
                function_name: "slot-hold".into(),
                input_payload: text("a").into(),
                timeout_ms: 250,
                ..Default::default()
            })
            .await;
        assert_eq!(ended(&mut session).await, (id.into(), JobStatus::Fatal, "deadline exceeded".into()));
    }
    isolated.holding(2).await;
}

#[tokio::test(start_paused = true)]
async fn w10_a_newer_attempt_takes_the_slot_of_the_older_one() {
    let mut isolated = isolated();
    let mut session = isolated.fixture.session().await;
    session.run("r1", 1, "slot-hold", &text("a")).await;
    session.accepted().await;
    isolated.holding(1).await;
    session.run("r1", 2, "slot-hold", &text("a")).await;
    assert_eq!(session.accepted().await, ("r1".into(), 2));
    isolated.holding(2).await;
    session.cancel("r1", 2).await;
    assert_eq!(session.result().await.attempt, 2);
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_the_children_go() {
    let mut isolated = isolated();
    let mut session = isolated.fixture.session().await;
    session.run("r1", 1, "slot-echo", &text("a")).await;
    session.accepted().await;
    session.drain(1_000).await;
    while session.try_next().await.is_some() {}
    session.finish();
    assert_eq!(isolated.fixture.ended().await.expect("a good end"), Ended::Drained);
    assert_eq!(isolated.slots.running(), 0);
    assert_eq!(isolated.options.counters.read().killed, 0);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_cannot_start_processes_does_not_serve_functions_that_need_them() {
    let mut fixture = Fixture::serving(functions(&Held::default()), Probe::default(), |_| {});
    let exit = fixture.ended().await.expect_err("it cannot");
    assert_eq!((exit.exit_code(), exit.to_string().contains("slot-count")), (1, true), "{exit}");
    assert!(matches!(exit, WorkerExit::NoSlots(_)));
}
