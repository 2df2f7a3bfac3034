use gen_worker_proto::Attempt;
use proptest::prelude::*;

use super::{End, Happened, Life, Phase, Status, Step};
use crate::request::{ErrorClass, State};

fn running(max_attempts: u8) -> Life {
    let mut life = Life::new(max_attempts);
    let attempt = life.dispatch();
    assert_eq!(life.step(Happened::Accepted(attempt)), Step::Started);
    life
}

#[test]
fn p6_a_request_goes_from_queued_to_a_terminal_state_once() {
    let mut life = running(3);
    let step = life.step(Happened::Result(Attempt(1), Status::Ok));
    assert_eq!(step, Step::Finish { end: End::Succeeded, failure: None, abort: false });
    assert_eq!(life.step(Happened::Result(Attempt(1), Status::Fatal)), Step::Stale, "a repeated terminal result");
    assert_eq!(life.step(Happened::Stored), Step::Announce);
    assert_eq!(life.step(Happened::Stored), Step::Nothing);
    assert_eq!(life.step(Happened::Cancel), Step::Nothing);
}

#[test]
fn o6_attempts_start_at_one_and_grow_by_one_per_requeue() {
    let mut life = Life::new(3);
    assert_eq!(life.dispatch(), Attempt(1));
    let step = life.step(Happened::Result(Attempt(1), Status::Retryable));
    assert_eq!(step, Step::Requeue { failure: Some(ErrorClass::Retryable), abort: false });
    assert_eq!(life.step(Happened::Stored), Step::Queue);
    assert_eq!(life.dispatch(), Attempt(2));
}

#[test]
fn o7_messages_of_another_attempt_change_nothing() {
    let mut life = running(3);
    let before = life.clone();
    for happened in [
        Happened::Accepted(Attempt(2)),
        Happened::Result(Attempt(0), Status::Ok),
        Happened::Result(Attempt(2), Status::Ok),
        Happened::Lost(Attempt(2)),
        Happened::Returned(Attempt(7)),
        Happened::CancelOverdue(Attempt(2)),
    ] {
        assert_eq!(life.step(happened), Step::Stale, "{happened:?}");
        assert_eq!(life, before);
    }
}

#[test]
fn o8_a_result_without_acceptance_counts_as_both() {
    let mut life = Life::new(3);
    let attempt = life.dispatch();
    let step = life.step(Happened::Result(attempt, Status::Invalid));
    assert_eq!(step, Step::Finish { end: End::Invalid, failure: Some(ErrorClass::Invalid), abort: false });
}

#[test]
fn o12_a_natural_result_that_races_a_cancel_is_honoured() {
    let mut life = running(3);
    assert_eq!(life.step(Happened::Cancel), Step::AskWorker);
    assert_eq!(life.step(Happened::Cancel), Step::Nothing, "repeating is harmless");
    let step = life.step(Happened::Result(Attempt(1), Status::Ok));
    assert!(matches!(step, Step::Finish { end: End::Succeeded, .. }));
}

#[test]
fn o13_retryable_goes_back_until_the_attempts_are_used_up() {
    let mut life = running(2);
    assert!(matches!(life.step(Happened::Result(Attempt(1), Status::Retryable)), Step::Requeue { .. }));
    life.step(Happened::Stored);
    let attempt = life.dispatch();
    let step = life.step(Happened::Result(attempt, Status::Retryable));
    let class = ErrorClass::Retryable;
    assert_eq!(step, Step::Finish { end: End::RetriesExhausted(class), failure: Some(class), abort: false });
}

#[test]
fn o13_an_attempt_that_a_drained_worker_gave_back_does_not_count() {
    let mut life = running(1);
    assert_eq!(life.step(Happened::Returned(Attempt(1))), Step::Requeue { failure: None, abort: false });
    assert_eq!(life.step(Happened::Stored), Step::Queue);
    assert_eq!(life.dispatch(), Attempt(2));
}

#[test]
fn o15_a_deadline_ends_a_request_wherever_it_is() {
    let mut queued = Life::new(3);
    let step = queued.step(Happened::Deadline);
    assert_eq!(step, Step::Finish { end: End::Deadline, failure: None, abort: false });

    let mut life = running(3);
    let step = life.step(Happened::Deadline);
    assert_eq!(step, Step::Finish { end: End::Deadline, failure: Some(ErrorClass::Deadline), abort: true });

    let mut requeueing = running(3);
    requeueing.step(Happened::Lost(Attempt(1)));
    assert_eq!(requeueing.step(Happened::Deadline), Step::Nothing);
    assert!(matches!(requeueing.step(Happened::Stored), Step::Finish { end: End::Deadline, .. }));
}

