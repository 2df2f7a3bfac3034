//! Residency commands, and what the orchestrator hears of models whoever moves them.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use gen_worker_core::{ModelError, endpoint::ResourcesDecl, gpu::Gpu};
use gen_worker_proto::pb::{
    self, JobStatus, ModelOpKind, ModelState, ResidencyTier, scheduler_message::Msg as Outbound, worker_message::Msg,
};

use tokio::time::Instant;

use crate::{
    fixture::Fixture,
    functions::{Probe, text},
    orchestrator::Session,
    shelf::{Failure, Setup, Shelf, demanding, none, reader},
};

/// What came about a model: state, error.
type Seen = (ModelState, String);

pub fn op(kind: ModelOpKind, reference: &str, with_files: bool) -> Outbound {
    let snapshot = with_files.then(|| pb::Snapshot { digest: "d".into(), ..Default::default() });
    Outbound::ModelOp(pb::ModelOp { op: kind.into(), r#ref: reference.into(), snapshot })
}

/// Events up to the one that ends an operation.
async fn until(session: &mut Session, last: &[ModelState]) -> Vec<Seen> {
    let mut seen = Vec::new();
    loop {
        if let Msg::ModelEvent(event) = session.next().await {
            seen.push((event.state(), event.error.clone()));
            if last.contains(&event.state()) {
                return seen;
            }
        }
    }
}

fn states(seen: &[Seen]) -> Vec<ModelState> {
    seen.iter().map(|(state, _)| *state).collect()
}

async fn failure(session: &mut Session) -> String {
    let mut seen = until(session, &[ModelState::Failed]).await;
    seen.pop().expect("the loop ends with it").1
}

async fn listed(session: &mut Session, want: impl Fn(&pb::StateDelta) -> bool) -> pb::StateDelta {
    loop {
        let state = session.state().await;
        if want(&state) {
            return state;
        }
    }
}

fn one_reader(shelf: &Arc<Shelf>, setup: &Setup) -> (Fixture, Probe) {
    let probe = Probe::default();
    let functions = reader(none(), "read", "o/a", 1, setup, &probe);
    (Fixture::with_models(functions, probe.clone(), shelf.clone(), |_| {}), probe)
}

#[tokio::test(start_paused = true)]
async fn c34_w23_every_operation_is_answered_once() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    for (kind, reference, error) in [
        (ModelOpKind::AdoptCompileCache, "_system/family-x#inductor-sm89-torch2.9", "adopt_failed:no_endpoint"),
        (ModelOpKind::AdoptCompileCache, "a/b", "adopt_failed:bad_ref"),
        (ModelOpKind::Load, "a/b", "load_failed"),
        (ModelOpKind::Download, "a/b", "download_failed"),
    ] {
        session.send(op(kind, reference, false)).await;
        let Msg::ModelEvent(event) = session.next().await else { panic!("an event comes") };
        assert_eq!((event.state(), event.error.as_str(), event.r#ref.as_str()), (ModelState::Failed, error, reference));
    }
    session.send(op(ModelOpKind::Unload, "a/b", false)).await;
    assert_eq!(states(&until(&mut session, &[ModelState::Evicted]).await), [ModelState::Evicted]);
    session.silence().await;
}

#[tokio::test(start_paused = true)]
async fn c27_a_model_is_downloaded_loaded_read_and_unloaded() {
    let shelf = Shelf::new();
    shelf.seconds.store(12, Ordering::SeqCst);
    let (mut fixture, _) = one_reader(&shelf, &Setup::default());
    let (mut session, hello) = fixture.orchestrator.connect().await;
    assert_eq!(hello.models, []);
    let state = session.ready().await;
    assert_eq!((state.available_functions, state.loading_functions), (vec![], vec!["read".to_owned()]), "O22");

    session.send(op(ModelOpKind::Download, "o/a", true)).await;
    let seen = until(&mut session, &[ModelState::OnDisk]).await;
    // At most every 5 s of the 12: at 0, 5, 10.
    let downloading = ModelState::Downloading;
    assert_eq!(states(&seen), [downloading, downloading, downloading, ModelState::OnDisk]);
    // The operation itself ends with the state, too.
    assert_eq!(states(&until(&mut session, &[ModelState::OnDisk]).await), [ModelState::OnDisk]);

    session.send(op(ModelOpKind::Load, "o/a", true)).await;
    assert_eq!(states(&until(&mut session, &[ModelState::InRam]).await), [ModelState::InRam]);
    let state = listed(&mut session, |state| !state.available_functions.is_empty()).await;
    assert_eq!((state.available_functions, state.loading_functions), (vec!["read".to_owned()], vec![]));
    session.send(op(ModelOpKind::Load, "o/a", true)).await;
    assert_eq!(states(&until(&mut session, &[ModelState::InRam]).await), [ModelState::InRam], "11.5: nothing changed");

    session.run("r1", 1, "read", &text("now")).await;
    let result = session.result().await;
    assert_eq!(result.status(), JobStatus::Ok);
    let Some(pb::job_result::Output::Inline(output)) = result.output else { panic!("inline") };
    assert!(output.ends_with(b"weights of o/a"));

    session.cut();
    let (mut session, hello) = fixture.orchestrator.connect().await;
    let held: Vec<_> = hello.models.iter().map(|model| (model.r#ref.as_str(), model.tier())).collect();
    assert_eq!(held, [("o/a", ResidencyTier::Ram)], "the highest tier");

    session.send(op(ModelOpKind::Unload, "o/a", false)).await;
    assert_eq!(states(&until(&mut session, &[ModelState::OnDisk]).await), [ModelState::OnDisk]);
    let state = listed(&mut session, |state| state.available_functions.is_empty()).await;
    assert_eq!(state.loading_functions, ["read"]);
    shelf.forget("o/a");
    session.send(op(ModelOpKind::Unload, "o/a", false)).await;
    assert_eq!(states(&until(&mut session, &[ModelState::Evicted]).await), [ModelState::Evicted]);
}

#[tokio::test(start_paused = true)]
async fn c28_a_setup_that_fails_is_told_and_a_good_load_restores() {
    let (shelf, setup) = (Shelf::new(), Setup::default());
    shelf.has("o/a");
    setup.broken.store(true, Ordering::SeqCst);
    let (mut fixture, _) = one_reader(&shelf, &setup);
    let (mut session, _) = fixture.orchestrator.connect().await;
    let why = loop {
        if let Msg::FnUnavailable(why) = session.next().await {
            break why;
        }
    };
    assert_eq!((why.function_name.as_str(), why.reason.as_str()), ("read", "setup_failed"));
    let state = session.ready().await;
    assert!(state.available_functions.is_empty() && state.loading_functions.is_empty(), "in neither list");
    session.send(op(ModelOpKind::Load, "o/a", false)).await;
    assert_eq!(failure(&mut session).await, "load_failed");
    setup.broken.store(false, Ordering::SeqCst);
    setup.oom.store(true, Ordering::SeqCst);
    session.send(op(ModelOpKind::Load, "o/a", false)).await;
    assert_eq!(failure(&mut session).await, "oom");
    setup.oom.store(false, Ordering::SeqCst);
    session.send(op(ModelOpKind::Load, "o/a", false)).await;
    assert_eq!(states(&until(&mut session, &[ModelState::InRam]).await), [ModelState::InRam]);
    let state = session.state().await;
    assert_eq!(state.available_functions, ["read"], "restored");
    session.send(op(ModelOpKind::Unload, "o/a", false)).await;
    until(&mut session, &[ModelState::OnDisk]).await;
    setup.broken.store(true, Ordering::SeqCst);
    session.send(op(ModelOpKind::Load, "o/a", false)).await;
    let (mut told, mut failed) = (0, false);
    while told == 0 || !failed {
        match session.next().await {
            Msg::FnUnavailable(_) => told += 1,
            Msg::ModelEvent(event) => failed = event.state() == ModelState::Failed,
            _ => {}
        }
    }
    assert_eq!(told, 1, "a new failure is told again");
}

#[tokio::test(start_paused = true)]
async fn c29_failures_are_told_once_with_their_word() {
    let shelf = Shelf::new();
    let (mut fixture, probe) = one_reader(&shelf, &Setup::default());
    let mut session = fixture.session().await;
    let full = |reference: &str| ModelError::InsufficientDisk {
        reference: reference.into(),
        required_bytes: 2,
        available_bytes: 1,
    };
    let broken = |reference: &str| ModelError::Source { reference: reference.into(), source: "cut".into() };
    let expired = |reference: &str| ModelError::UrlExpired(reference.into());
    let mismatch = |reference: &str| ModelError::DigestMismatch(reference.into());
    let table: [(&[Failure], &str, usize); 4] = [
        (&[expired], "url_expired", 1),
        (&[full], "insufficient_disk", 1),
        (&[mismatch, mismatch, mismatch], "digest_mismatch", 3),
        (&[broken, broken, broken], "download_failed", 3),
    ];
    for (failures, word, tries) in table {
        for kind in [ModelOpKind::Download, ModelOpKind::Load] {
            let before = shelf.fetches.load(Ordering::SeqCst);
            shelf.fails("o/a", failures);
            session.send(op(kind, "o/a", true)).await;
            assert_eq!(failure(&mut session).await, word);
            assert_eq!(shelf.fetches.load(Ordering::SeqCst) - before, tries, "{word}");
        }
    }
    session.send(op(ModelOpKind::Download, "o/a", false)).await;
    assert_eq!(failure(&mut session).await, "missing_snapshot");
    session.silence().await;

    // What fails twice and then works is no failure.
    shelf.fails("o/a", &[broken, mismatch]);
    session.send(op(ModelOpKind::Load, "o/a", true)).await;
    until(&mut session, &[ModelState::InRam]).await;
    session.run("r1", 1, "read", &text("wait")).await;
    session.accepted().await;
    session.send(op(ModelOpKind::Unload, "o/a", false)).await;
    assert_eq!(failure(&mut session).await, "model_in_use");
    probe.open("wait");
    assert_eq!(session.result().await.status(), JobStatus::Ok, "the job did not notice");
    session.send(op(ModelOpKind::Unload, "o/a", false)).await;
    assert_eq!(states(&until(&mut session, &[ModelState::OnDisk]).await), [ModelState::OnDisk]);
}

#[tokio::test(start_paused = true)]
async fn w22_operations_on_one_ref_keep_their_order_and_others_do_not_wait() {
    let shelf = Shelf::new();
    shelf.seconds.store(30, Ordering::SeqCst);
    let (probe, setup) = (Probe::default(), Setup::default());
    let functions = reader(none(), "read", "o/a", 1, &setup, &probe);
    let functions = reader(functions, "other", "o/b", 1, &setup, &probe);
    let mut fixture = Fixture::with_models(functions, probe, shelf.clone(), |_| {});
    let mut session = fixture.session().await;
    shelf.has("o/b");
    session.send(op(ModelOpKind::Download, "o/a", true)).await;
    session.send(op(ModelOpKind::Load, "o/a", true)).await;
    session.send(op(ModelOpKind::Unload, "o/a", false)).await;
    session.send(op(ModelOpKind::Download, "o/b", true)).await;
    session.run("r1", 1, "nothing", &text("x")).await;
    let (mut of_a, mut b_at, mut answered) = (Vec::new(), None, false);
    while of_a.len() < 4 || !answered {
        match session.next().await {
            Msg::ModelEvent(event) if event.r#ref == "o/a" && event.state() != ModelState::Downloading => {
                of_a.push(event.state());
            }
            Msg::ModelEvent(event) if event.r#ref == "o/b" => b_at = Some(of_a.len()),
            Msg::JobResult(_) => answered = of_a.is_empty(),
            _ => {}
        }
    }
    assert_eq!(b_at, Some(0), "another ref and the receive path go on meanwhile");
    let (disk, ram) = (ModelState::OnDisk, ModelState::InRam);
    assert_eq!(of_a, [disk, disk, ram, disk], "arrival order: transfer done, downloaded, loaded, unloaded");
}

#[tokio::test(start_paused = true)]
async fn a_cold_job_brings_its_files_and_everybody_hears_of_it() {
    let shelf = Shelf::new();
    let (mut fixture, _) = one_reader(&shelf, &Setup::default());
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
    let seen = until(&mut session, &[ModelState::InRam]).await;
    assert_eq!(states(&seen), [ModelState::Downloading, ModelState::OnDisk, ModelState::InRam]);
    assert_eq!(session.result().await.status(), JobStatus::Ok);
    // An expired address is the orchestrator's to renew.
    session.send(op(ModelOpKind::Unload, "o/a", false)).await;
    until(&mut session, &[ModelState::OnDisk]).await;
    shelf.fails("o/a", &[|reference| ModelError::UrlExpired(reference.into())]);
    session.run("r2", 1, "read", &text("now")).await;
    let result = session.result().await;
    assert_eq!((result.status(), result.safe_message.as_str()), (JobStatus::Retryable, "model download url expired"));
}

#[tokio::test(start_paused = true)]
async fn m11_8_idle_models_make_room_and_busy_ones_never() {
    let (shelf, probe, setup) = (Shelf::new(), Probe::default(), Setup::default());
    for model in ["o/a", "o/b", "o/c"] {
        shelf.has(model);
    }
    // 9 GiB are free, 2 of them must stay so: two of the three fit.
    let functions = reader(none(), "read-a", "o/a", 4, &setup, &probe);
    let functions = reader(functions, "read-b", "o/b", 4, &setup, &probe);
    let functions = reader(functions, "read-c", "o/c", 4, &setup, &probe);
    let memory = setup.memory.clone();
    let mut fixture = Fixture::with_models(functions, probe.clone(), shelf, |options| options.memory = memory);
    let mut session = fixture.session().await;
    session.run("r1", 1, "read-b", &text("wait-b")).await;
    session.run("r2", 1, "read-c", &text("wait-c")).await;
    session.accepted().await;
    session.accepted().await;
    // Accepted is not loaded: only what runs keeps its model from making room.
    probe.ran(2).await;
    session.run("r3", 1, "read-a", &text("now")).await;
    // What was idle makes room for the two that run, at any time from here on.
    let result = loop {
        match session.next().await {
            Msg::JobResult(result) => break result,
            Msg::JobAccepted(_) | Msg::ModelEvent(_) | Msg::StateDelta(_) => {}
            other => panic!("neither an acceptance nor a result: {other:?}"),
        }
    };
    assert_eq!((result.request_id.as_str(), result.status()), ("r3", JobStatus::Retryable), "12.6: for the moment");
    assert!(result.safe_message.starts_with("no room to load the model"), "{}", result.safe_message);
    probe.open("wait-b");
    assert_eq!(session.result().await.status(), JobStatus::Ok);
    session.run("r4", 1, "read-a", &text("now")).await;
    let (mut gone, mut result) = (Vec::new(), None);
    while result.is_none() {
        match session.next().await {
            Msg::ModelEvent(event) if event.state() == ModelState::OnDisk => gone.push(event.r#ref),
            Msg::JobResult(end) => result = Some(end),
            _ => {}
        }
    }
    assert_eq!(result.expect("the loop ends with it").status(), JobStatus::Ok);
    assert_eq!(gone, ["o/b"], "the idle one went");
    probe.open("wait-c");
    assert_eq!(session.result().await.request_id, "r2");
}

#[tokio::test(start_paused = true)]
async fn e31_w12_3_functions_that_need_another_machine_are_not_offered() {
    let gpu = ResourcesDecl { gpu: true, ..Default::default() };
    let vram = ResourcesDecl { vram_gb: Some(40.0), ..Default::default() };
    let functions = demanding(none(), "plain", ResourcesDecl::default());
    let functions = demanding(demanding(functions, "on-gpu", gpu), "on-large-gpu", vram);
    let card = Gpu { name: "L4".into(), capability: (8, 9), total_bytes: 24 << 30 };
    let mut fixture = Fixture::serving(functions, Probe::default(), |options| options.gpus = vec![card]);
    let (mut session, hello) = fixture.orchestrator.connect().await;
    let resources = hello.resources.expect("facts");
    assert_eq!((resources.gpu_count, resources.gpu_sm.as_str()), (1, "89"));
    let Msg::FnUnavailable(why) = session.next().await else { panic!("the gate comes before the state") };
    assert_eq!((why.function_name.as_str(), why.reason.as_str()), ("on-large-gpu", "insufficient_vram"));
    assert_eq!(why.axes["detected_vram_gb"], "24");
    assert_eq!(session.ready().await.available_functions, ["on-gpu", "plain"]);
    session.run("r1", 1, "on-large-gpu", &text("x")).await;
    let result = session.result().await;
    let want = (JobStatus::Retryable, "function unavailable: insufficient_vram");
    assert_eq!((result.status(), result.safe_message.as_str()), want);
}

#[tokio::test(start_paused = true)]
async fn c31_the_models_to_spare_are_those_of_the_latest_acknowledgement() {
    let shelf = Shelf::new();
    let (mut fixture, _) = one_reader(&shelf, &Setup::default());
    let mut session = fixture.session().await;
    for keep in [vec!["o/a".to_owned(), "o/b".to_owned()], vec!["o/c".to_owned()]] {
        let ack = pb::HelloAck { protocol_version: 2, keep: keep.clone(), ..Default::default() };
        session.send(Outbound::HelloAck(ack)).await;
        session.state().await;
        assert_eq!(*shelf.kept.lock(), keep);
    }
}

#[tokio::test(start_paused = true)]
async fn m12_1_the_view_of_the_older_interface_follows_the_order_of_use() {
    let (shelf, probe, setup) = (Shelf::new(), Probe::default(), Setup::default());
    let functions = reader(reader(none(), "read", "o/a", 1, &setup, &probe), "other", "o/b", 1, &setup, &probe);
    for reference in ["o/a", "o/b"] {
        shelf.has(reference);
    }
    let mut fixture = Fixture::with_models(functions, probe, shelf, |_| {});
    let mut session = fixture.session().await;
    for (number, (function, order)) in
        [("read", ["o/b", "o/a"]), ("other", ["o/a", "o/b"]), ("read", ["o/b", "o/a"])].into_iter().enumerate()
    {
        read(&mut session, &format!("r{number}"), function).await;
        assert_eq!(fixture.cache.stats().disk_models, order, "a job of {function}");
    }
}

#[tokio::test(start_paused = true)]
async fn jobs_that_wait_for_one_load_share_its_failure() {
    let shelf = Shelf::new();
    let (mut fixture, _) = one_reader(&shelf, &Setup::default());
    let mut session = fixture.session().await;
    let mismatch: Failure = |reference| ModelError::DigestMismatch(reference.into());
    shelf.fails("o/a", &[mismatch; 300]);
    let (began, before) = (Instant::now(), shelf.fetches.load(Ordering::SeqCst));
    for number in 0..20 {
        session.run(&format!("r{number}"), 1, "read", &text("now")).await;
    }
    for _ in 0..20 {
        assert_eq!(session.result().await.status(), JobStatus::Retryable);
    }
    assert!(began.elapsed() <= Duration::from_secs(6), "{:?}", began.elapsed());
    assert_eq!(shelf.fetches.load(Ordering::SeqCst) - before, 3, "the tries of one");
}

#[tokio::test(start_paused = true)]
async fn w22_a_download_holds_up_no_other_load() {
    let (shelf, probe, setup) = (Shelf::new(), Probe::default(), Setup::default());
    let functions = reader(reader(none(), "read", "o/a", 1, &setup, &probe), "other", "o/b", 1, &setup, &probe);
    let mut fixture = Fixture::with_models(functions, probe, shelf.clone(), |_| {});
    let mut session = fixture.session().await;
    shelf.has("o/b");
    shelf.seconds.store(200, Ordering::SeqCst);
    session.send(op(ModelOpKind::Load, "o/a", true)).await;
    let began = Instant::now();
    session.run("r1", 1, "other", &text("now")).await;
    assert_eq!(session.result().await.status(), JobStatus::Ok);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_a_job_brought_back_during_an_unload_stays_offered() {
    let (shelf, probe) = (Shelf::new(), Probe::default());
    let (first, second) = (Setup::default(), Setup::default());
    let functions = reader(reader(none(), "one", "o/a", 1, &first, &probe), "two", "o/a", 1, &second, &probe);
    shelf.has("o/a");
    let mut fixture = Fixture::with_models(functions, probe, shelf, |_| {});
    let mut session = fixture.session().await;
    second.closing.store(30, Ordering::SeqCst);
    session.send(op(ModelOpKind::Unload, "o/a", false)).await;
    let state = listed(&mut session, |state| state.loading_functions == ["one"]).await;
    assert_eq!(state.available_functions, ["two"], "told as it goes");
    session.run("r1", 1, "one", &text("now")).await;
    assert_eq!(session.result().await.status(), JobStatus::Ok);
    let state = listed(&mut session, |state| state.loading_functions == ["two"]).await;
    assert_eq!(state.available_functions, ["one"]);
    session.send(op(ModelOpKind::Download, "o/a", false)).await;
    assert_eq!(states(&until(&mut session, &[ModelState::InRam]).await).last(), Some(&ModelState::InRam));
}

#[tokio::test(start_paused = true)]
async fn w6_12_4_a_cast_that_is_not_done_is_told_after_the_state() {
    let (shelf, probe, setup) = (Shelf::new(), Probe::default(), Setup::default());
    let functions = reader(reader(none(), "read", "o/a", 1, &setup, &probe), "other", "o/b", 1, &setup, &probe);
    let mut fixture = Fixture::with_models(functions, probe, shelf, |_| {});
    let mut session = fixture.session().await;
    let plan = |reference: &str, cast: &str| pb::ModelResolution {
        r#ref: reference.into(),
        resolved_ref: String::new(),
        cast: cast.into(),
    };
    let resolutions = vec![plan("o/b", "fp8+te"), plan("o/a", ""), plan("x/y", "fp8")];
    for _ in 0..2 {
        let ack = pb::HelloAck { protocol_version: 2, resolutions: resolutions.clone(), ..Default::default() };
        session.send(Outbound::HelloAck(ack)).await;
        assert!(matches!(session.next().await, Msg::StateDelta(_)));
        let Msg::FnDegraded(degraded) = session.next().await else { panic!("after the state, each time") };
        assert_eq!((degraded.function_name.as_str(), degraded.wanted.as_str()), ("other", "fp8+te"));
        assert_eq!((degraded.ran.as_str(), degraded.est_latency_multiplier), ("bf16", 1.0));
    }
    session.silence().await;
}

#[tokio::test(start_paused = true)]
async fn w11_9_resolutions_apply_to_future_setups_only() {
    let (shelf, probe, setup) = (Shelf::new(), Probe::default(), Setup::default());
    let functions = reader(reader(none(), "read", "o/a", 1, &setup, &probe), "other", "o/b", 1, &setup, &probe);
    for reference in ["o/a", "o/a#fp8", "o/b", "o/b#fp8"] {
        shelf.has(reference);
    }
    let mut fixture = Fixture::with_models(functions, probe, shelf.clone(), |_| {});
    let mut session = fixture.session().await;
    session.send(op(ModelOpKind::Unload, "o/b", false)).await;
    until(&mut session, &[ModelState::OnDisk]).await;
    let plan = |reference: &str, resolved: &str| pb::ModelResolution {
        r#ref: reference.into(),
        resolved_ref: resolved.into(),
        cast: String::new(),
    };
    let ack = |resolutions| pb::HelloAck { protocol_version: 2, resolutions, ..Default::default() };
    let resolutions = vec![plan("o/a", "o/a#fp8"), plan("o/b", "o/b#fp8"), plan("x/y", "x/y#z")];
    session.send(Outbound::HelloAck(ack(resolutions))).await;
    assert_eq!(read(&mut session, "r1", "read").await, "weights of o/a", "what is loaded stays");
    assert_eq!(read(&mut session, "r2", "other").await, "weights of o/b#fp8");
    // The refs of residency and of commands are the resolved ones; the other flavor makes way for the one wanted now.
    session.send(op(ModelOpKind::Load, "o/a#fp8", false)).await;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        if let Msg::ModelEvent(event) = session.next().await {
            seen.push((event.r#ref.clone(), event.state()));
        }
    }
    assert_eq!(seen, [("o/a".to_owned(), ModelState::OnDisk), ("o/a#fp8".to_owned(), ModelState::InRam)]);
    assert_eq!(read(&mut session, "r3", "read").await, "weights of o/a#fp8");
    session.cut();
    let (mut session, hello) = fixture.orchestrator.connect().await;
    let ram = hello.models.iter().filter(|model| model.tier() == ResidencyTier::Ram);
    assert_eq!(ram.map(|model| model.r#ref.as_str()).collect::<Vec<_>>(), ["o/a#fp8", "o/b#fp8"]);
    // What is left out, and what changes more than the flavor, is as declared.
    session.send(Outbound::HelloAck(ack(vec![plan("o/a", "o/b#fp8")]))).await;
    for reference in ["o/a#fp8", "o/b#fp8"] {
        session.send(op(ModelOpKind::Unload, reference, false)).await;
        until(&mut session, &[ModelState::OnDisk]).await;
    }
    assert_eq!(read(&mut session, "r4", "read").await, "weights of o/a");
    assert_eq!(read(&mut session, "r5", "other").await, "weights of o/b");
}

fn flavored(resolved: &str) -> Outbound {
    let plan = pb::ModelResolution { r#ref: "o/a".into(), resolved_ref: resolved.into(), cast: String::new() };
    Outbound::HelloAck(pb::HelloAck { protocol_version: 2, resolutions: vec![plan], ..Default::default() })
}

#[tokio::test(start_paused = true)]
async fn w11_9_a_load_during_the_set_up_of_another_flavor_brings_the_one_asked_for() {
    let (shelf, setup) = (Shelf::new(), Setup::default());
    setup.opening.store(60, Ordering::SeqCst);
    for reference in ["o/a", "o/a#fp8"] {
        shelf.has(reference);
    }
    let (mut fixture, _) = one_reader(&shelf, &setup);
    let (mut session, _) = fixture.orchestrator.connect().await;
    session.send(flavored("o/a#fp8")).await;
    session.send(op(ModelOpKind::Load, "o/a#fp8", false)).await;
    loop {
        if let Msg::ModelEvent(event) = session.next().await
            && event.r#ref == "o/a#fp8"
        {
            assert_eq!(event.state(), ModelState::InRam);
            break;
        }
    }
    assert_eq!(read(&mut session, "r1", "read").await, "weights of o/a#fp8");
}

#[tokio::test(start_paused = true)]
async fn w11_9_a_flavor_that_cannot_be_had_costs_nothing_that_works() {
    let shelf = Shelf::new();
    shelf.has("o/a");
    let (mut fixture, _) = one_reader(&shelf, &Setup::default());
    let mut session = fixture.session().await;
    session.send(flavored("o/a#fp8")).await;
    session.send(op(ModelOpKind::Load, "o/a#fp8", false)).await;
    assert_eq!(
        until(&mut session, &[ModelState::OnDisk, ModelState::Failed]).await,
        [(ModelState::Failed, "missing_snapshot".to_owned())]
    );
    assert_eq!(read(&mut session, "r1", "read").await, "weights of o/a");
}

#[tokio::test(start_paused = true)]
async fn w11_9_a_download_says_where_the_model_is_by_its_end() {
    let shelf = Shelf::new();
    shelf.has("o/a");
    shelf.seconds.store(30, Ordering::SeqCst);
    let (mut fixture, _) = one_reader(&shelf, &Setup::default());
    let mut session = fixture.session().await;
    session.send(op(ModelOpKind::Unload, "o/a", false)).await;
    until(&mut session, &[ModelState::OnDisk]).await;
    session.send(flavored("o/a#fp8")).await;
    session.send(op(ModelOpKind::Download, "o/a#fp8", true)).await;
    until(&mut session, &[ModelState::Downloading]).await;
    // Meanwhile the plan changes back, and a job brings that up.
    session.send(flavored("")).await;
    assert_eq!(read(&mut session, "r1", "read").await, "weights of o/a");
    // The end of the transfer, and that of the operation.
    for _ in 0..2 {
        let event = loop {
            if let Msg::ModelEvent(event) = session.next().await
                && event.r#ref == "o/a#fp8"
                && event.state() != ModelState::Downloading
            {
                break event;
            }
        };
        assert_eq!(event.state(), ModelState::OnDisk, "{event:?}");
    }
}

/// What a job of `function` says its model is.
async fn read(session: &mut Session, id: &str, function: &str) -> String {
    session.run(id, 1, function, &text("now")).await;
    let result = session.result().await;
    let Some(pb::job_result::Output::Inline(output)) = result.output else { panic!("{}", result.safe_message) };
    rmp_serde::from_slice::<crate::functions::Text>(&output).expect("a text").text
}

#[tokio::test(start_paused = true)]
async fn m13_5_m3_7_a_function_waits_for_its_own_models_only_and_a_failed_download_is_told() {
    let (shelf, setup, probe) = (Shelf::new(), Setup::default(), Probe::default());
    let mismatch: Failure = |reference| ModelError::DigestMismatch(reference.into());
    // Three tries, with waits of 1 and 4 s.
    shelf.fails("o/a", &[mismatch; 3]);
    shelf.has("o/b");
    let functions = reader(reader(none(), "first", "o/a", 1, &setup, &probe), "second", "o/b", 1, &setup, &probe);
    let began = Instant::now();
    let mut fixture = Fixture::with_models(functions, probe, shelf, |_| {});
    let (mut session, _) = fixture.orchestrator.connect().await;
    let state = listed(&mut session, |state| state.available_functions == ["second"]).await;
    assert_eq!((state.loading_functions.as_slice(), began.elapsed().as_secs()), (["first".to_owned()].as_slice(), 0));
    assert_eq!(failure(&mut session).await, "digest_mismatch");
}
