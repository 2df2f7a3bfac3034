//! Where the time of a job went, as everybody hears it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use gen_worker_core::{
    JobObserver, JobRecord, SlotLauncher, SlotOptions,
    endpoint::Isolation,
    slot::{InMemorySlots, LaunchedSlot},
};
use gen_worker_proto::pb::{self, JobStatus, scheduler_message::Msg as Outbound, worker_message::Msg};
use parking_lot::Mutex;

use crate::{
    fixture::Fixture,
    functions::{Probe, count, text},
    shelf::{Setup, Shelf, none, reader},
};

/// Function, status, phases in seconds.
type Seen = (String, JobStatus, Vec<(&'static str, u64)>);

#[derive(Default)]
struct Watch(Mutex<Vec<Seen>>);

impl JobObserver for Watch {
    fn ended(&self, record: &JobRecord<'_>) {
        let phases = record.phases.iter().map(|phase| (phase.kind.as_str(), phase.took.as_secs())).collect();
        let total: Duration = record.phases.iter().map(|phase| phase.took).sum();
        assert_eq!(total, record.took, "no moment is unaccounted for");
        self.0.lock().push((record.function.to_string(), record.status, phases));
    }
}

#[tokio::test(start_paused = true)]
async fn a_cold_job_tells_what_it_waited_for() {
    let (shelf, probe, watch) = (Shelf::new(), Probe::default(), Arc::new(Watch::default()));
    shelf.seconds.store(12, Ordering::SeqCst);
    let functions = reader(none(), "read", "o/a", 1, &Setup::default(), &probe);
    let observer = watch.clone();
    let mut fixture =
        Fixture::with_models(functions, probe, shelf, move |options| options.observer = Some(observer.clone()));
    let mut session = fixture.session().await;
    let files = pb::Snapshot { digest: "d".into(), ..Default::default() };
    session
        .run_job(pb::RunJob {
            request_id: "r1".into(),
            attempt: 1,
            function_name: "read".into(),
            input_payload: text("now").into(),
            snapshots: [("o/a".to_owned(), files)].into(),
            ..Default::default()
        })
        .await;
    let progress = loop {
        match session.next().await {
            Msg::JobProgress(progress) => break progress,
            Msg::JobResult(result) => panic!("the ledger comes before {result:?}"),
            _ => {}
        }
    };
    assert_eq!((progress.seq, progress.content_type.as_str()), (1, "application/x-request-event+json"));
    let event: serde_json::Value = serde_json::from_slice(&progress.data).expect("JSON");
    assert_eq!((&event["type"], &event["request_id"]), (&"request.log".into(), &"r1".into()));
    assert_eq!(
        (&event["payload"]["message"], &event["payload"]["download_ms"]),
        (&"cold start".into(), &12_000.into())
    );
    assert_eq!(session.result().await.status(), JobStatus::Ok);
    session.run("r2", 1, "read", &text("now")).await;
    loop {
        match session.next().await {
            Msg::JobProgress(progress) => panic!("a warm job has nothing to tell: {progress:?}"),
            Msg::JobResult(_) => break,
            _ => {}
        }
    }
    let seen = std::mem::take(&mut *watch.0.lock());
    let want = [("read".to_owned(), JobStatus::Ok, vec![("download", 12)]), ("read".to_owned(), JobStatus::Ok, vec![])];
    // What took less than a second is there, and shows as 0.
    let seen: Vec<_> = seen
        .into_iter()
        .map(|(function, status, phases)| {
            (function, status, phases.into_iter().filter(|(_, took)| *took > 0).collect::<Vec<_>>())
        })
        .collect();
    assert_eq!(seen, want);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_ends_early_is_accounted_for_too() {
    let watch = Arc::new(Watch::default());
    let observer = watch.clone();
    let mut fixture = Fixture::with(move |options| options.observer = Some(observer.clone()));
    let mut session = fixture.session().await;
    session
        .run_job(pb::RunJob {
            request_id: "r1".into(),
            attempt: 1,
            function_name: "slow".into(),
            input_payload: count(60_000).into(),
            timeout_ms: 5_000,
            ..Default::default()
        })
        .await;
    assert_eq!(session.result().await.safe_message, "deadline exceeded");
    assert_eq!(*watch.0.lock(), [("slow".to_owned(), JobStatus::Fatal, vec![("run", 5)])]);
}

/// Processes that take two seconds to start.
struct SlowStart(InMemorySlots);

impl SlotLauncher for SlowStart {
    fn launch(&self) -> BoxFuture<'static, std::io::Result<LaunchedSlot>> {
        let launching = self.0.launch();
        async move {
            tokio::time::sleep(Duration::from_secs(2)).await; // tidy: a start on the paused clock of its test; nothing waits in real time
            launching.await
        }
        .boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_needs_a_process_of_its_own_tells_of_its_start_and_setup() {
    let (watch, probe, setup) = (Arc::new(Watch::default()), Probe::default(), Setup::default());
    let shelf = Shelf::new();
    shelf.has("o/a");
    setup.opening.store(3, Ordering::SeqCst);
    let functions = {
        let (setup, probe) = (setup.clone(), probe.clone());
        move || reader(none(), "read", "o/a", 1, &setup, &probe).isolation(Isolation::Process)
    };
    let children = functions.clone();
    let slots = SlowStart(InMemorySlots::new(move || children().build().expect("sound")));
    let observer = watch.clone();
    let mut fixture = Fixture::with_models(functions(), probe, shelf, move |options| {
        options.slots = Some(SlotOptions::new(Arc::new(slots)));
        options.observer = Some(observer);
    });
    // The process that starts with the worker is not there yet when the first job comes.
    let (mut session, _) = fixture.orchestrator.connect().await;
    session.run("r1", 1, "read", &text("now")).await;
    assert_eq!(session.result().await.status(), JobStatus::Ok);
    assert_eq!(*watch.0.lock().remove(0).2, [("wait_for_place", 5)]);
    // One that has to be started anew.
    let unload = pb::ModelOp { op: pb::ModelOpKind::Unload.into(), r#ref: "o/a".into(), snapshot: None };
    session.send(Outbound::ModelOp(unload)).await;
    while !matches!(session.next().await, Msg::ModelEvent(event) if event.state() == pb::ModelState::OnDisk) {}
    session.run("r2", 1, "read", &text("now")).await;
    let progress = loop {
        if let Msg::JobProgress(progress) = session.next().await {
            break progress;
        }
    };
    let event: serde_json::Value = serde_json::from_slice(&progress.data).expect("JSON");
    assert_eq!((&event["payload"]["spawn_ms"], &event["payload"]["setup_ms"]), (&2_000.into(), &3_000.into()));
    assert_eq!(session.result().await.status(), JobStatus::Ok);
    let phases = watch.0.lock().remove(0).2;
    let long: Vec<_> = phases.into_iter().filter(|(_, took)| *took > 0).collect();
    assert_eq!(long, [("spawn", 2), ("setup", 3)]);
}