#[test]
fn p14_cancel_of_a_queued_request_ends_it_and_of_a_lost_one_too() {
    let mut queued = Life::new(3);
    assert_eq!(queued.step(Happened::Cancel), Step::Finish { end: End::Canceled, failure: None, abort: false });

    let mut life = running(3);
    life.step(Happened::Cancel);
    let step = life.step(Happened::Lost(Attempt(1)));
    assert_eq!(step, Step::Finish { end: End::Canceled, failure: None, abort: true });

    let mut silent = running(3);
    assert_eq!(silent.step(Happened::CancelOverdue(Attempt(1))), Step::Stale, "nobody asked");
    silent.step(Happened::Cancel);
    assert!(matches!(silent.step(Happened::CancelOverdue(Attempt(1))), Step::Finish { end: End::Canceled, .. }));
}

#[test]
fn recovered_requests_are_numbered_above_everything_that_may_be_in_flight() {
    let mut queued = Life::recovered(State::Queued, Attempt(4), 1, 3, false);
    assert!(queued.is_adoptable(Attempt(5)));
    assert!(!queued.is_adoptable(Attempt(4)));
    assert!(!queued.is_adoptable(Attempt(6)));
    assert_eq!(queued.dispatch(), Attempt(6));
    assert!(!queued.is_adoptable(Attempt(5)));

    let mut adopted = Life::recovered(State::Queued, Attempt(4), 1, 3, false);
    assert!(adopted.adopt(Attempt(5)));
    assert_eq!(adopted.phase(), Phase::Running);

    let mut assigned = Life::recovered(State::Assigned, Attempt(4), 1, 3, false);
    assert!(matches!(assigned.step(Happened::Lost(Attempt(4))), Step::Requeue { .. }));
    assigned.step(Happened::Stored);
    assert_eq!(assigned.dispatch(), Attempt(5));
}

fn happened() -> impl Strategy<Value = Happened> {
    let attempt = (0_i64..5).prop_map(Attempt);
    let status = prop_oneof![
        Just(Status::Ok),
        Just(Status::Invalid),
        Just(Status::Retryable),
        Just(Status::Fatal),
        Just(Status::TimedOut),
        Just(Status::Canceled),
    ];
    prop_oneof![
        attempt.clone().prop_map(Happened::Accepted),
        (attempt.clone(), status).prop_map(|(attempt, status)| Happened::Result(attempt, status)),
        attempt.clone().prop_map(Happened::Returned),
        attempt.clone().prop_map(Happened::Lost),
        attempt.prop_map(Happened::CancelOverdue),
        Just(Happened::Cancel),
        Just(Happened::Deadline),
        Just(Happened::NoWorker),
        Just(Happened::Stored),
        Just(Happened::Stored),
    ]
}

proptest! {
    /// Whatever happens in whatever order: one end, announced once and only after it was stored; attempts only
    /// grow; failures stay within the limit; a stale message changes nothing.
    #[test]
    fn p6_no_sequence_of_happenings_breaks_a_life(
        max_attempts in 1_u8..=4,
        stored_attempt in 0_i64..3,
        recovered in proptest::option::of(prop_oneof![Just(State::Queued), Just(State::Running)]),
        happenings in proptest::collection::vec(happened(), 0..60),
    ) {
        let mut life = match recovered {
            Some(state) => Life::recovered(state, Attempt(stored_attempt), 0, max_attempts, false),
            None => Life::new(max_attempts),
        };
        let (mut finishes, mut announcements) = (0, 0);
        for happened in happenings {
            let before = life.clone();
            let step = life.step(happened);
            prop_assert!(life.attempt() >= before.attempt());
            prop_assert!(life.failures() <= max_attempts);
            match step {
                Step::Stale => prop_assert_eq!(&life, &before),
                Step::Finish { .. } => {
                    finishes += 1;
                    prop_assert_eq!(life.phase(), Phase::Finishing);
                }
                Step::Announce => {
                    announcements += 1;
                    prop_assert_eq!(before.phase(), Phase::Finishing);
                }
                Step::Queue => {
                    prop_assert_eq!(before.phase(), Phase::Requeueing);
                    let last = life.attempt();
                    prop_assert!(life.dispatch() > last);
                }
                _ => {}
            }
            prop_assert!(finishes <= 1);
            prop_assert!(announcements <= finishes);
        }
    }
}
