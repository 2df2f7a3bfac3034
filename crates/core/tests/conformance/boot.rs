//! What a worker does with the models of its functions by itself, and what of it a failure takes away (model contract, 3.3, 13.2
//! to 13.4).

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
};

use gen_worker_core::{
    Binding, ModelError,
    binding::{hf, hub},
    endpoint::ResourcesDecl,
};
use gen_worker_proto::pb::{self, JobStatus, ModelOpKind, ModelState, StateDelta, worker_message::Msg};

use crate::{
    fixture::Fixture,
    functions::{Probe, registry, text},
    models::op,
    orchestrator::Session,
    shelf::{Failure, Setup, Shelf, handler, none, reading},
};

/// A function called `name` of a model of Hugging Face.
fn hugging_face(reference: &str) -> Binding {
    hf(reference).revision("r1").files(["unet/"]).build().expect("a binding")
}

fn no_disk(reference: &str) -> ModelError {
    ModelError::InsufficientDisk { reference: reference.into(), required_bytes: 2, available_bytes: 1 }
}

fn broken(reference: &str) -> ModelError {
    ModelError::Source { reference: reference.into(), source: "cut".into() }
}

/// The next state that is `wanted`, and the functions that were said to be disabled before it.
async fn state(session: &mut Session, wanted: impl Fn(&StateDelta) -> bool) -> (StateDelta, BTreeSet<String>) {
    let mut disabled = BTreeSet::new();
    loop {
        match session.next().await {
            Msg::StateDelta(state) if wanted(&state) => return (state, disabled),
            Msg::FnUnavailable(why) => {
                assert_eq!(why.reason, "setup_failed");
                disabled.insert(why.function_name);
            }
            _ => {}
        }
    }
}

