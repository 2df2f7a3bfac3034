//! The job machine: every rule by example, and its invariants under random events.
use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use gen_worker_proto::{Pair, pb::JobStatus};
use proptest::prelude::*;

use super::{Action, Arrival, Ending, GpuSpan, JobLimits, JobTable, Needs, NotStored, Outcome, Target};
use crate::{FailureClass, outbox::EndOutput};

const LIMITS: JobLimits =
    JobLimits { jobs_max: 0, input_bytes_max: 0, output_bytes_max: 0, threads: 1, jobs_per_gpu: 1, finished_max: 4 };

const FIRST_GPU: Option<GpuSpan> = Some(GpuSpan { first: 0, count: 1 });
const PLAIN: Needs = Needs { function: 0, concurrency_max: 0, files: false, instance: false, thread: false, gpu: None };
const BLOCKING: Needs =
    Needs { function: 1, concurrency_max: 0, files: false, instance: false, thread: true, gpu: None };
const GPU: Needs =
    Needs { function: 3, concurrency_max: 0, files: false, instance: false, thread: false, gpu: FIRST_GPU };
/// Everything at once.
const HEAVY: Needs =
    Needs { function: 4, concurrency_max: 0, files: false, instance: true, thread: true, gpu: FIRST_GPU };
const STATEFUL: Needs =
    Needs { function: 2, concurrency_max: 0, files: false, instance: true, thread: false, gpu: None };

fn pair(id: &str, attempt: i64) -> Pair {
    Pair::parse(id, attempt).expect("a pair")
}

fn table() -> JobTable<Pair> {
    JobTable::new(5, LIMITS)
}

type Actions = Vec<Action<Pair>>;

fn arrive(table: &mut JobTable<Pair>, pair: Pair, needs: Needs) -> Actions {
    arrive_at(table, pair, Target::Known(needs), false)
}

fn arrive_at(table: &mut JobTable<Pair>, pair: Pair, target: Target<'_>, draining: bool) -> Actions {
    let mut actions = Vec::new();
    table.arrived(Arrival { pair, input_bytes: 1, draining, target }, |pair| pair, &mut actions);
    actions
}

fn collect(act: impl FnOnce(&mut Actions)) -> Actions {
    let mut actions = Vec::new();
    act(&mut actions);
    actions
}

fn output() -> Outcome {
    Outcome::Output(Some(Bytes::from_static(b"x")))
}

fn ok() -> Ending {
    Ending::ok(EndOutput::Inline(Bytes::from_static(b"x")))
}

#[test]
fn w12_acceptance_comes_before_everything() {
    let mut table = table();
    let actions = arrive(&mut table, pair("a", 1), PLAIN);
    assert_eq!(actions, [Action::Accept { job: pair("a", 1), others: 0 }, Action::Start(pair("a", 1))]);
    let actions = arrive(&mut table, pair("b", 1), STATEFUL);
    assert_eq!(actions, [Action::Accept { job: pair("b", 1), others: 1 }, Action::Prepare(pair("b", 1))]);
}

#[test]
fn w8_w9_w10_come_before_the_drain() {
    let mut table = table();
    arrive(&mut table, pair("a", 1), PLAIN);
    let known = Target::Known(PLAIN);
    assert_eq!(arrive_at(&mut table, pair("a", 1), known, true), [Action::AcceptAgain(pair("a", 1))]);
    let actions = arrive_at(&mut table, pair("a", 2), known, true);
    assert_eq!(
        actions,
        [
            Action::Interrupt(pair("a", 1)),
            Action::Abandon(pair("a", 1)),
            Action::Refuse { pair: pair("a", 2), ending: Ending::draining() }
        ]
    );
    arrive(&mut table, pair("b", 1), PLAIN);
    collect(|actions| table.returned(&pair("b", 1), output(), actions));
    assert_eq!(arrive_at(&mut table, pair("b", 1), known, true), []);
}

#[test]
fn w11_refusals_in_order() {
    let mut table = JobTable::new(1, JobLimits { jobs_max: 1, input_bytes_max: 1, ..LIMITS });
    let mut refused = |target: Target<'_>, input_bytes, draining| {
        let arrival = Arrival { pair: pair("z", 1), input_bytes, draining, target };
        let actions = collect(|actions| table.arrived(arrival, |pair| pair, actions));
        match actions.into_iter().next() {
            Some(Action::Refuse { ending, .. }) => (ending.status, ending.message),
            other => panic!("not refused: {other:?}"),
        }
    };
    let (invalid, retryable) = (JobStatus::Invalid, JobStatus::Retryable);
    assert_eq!(refused(Target::Unknown("f"), 9, true), (retryable, "worker draining".into()));
    assert_eq!(refused(Target::Unknown("f"), 9, false), (invalid, "unknown function 'f'".into()));
    assert_eq!(refused(Target::Disabled("why"), 9, false), (retryable, "function unavailable: why".into()));
    assert_eq!(refused(Target::Known(PLAIN), 9, false), (invalid, "input payload too large".into()));
    arrive(&mut table, pair("a", 1), PLAIN);
    let actions = arrive(&mut table, pair("b", 1), PLAIN);
    assert!(matches!(&actions[..], [Action::Refuse { ending, .. }] if ending.message == "worker busy"));
}

