//! W6, W7, W20 and section 12 without a connection.
use gen_worker_proto::{FunctionName, pb};
use proptest::prelude::*;

use super::{Availability, Readiness, Unavailable};

fn name(text: &str) -> FunctionName {
    FunctionName::parse(text).expect("a name")
}

fn worker() -> Availability {
    Availability::new([
        (name("b-plain"), Readiness::Ready),
        (name("a-plain"), Readiness::Ready),
        (name("model"), Readiness::Loading),
    ])
}

fn broken() -> Unavailable {
    Unavailable {
        reason: "setup_failed".into(),
        detail: "no weights".into(),
        axes: Default::default(),
        permanent: false,
    }
}

#[test]
fn c2_m13_2_lists_are_sorted_and_disjoint() {
    let mut worker = worker();
    let state = worker.connecting();
    assert_eq!(state.phase(), pb::WorkerPhase::Booting);
    assert_eq!(state.available_functions, ["a-plain", "b-plain"]);
    assert_eq!(state.loading_functions, ["model"]);
}

#[test]
fn m13_2_what_is_available_and_what_is_loading() {
    let mut worker = worker();
    let lists = |worker: &mut Availability| {
        let state = worker.connecting();
        (state.available_functions.join(" "), state.loading_functions.join(" "))
    };
    let lists_are = |worker: &mut Availability, available: &str, loading: &str| {
        assert_eq!(lists(worker), (available.to_owned(), loading.to_owned()));
    };
    lists_are(&mut worker, "a-plain b-plain", "model");
    worker.ready(&name("model"));
    lists_are(&mut worker, "a-plain b-plain model", "");
    worker.unloaded(&name("model"));
    lists_are(&mut worker, "a-plain b-plain", "model");
    worker.disable(&name("model"), broken());
    lists_are(&mut worker, "a-plain b-plain", "");
    worker.disable(&name("a-plain"), Unavailable { permanent: true, ..broken() });
    worker.ready(&name("a-plain"));
    lists_are(&mut worker, "b-plain", "");
    worker.ready(&name("model"));
    lists_are(&mut worker, "b-plain model", "");
    worker.drain();
    lists_are(&mut worker, "", "");
}

#[test]
fn w6_an_acknowledgement_is_answered_even_without_a_change() {
    let mut worker = worker();
    worker.connecting();
    let (disabled, first) = worker.acknowledged();
    assert!(disabled.is_empty());
    assert_eq!(worker.changed(), None);
    let (_, again) = worker.acknowledged();
    assert_eq!(first, again);
}

#[test]
fn w7_a_delta_is_sent_only_when_the_content_differs() {
    let mut worker = worker();
    assert_eq!(worker.changed(), None, "nothing before the first acknowledgement");
    worker.connecting();
    worker.acknowledged();
    worker.advance(pb::WorkerPhase::Ready);
    assert_eq!(worker.changed().map(|delta| delta.phase()), Some(pb::WorkerPhase::Ready));
    worker.advance(pb::WorkerPhase::Booting);
    assert_eq!(worker.changed(), None, "phases never go back");
    worker.ready(&name("model"));
    assert_eq!(worker.changed().expect("a change").available_functions, ["a-plain", "b-plain", "model"]);
}

#[test]
fn w20_a_draining_worker_lists_nothing() {
    let mut worker = worker();
    worker.connecting();
    worker.acknowledged();
    worker.drain();
    let state = worker.changed().expect("a change");
    assert!(state.available_functions.is_empty() && state.loading_functions.is_empty());
}

#[test]
fn an_error_is_final() {
    let mut worker = worker();
    worker.advance(pb::WorkerPhase::Error);
    worker.advance(pb::WorkerPhase::Ready);
    assert_eq!(worker.connecting().phase(), pb::WorkerPhase::Error);
}

#[test]
fn unavailable_is_told_once_per_connection_and_again_after_recovery() {
    let mut worker = worker();
    worker.connecting();
    worker.acknowledged();
    assert!(worker.disable(&name("model"), broken()).is_some());
    assert!(worker.disable(&name("model"), broken()).is_none());
    assert!(worker.changed().expect("a change").loading_functions.is_empty());
    worker.connecting();
    assert_eq!(worker.acknowledged().0.len(), 1, "again on a new connection");
    worker.ready(&name("model"));
    assert!(worker.disable(&name("model"), broken()).is_some(), "again after recovery");
}

proptest! {
    #[test]
    fn m13_2_the_two_lists_never_share_a_name(steps in proptest::collection::vec(0u8..5, 0..40)) {
        let mut worker = worker();
        worker.connecting();
        worker.acknowledged();
        for step in steps {
            match step {
                0 => worker.ready(&name("model")),
                1 => worker.unloaded(&name("model")),
                2 => { worker.disable(&name("a-plain"), broken()); }
                3 => worker.drain(),
                _ => worker.advance(pb::WorkerPhase::Ready),
            }
            let told = worker.told.clone();
            match worker.changed() {
                Some(state) => {
                    prop_assert!(state.available_functions.iter().all(|f| !state.loading_functions.contains(f)));
                    prop_assert_ne!(Some(state), told);
                }
                None => prop_assert_eq!(Some(worker.snapshot()), told),
            }
        }
    }
}