/// The end of an operation: its state and error.
async fn ended(session: &mut Session) -> (ModelState, String) {
    loop {
        if let Msg::ModelEvent(event) = session.next().await {
            return (event.state(), event.error);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn m3_3_every_way_to_a_model_asks_for_it_as_its_function_declares_it() {
    let (shelf, setup, probe) = (Shelf::new(), Setup::default(), Probe::default());
    let declared = hugging_face("o/a");
    let wire = declared.wire_ref();
    let functions = none().endpoint(reading("read", Ok(declared.clone()), 1, &setup, &probe));
    let mut fixture = Fixture::with_models(functions, probe, shelf.clone(), |_| {});
    let mut session = fixture.session().await;
    let asked = |way: &str| {
        let asked = shelf.asked();
        assert!(!asked.is_empty() && asked.iter().all(|asked| *asked == declared), "{way}: {asked:?}");
    };
    asked("the start of the worker");
    session.send(op(ModelOpKind::Download, &wire, true)).await;
    while ended(&mut session).await.0 != ModelState::OnDisk {}
    asked("a model operation");
    shelf.forget(&wire);
    let snapshot = pb::Snapshot { digest: "d".into(), ..Default::default() };
    let run = pb::RunJob {
        request_id: "r1".into(),
        attempt: 1,
        function_name: "read".into(),
        input_payload: text("now").into(),
        snapshots: [(wire.clone(), snapshot)].into(),
        ..Default::default()
    };
    session.run_job(run).await;
    assert_eq!(session.result().await.status(), JobStatus::Ok);
    asked("a job");
}

#[tokio::test(start_paused = true)]
async fn m13_3_a_worker_starts_with_what_it_can_have_and_one_failure_is_one_functions() {
    let (shelf, setup, probe) = (Shelf::new(), Setup::default(), Probe::default());
    shelf.has("o/local");
    let provided = hugging_face("o/provided");
    shelf.provides(&provided.wire_ref());
    shelf.fails("o/failing", &[broken as Failure; 3]);
    let endpoint = |name, binding| reading(name, binding, 1, &setup, &probe);
    let mut gated = endpoint("gated", Ok(hugging_face("o/gated")));
    gated.resources = ResourcesDecl { gpu: true, ..ResourcesDecl::default() };
    let functions = none()
        .endpoint(gated)
        .endpoint(endpoint("failing", hf("o/failing").build()))
        .endpoint(endpoint("hub-bound", hub("o/later").build()))
        .endpoint(endpoint("local", hub("o/local").build()))
        .endpoint(endpoint("provided", Ok(provided)));
    let mut fixture = Fixture::with_models(functions, probe.clone(), shelf.clone(), |_| {});
    let (mut session, hello) = fixture.orchestrator.connect().await;
    assert_eq!(hello.models.iter().map(|held| held.r#ref.as_str()).collect::<Vec<_>>(), ["o/local"], "what is there");
    let ready = loop {
        match session.next().await {
            Msg::StateDelta(state) if state.phase() == pb::WorkerPhase::Ready => break state,
            Msg::FnUnavailable(why) => assert_eq!(why.function_name, "gated", "the machine cannot run it"),
            _ => {}
        }
    };
    assert_eq!(ready.available_functions, ["local", "provided"]);
    assert_eq!(ready.loading_functions, ["failing", "hub-bound"], "a job or an operation may bring them");
    assert!(shelf.asked().iter().all(|asked| asked.reference() != "o/gated"), "what cannot run is not fetched");
    session.send(op(ModelOpKind::Load, "o/later", true)).await;
    let (state, _) = state(&mut session, |state| state.loading_functions == ["failing"]).await;
    assert_eq!(state.available_functions, ["hub-bound", "local", "provided"]);
}

/// A worker with a type of two functions, whose model is there, and another type beside it.
fn siblings(shelf: &Arc<Shelf>, setup: &Setup) -> Fixture {
    let probe = Probe::default();
    let mut class = reading("one", hub("o/a").build(), 1, setup, &probe);
    class.handlers.push(handler("two", &probe));
    let functions = none().endpoint(class).endpoint(reading("other", hub("o/b").build(), 1, &Setup::default(), &probe));
    for reference in ["o/a", "o/b"] {
        shelf.has(reference);
    }
    Fixture::with_models(functions, probe, shelf.clone(), |_| {})
}

#[tokio::test(start_paused = true)]
async fn m13_4_a_failed_set_up_disables_all_functions_of_its_type_until_a_load_succeeds() {
    let (shelf, setup) = (Shelf::new(), Setup::default());
    setup.broken.store(true, Ordering::SeqCst);
    let mut fixture = siblings(&shelf, &setup);
    let (mut session, _) = fixture.orchestrator.connect().await;
    let (ready, disabled) = state(&mut session, |state| state.phase() == pb::WorkerPhase::Ready).await;
    assert_eq!(disabled.into_iter().collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!((ready.available_functions, ready.loading_functions), (vec!["other".to_owned()], vec![]));
    session.run("r1", 1, "two", &text("now")).await;
    let result = session.result().await;
    assert_eq!(result.safe_message, "function unavailable: setup_failed");
    setup.broken.store(false, Ordering::SeqCst);
    session.send(op(ModelOpKind::Load, "o/a", false)).await;
    let (state, _) = state(&mut session, |state| state.available_functions.len() > 1).await;
    assert_eq!(state.available_functions, ["one", "other", "two"]);
}

#[tokio::test(start_paused = true)]
async fn m13_4_a_full_disk_and_what_may_pass_disable_nothing() {
    for failures in [&[no_disk as Failure][..], &[broken as Failure; 3]] {
        let (shelf, setup) = (Shelf::new(), Setup::default());
        shelf.fails("o/a", failures);
        let mut fixture = siblings(&shelf, &setup);
        let (mut session, _) = fixture.orchestrator.connect().await;
        let (ready, disabled) = state(&mut session, |state| state.phase() == pb::WorkerPhase::Ready).await;
        assert!(disabled.is_empty(), "{disabled:?}");
        assert_eq!(ready.loading_functions, ["one", "two"]);
        session.run("r1", 1, "two", &text("now")).await;
        assert_eq!(session.result().await.status(), JobStatus::Ok, "the next job tries again");
    }
}

#[tokio::test(start_paused = true)]
async fn m9_9_a_model_is_in_use_for_the_whole_job_however_that_ends() {
    let (shelf, setup, probe) = (Shelf::new(), Setup::default(), Probe::default());
    shelf.has("o/a");
    let functions = none().endpoint(reading("read", hub("o/a").build(), 1, &setup, &probe));
    let mut fixture = Fixture::with_models(functions, probe.clone(), shelf, |_| {});
    let mut session = fixture.session().await;
    let ends = [
        ("wait", JobStatus::Ok),
        ("wait, fails", JobStatus::Fatal),
        ("wait, panics", JobStatus::Fatal),
        ("wait, canceled", JobStatus::Canceled),
    ];
    for (number, (how, status)) in ends.into_iter().enumerate() {
        let id = format!("r{number}");
        session.run(&id, 1, "read", &text(how)).await;
        probe.ran(number + 1).await;
        session.send(op(ModelOpKind::Unload, "o/a", false)).await;
        let (mut accepted, mut refused) = (false, false);
        while !(accepted && refused) {
            match session.next().await {
                Msg::ModelEvent(event) if event.state() == ModelState::Failed => {
                    assert_eq!(event.error, "model_in_use", "{how}");
                    refused = true;
                }
                Msg::JobAccepted(_) => accepted = true,
                _ => {}
            }
        }
        match status {
            JobStatus::Canceled => session.cancel(&id, 1).await,
            _ => probe.open(how),
        }
        assert_eq!(session.result().await.status(), status, "{how}");
        session.send(op(ModelOpKind::Unload, "o/a", false)).await;
        while ended(&mut session).await.0 != ModelState::OnDisk {}
    }
}

#[tokio::test(start_paused = true)]
async fn m8_5_every_model_that_leaves_the_disk_is_told_however_many_leave_at_once() {
    const MODELS: usize = 3_000;
    let shelf = Shelf::new();
    let probe = Probe::default();
    let mut fixture = Fixture::with_models(registry(&probe), probe, shelf.clone(), |_| {});
    let mut session = fixture.session().await;
    // Nobody else runs in between: more than the worker takes in at a time.
    (0..MODELS).for_each(|number| shelf.evict(&format!("o/{number}")));
    let mut told = BTreeSet::new();
    while told.len() < MODELS {
        if let Msg::ModelEvent(event) = session.next().await {
            assert_eq!(event.state(), ModelState::Evicted);
            told.insert(event.r#ref);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn m13_5_the_models_of_one_function_come_side_by_side() {
    let (shelf, setup, probe) = (Shelf::new(), Setup::default(), Probe::default());
    shelf.seconds.store(10, Ordering::SeqCst);
    ["o/a@r1", "o/b@r1"].iter().for_each(|reference| shelf.provides(reference));
    let mut endpoint = reading("read", Ok(hugging_face("o/a")), 1, &setup, &probe);
    endpoint.slots.named.push(("more", Ok(hugging_face("o/b"))));
    let mut fixture = Fixture::with_models(none().endpoint(endpoint), probe, shelf, |_| {});
    let began = tokio::time::Instant::now();
    fixture.session().await;
    assert_eq!(began.elapsed().as_secs(), 10);
}