#[test]
fn e32_a_function_has_its_own_bound() {
    let mut table = table();
    let one = Needs { concurrency_max: 1, ..PLAIN };
    arrive(&mut table, pair("a", 1), one);
    assert!(matches!(&arrive(&mut table, pair("b", 1), one)[..], [Action::Refuse { .. }]));
    assert!(matches!(&arrive(&mut table, pair("c", 1), STATEFUL)[..], [Action::Accept { .. }, _]));
    collect(|actions| table.returned(&pair("a", 1), output(), actions));
    assert!(matches!(&arrive(&mut table, pair("b", 1), one)[..], [Action::Accept { .. }, _]), "refusals are forgotten");
}

#[test]
fn w9_the_newest_finished_pairs_are_remembered() {
    let mut table = table();
    for at in 0..5 {
        arrive(&mut table, pair(&at.to_string(), 1), PLAIN);
        collect(|actions| table.returned(&pair(&at.to_string(), 1), output(), actions));
    }
    assert_eq!(arrive(&mut table, pair("4", 1), PLAIN), []);
    assert_eq!(arrive(&mut table, pair("1", 1), PLAIN), []);
    assert_ne!(arrive(&mut table, pair("0", 1), PLAIN), [], "older than the newest four");
    assert_ne!(arrive(&mut table, pair("4", 2), PLAIN), [], "another attempt is another pair");
}

#[test]
fn w16_cancel_before_the_handler_runs_needs_no_slot() {
    let mut table = table();
    arrive(&mut table, pair("a", 1), BLOCKING);
    arrive(&mut table, pair("b", 1), BLOCKING);
    arrive(&mut table, pair("c", 1), STATEFUL);
    for id in ["b", "c"] {
        let actions = collect(|actions| table.cancel(&pair(id, 1), actions));
        let finish = Action::Finish { job: pair(id, 1), ending: Ending::canceled() };
        assert_eq!(actions, [Action::Interrupt(pair(id, 1)), finish]);
    }
    assert_eq!(collect(|actions| table.prepared(&pair("c", 1), Ok(()), actions)), [], "too late");
}

#[test]
fn w16_a_blocking_handler_may_still_return() {
    let mut table = table();
    arrive(&mut table, pair("a", 1), BLOCKING);
    assert_eq!(collect(|actions| table.cancel(&pair("a", 1), actions)), [Action::Notify(pair("a", 1))]);
    assert_eq!(collect(|actions| table.cancel(&pair("a", 1), actions)), []);
    let actions = collect(|actions| table.returned(&pair("a", 1), output(), actions));
    assert_eq!(actions, [Action::Finish { job: pair("a", 1), ending: ok() }]);
}

#[test]
fn w16_a_failure_after_a_cancel_is_the_cancel() {
    let mut table = table();
    arrive(&mut table, pair("a", 1), BLOCKING);
    collect(|actions| table.cancel(&pair("a", 1), actions));
    let failed = Outcome::Failed { class: FailureClass::Fatal, message: "interrupted".into() };
    let actions = collect(|actions| table.returned(&pair("a", 1), failed, actions));
    assert_eq!(actions, [Action::Finish { job: pair("a", 1), ending: Ending::canceled() }]);
}

#[test]
fn w17_a_deadline_ends_the_handler_and_watches_a_thread() {
    let mut table = table();
    arrive(&mut table, pair("a", 1), PLAIN);
    let actions = collect(|actions| table.deadline(&pair("a", 1), actions));
    let ending = Ending::failed(FailureClass::Fatal, "deadline exceeded");
    assert_eq!(actions, [Action::Interrupt(pair("a", 1)), Action::Finish { job: pair("a", 1), ending }]);
    arrive(&mut table, pair("b", 1), BLOCKING);
    collect(|actions| table.cancel(&pair("b", 1), actions));
    let actions = collect(|actions| table.deadline(&pair("b", 1), actions));
    let finish = Action::Finish { job: pair("b", 1), ending: Ending::canceled() };
    assert_eq!(actions, [Action::Interrupt(pair("b", 1)), Action::Overdue(pair("b", 1)), finish]);
    arrive(&mut table, pair("c", 1), BLOCKING);
    assert_eq!(collect(|actions| table.deadline(&pair("c", 1), actions)), [], "it waits for the thread of b");
    assert_eq!(collect(|actions| table.thread_ended(&pair("b", 1), 1, actions)), [Action::Start(pair("c", 1))]);
}

#[test]
fn c30_only_outputs_above_the_limit_are_uploaded() {
    let mut table = table();
    for (id, bytes) in [("a", 65_536), ("b", 65_537)] {
        arrive(&mut table, pair(id, 1), PLAIN);
        let outcome = Outcome::Output(Some(Bytes::from(vec![0; bytes])));
        let actions = collect(|actions| table.returned(&pair(id, 1), outcome, actions));
        assert_eq!(matches!(actions.first(), Some(Action::Upload { .. })), id == "b");
    }
    let actions = collect(|actions| table.uploaded(&pair("b", 1), Err(NotStored::Failed), actions));
    let ending = Ending::failed(FailureClass::Retryable, "output upload failed");
    assert_eq!(actions, [Action::Finish { job: pair("b", 1), ending }]);
}

#[test]
fn c30_an_output_that_nobody_stores_is_not_tried_again() {
    let mut table = table();
    arrive(&mut table, pair("a", 1), PLAIN);
    let outcome = Outcome::Output(Some(Bytes::from(vec![0; 65_537])));
    collect(|actions| table.returned(&pair("a", 1), outcome, actions));
    let nowhere = Err(NotStored::NoStore { bytes: 65_537 });
    let actions = collect(|actions| table.uploaded(&pair("a", 1), nowhere, actions));
    let [Action::Finish { ending, .. }] = actions.as_slice() else { panic!("{actions:?}") };
    assert_eq!(ending.status, JobStatus::Invalid);
    assert_eq!(ending.message, "output payload too large: 65537 bytes, and this worker stores nothing above 65536");
}

#[test]
fn a_function_is_as_busy_as_it_has_threads_whatever_became_of_their_jobs() {
    let needs = Needs { concurrency_max: 1, ..BLOCKING };
    let busy = |table: &mut JobTable<Pair>, id: &str| {
        let actions = arrive(table, pair(id, 1), needs);
        matches!(actions.as_slice(), [Action::Refuse { ending, .. }] if ending.message == "worker busy")
    };
    // Past its deadline, superseded, drained: the thread is still there.
    let mut table = JobTable::new(3, JobLimits { threads: 8, ..LIMITS });
    assert!(!busy(&mut table, "a"));
    collect(|actions| table.deadline(&pair("a", 1), actions));
    assert!(busy(&mut table, "b"));
    collect(|actions| table.thread_ended(&pair("a", 1), 1, actions));
    assert!(!busy(&mut table, "c"));
    // A thread that is free while its output is uploaded: the job still counts, once.
    let outcome = Outcome::Output(Some(Bytes::from(vec![0; 65_537])));
    collect(|actions| table.returned(&pair("c", 1), outcome, actions));
    collect(|actions| table.thread_ended(&pair("c", 1), 1, actions));
    assert!(busy(&mut table, "d"));
    collect(|actions| table.uploaded(&pair("c", 1), Ok("ref".into()), actions));
    assert!(!busy(&mut table, "e"));
    collect(|actions| table.drain_deadline(actions));
    assert!(busy(&mut table, "f"));
    collect(|actions| table.thread_ended(&pair("e", 1), 1, actions));
    assert!(!busy(&mut table, "g"));
}

/// What a random run of the machine may do next.
#[derive(Clone, Debug)]
enum Step {
    Arrive { id: u8, attempt: i64 },
    Prepared(u8),
    Returned(u8),
    Uploaded(u8),
    Cancel(u8, i64),
    Deadline(u8),
    ThreadEnds,
    GpuEnds,
    DrainDeadline,
}

fn step() -> impl Strategy<Value = Step> {
    let id = 0..10_u8;
    prop_oneof![
        4 => (id.clone(), 1..4_i64).prop_map(|(id, attempt)| Step::Arrive { id, attempt }),
        2 => id.clone().prop_map(Step::Prepared),
        4 => id.clone().prop_map(Step::Returned),
        1 => id.clone().prop_map(Step::Uploaded),
        2 => (id.clone(), 1..4_i64).prop_map(|(id, attempt)| Step::Cancel(id, attempt)),
        1 => id.prop_map(Step::Deadline),
        3 => Just(Step::ThreadEnds),
        3 => Just(Step::GpuEnds),
        1 => Just(Step::DrainDeadline),
    ]
}

/// What an onlooker knows about the jobs from the actions alone.
#[derive(Default)]
struct Model {
    current: HashMap<String, i64>,
    finished: HashSet<Pair>,
    abandoned: HashSet<Pair>,
    /// Pairs whose blocking handler occupies a thread, and the function of each.
    threads: Vec<Pair>,
    /// Pairs whose handler runs on an accelerator.
    gpus: Vec<Pair>,
}

impl Model {
    fn see(&mut self, actions: &Actions) {
        for action in actions {
            match action {
                Action::Accept { job, .. } => {
                    assert!(!self.current.contains_key(job.request_id.as_str()), "accepted twice");
                    self.current.insert(job.request_id.as_str().to_owned(), job.attempt.0);
                    // Four finished pairs are remembered, so an old one may run again.
                    self.finished.remove(job);
                    self.abandoned.remove(job);
                }
                Action::Start(job) => {
                    assert!(self.holds(job), "started without being held");
                    self.threads.push(job.clone());
                    assert!(self.threads.iter().filter(|pair| is_blocking(pair)).count() <= LIMITS.threads);
                    if needs(job).gpu.is_some() {
                        self.gpus.push(job.clone());
                        assert!(self.gpus.len() <= LIMITS.jobs_per_gpu, "C20: they do not overlap");
                    }
                }
                Action::Finish { job, .. } => {
                    assert!(self.holds(job), "finished without being held");
                    assert!(!self.abandoned.contains(job), "W10: no result for a superseded pair");
                    self.current.remove(job.request_id.as_str());
                    assert!(self.finished.insert(job.clone()), "W14: one result");
                }
                Action::Abandon(job) => {
                    assert!(self.holds(job));
                    self.current.remove(job.request_id.as_str());
                    self.abandoned.insert(job.clone());
                }
                _ => {}
            }
        }
        self.threads.retain(is_blocking);
    }

    fn holds(&self, pair: &Pair) -> bool {
        self.current.get(pair.request_id.as_str()) == Some(&pair.attempt.0)
    }
}

/// In the random runs the id decides what a job needs, so that an onlooker knows.
fn needs(pair: &Pair) -> Needs {
    let kind = pair.request_id.as_str().bytes().next().unwrap_or(b'0') - b'0';
    [PLAIN, BLOCKING, STATEFUL, GPU, HEAVY][usize::from(kind)]
}

fn is_blocking(pair: &Pair) -> bool {
    needs(pair).thread
}

proptest! {
    #[test]
    fn w13_w14_c20_every_accepted_pair_ends_once_and_permits_are_conserved(
        steps in proptest::collection::vec(step(), 0..120),
    ) {
        let (mut table, mut model) = (table(), Model::default());
        for step in steps {
            let held = |table: &JobTable<Pair>, id: u8| {
                table.held().find(|pair| pair.request_id.as_str() == format!("{}{id}", id % 5))
            };
            let name = |id: u8| format!("{}{id}", id % 5);
            let mut actions = Vec::new();
            match step {
                Step::Arrive { id, attempt } => {
                    let pair = pair(&name(id), attempt);
                    let target = Target::Known(needs(&pair));
                    let arrival = Arrival { pair, input_bytes: 0, draining: false, target };
                    table.arrived(arrival, |pair| pair, &mut actions);
                }
                Step::Prepared(id) => if let Some(pair) = held(&table, id) {
                    table.prepared(&pair, Ok(()), &mut actions);
                },
                Step::Returned(id) => if let Some(pair) = held(&table, id) {
                    table.returned(&pair, output(), &mut actions);
                },
                Step::Uploaded(id) => if let Some(pair) = held(&table, id) {
                    table.uploaded(&pair, Ok("ref".into()), &mut actions);
                },
                Step::Cancel(id, attempt) => table.cancel(&pair(&name(id), attempt), &mut actions),
                Step::Deadline(id) => if let Some(pair) = held(&table, id) {
                    table.deadline(&pair, &mut actions);
                },
                Step::ThreadEnds => if let Some(pair) = model.threads.pop() {
                    table.thread_ended(&pair, needs(&pair).function, &mut actions);
                },
                Step::GpuEnds => if model.gpus.pop().is_some() {
                    table.gpu_ended(FIRST_GPU.expect("set"), &mut actions);
                },
                Step::DrainDeadline => table.drain_deadline(&mut actions),
            }
            model.see(&actions);
            prop_assert_eq!(model.current.len(), table.len());
            prop_assert_eq!(table.threads.free() + model.threads.len(), LIMITS.threads);
        }
        // Whatever happened before: a drain ends every job, and every thread comes back.
        let mut actions = Vec::new();
        table.drain_deadline(&mut actions);
        model.see(&actions);
        while let Some(pair) = model.threads.pop() {
            let mut actions = Vec::new();
            table.thread_ended(&pair, needs(&pair).function, &mut actions);
            model.see(&actions);
        }
        while model.gpus.pop().is_some() {
            table.gpu_ended(FIRST_GPU.expect("set"), &mut Vec::new());
        }
        prop_assert_eq!(table.gpus.in_use(), 0);
        prop_assert!(!table.gpus.has_waiting());
        prop_assert_eq!(table.len(), 0);
        prop_assert!(table.per_function.iter().all(|held| *held == 0));
        prop_assert_eq!(table.threads.free(), LIMITS.threads);
    }
}

#[test]
fn c20_a_job_that_leaves_the_line_lets_the_next_in() {
    let mut table = table();
    let wide = Needs { gpu: Some(GpuSpan::new(0, 2)), ..GPU };
    let second = Needs { gpu: Some(GpuSpan::new(1, 1)), ..GPU };
    assert_eq!(arrive(&mut table, pair("a", 1), GPU).len(), 2, "accepted and started");
    assert_eq!(arrive(&mut table, pair("b", 1), wide).len(), 1, "waits");
    assert_eq!(arrive(&mut table, pair("c", 1), second).len(), 1, "waits behind b");
    let actions = collect(|actions| table.cancel(&pair("b", 1), actions));
    let finish = Action::Finish { job: pair("b", 1), ending: Ending::canceled() };
    assert_eq!(actions, [Action::Interrupt(pair("b", 1)), finish, Action::Start(pair("c", 1))], "W16: without a slot");
}

#[test]
fn c20_the_permit_is_free_before_the_upload() {
    let mut table = table();
    arrive(&mut table, pair("a", 1), GPU);
    arrive(&mut table, pair("b", 1), GPU);
    let large = Outcome::Output(Some(Bytes::from(vec![0; 70_000])));
    let actions = collect(|actions| table.returned(&pair("a", 1), large, actions));
    assert!(matches!(actions[..], [Action::Upload { .. }]));
    let actions = collect(|actions| table.gpu_ended(FIRST_GPU.expect("set"), actions));
    assert_eq!(actions, [Action::Start(pair("b", 1))], "while a is uploaded");
    let actions = collect(|actions| table.cancel(&pair("a", 1), actions));
    assert_eq!(actions.len(), 2);
    assert_eq!(table.gpus.in_use(), 1, "a cancel in that window leaks nothing");
}

#[test]
fn c20_accelerators_are_given_back_during_saves_and_come_back_in_line() {
    let mut table = table();
    let span = FIRST_GPU.expect("set");
    arrive(&mut table, pair("a", 1), GPU);
    arrive(&mut table, pair("b", 1), GPU);
    let actions = collect(|actions| table.gpu_ended(span, actions));
    assert_eq!(actions, [Action::Start(pair("b", 1))], "while a saves");
    let actions = collect(|actions| assert!(table.gpu_wanted(&pair("a", 1), actions)));
    assert_eq!(actions, [], "b has them");
    assert!(!table.gpu_wanted(&pair("a", 1), &mut Vec::new()), "it stands in line once");
    let actions = collect(|actions| table.gpu_ended(span, actions));
    assert_eq!(actions, [Action::GrantGpu(pair("a", 1))]);
    assert_eq!(table.gpus.in_use(), 1);

    // Free again: at once.
    table.gpu_ended(span, &mut Vec::new());
    let actions = collect(|actions| assert!(table.gpu_wanted(&pair("a", 1), actions)));
    assert_eq!(actions, [Action::GrantGpu(pair("a", 1))]);

    // Canceled in line: whoever is behind it does not wait for it.
    let actions = collect(|actions| assert!(table.gpu_wanted(&pair("b", 1), actions)));
    assert_eq!(actions, []);
    arrive(&mut table, pair("c", 1), GPU);
    table.cancel(&pair("b", 1), &mut Vec::new());
    let actions = collect(|actions| table.gpu_ended(span, actions));
    assert_eq!(actions, [Action::Start(pair("c", 1))]);
    assert!(!table.gpu_wanted(&pair("b", 1), &mut Vec::new()), "it is gone");
    table.gpu_ended(span, &mut Vec::new());
    assert_eq!(table.gpus.in_use(), 0);
}
