use gen_worker_proto::pb::{JobStatus, job_result::Output};

use super::*;

fn ledger() -> Ledger {
    let mut ledger = Ledger::new(Place { fault: "none", round: 0, seed: 0 });
    ledger.connected(&hello(&[]), "w");
    ledger
}

fn hello(in_flight: &[(&str, i64)]) -> pb::Hello {
    let job = |(id, attempt): &(&str, i64)| pb::InFlightJob { request_id: (*id).to_owned(), attempt: *attempt };
    pb::Hello {
        protocol_version: pb::ProtocolVersion::Current.into(),
        worker_id: "w".to_owned(),
        in_flight: in_flight.iter().map(job).collect(),
        ..pb::Hello::default()
    }
}

fn key(id: &str, attempt: i64) -> Key {
    Key { request_id: id.to_owned(), attempt }
}

impl Ledger {
    fn accept(&mut self, key: &Key) {
        let Key { request_id, attempt } = key.clone();
        self.message(Msg::JobAccepted(pb::JobAccepted { request_id, attempt }), Instant::now());
    }

    fn frame(&mut self, key: &Key, seq: i64) {
        let Key { request_id, attempt } = key.clone();
        let frame = pb::JobProgress { request_id, attempt, seq, ..pb::JobProgress::default() };
        self.message(Msg::JobProgress(frame), Instant::now());
    }

    fn end(&mut self, key: &Key, status: JobStatus) {
        let Key { request_id, attempt } = key.clone();
        let metrics = (status == JobStatus::Ok).then(pb::JobMetrics::default);
        let output = (status == JobStatus::Ok).then(|| Output::Inline(vec![0x80].into()));
        let result =
            pb::JobResult { request_id, attempt, status: status.into(), output, metrics, ..Default::default() };
        self.message(Msg::JobResult(result), Instant::now());
    }

    /// A job that was sent and accepted.
    fn running(&mut self, id: &str) -> Key {
        let key = key(id, 1);
        self.sent(&key, Expect::Runs(0));
        self.accept(&key);
        key
    }

    fn rules(&self) -> Vec<&'static str> {
        self.findings.violations().iter().map(|violation| violation.rule).collect()
    }
}

#[test]
fn a_job_by_the_rules_breaks_none() {
    let mut ledger = ledger();
    let job = ledger.running("a");
    (1..=3).for_each(|seq| ledger.frame(&job, seq));
    assert!(!ledger.is_settled());
    ledger.end(&job, JobStatus::Ok);
    assert!(ledger.is_settled());
    assert_eq!(ledger.rules(), [""; 0]);
}

#[test]
fn w5_nothing_is_said_of_pairs_that_were_never_sent() {
    let mut ledger = ledger();
    let job = ledger.running("a");
    ledger.end(&key("a", 2), JobStatus::Ok);
    ledger.accept(&key("b", 1));
    ledger.frame(&key("b", 1), 1);
    ledger.end(&job, JobStatus::Ok);
    ledger.connected(&hello(&[("z", 1)]), "w");
    assert_eq!(ledger.rules(), ["W5"; 4]);
}

#[test]
fn w8_a_repeat_of_a_running_pair_is_accepted_again() {
    let mut ledger = ledger();
    let job = ledger.running("a");
    ledger.sent(&job, Expect::Runs(0));
    ledger.answered();
    assert_eq!(ledger.rules(), ["W8"]);
    ledger.accept(&job);
    ledger.answered();
    ledger.accept(&job);
    assert_eq!(ledger.rules(), ["W8", "W8"], "three acceptances of two");
}

#[test]
fn w9_a_repeat_of_an_ended_pair_says_nothing() {
    let mut ledger = ledger();
    let job = ledger.running("a");
    ledger.end(&job, JobStatus::Ok);
    ledger.sent(&job, Expect::Runs(0));
    ledger.answered();
    assert_eq!(ledger.rules(), [""; 0]);
    ledger.accept(&job);
    assert_eq!(ledger.rules(), ["W9"]);
}

#[test]
fn w10_a_superseded_attempt_is_silent() {
    let mut ledger = ledger();
    let first = ledger.running("a");
    let second = key("a", 2);
    ledger.sent(&second, Expect::Runs(0));
    ledger.frame(&first, 1);
    assert_eq!(ledger.rules(), [""; 0], "it was on its way");
    ledger.accept(&second);
    ledger.frame(&first, 2);
    ledger.end(&first, JobStatus::Canceled);
    assert_eq!(ledger.rules()[..2], ["W10", "W10"]);
    assert!(!ledger.is_settled(), "the second one is waited for");
}

#[test]
fn w12_every_job_is_accepted_also_a_malformed_one() {
    let mut ledger = ledger();
    let job = key("a", 1);
    ledger.sent(&job, Expect::Malformed);
    ledger.answered();
    ledger.end(&job, JobStatus::Invalid);
    let good = key("b", 1);
    ledger.sent(&good, Expect::Runs(0));
    ledger.end(&good, JobStatus::Ok);
    assert_eq!(ledger.rules(), ["W12"; 3]);
}

#[test]
fn w13_acceptance_frames_result_in_this_order() {
    let mut ledger = ledger();
    let job = key("a", 1);
    ledger.sent(&job, Expect::Runs(0));
    ledger.frame(&job, 1);
    ledger.accept(&job);
    ledger.end(&job, JobStatus::Ok);
    ledger.frame(&job, 2);
    ledger.accept(&job);
    assert_eq!(ledger.rules(), ["W13"; 3]);
}

#[test]
fn w14_one_result_except_for_what_a_break_may_have_eaten() {
    let mut ledger = ledger();
    let job = ledger.running("a");
    ledger.end(&job, JobStatus::Ok);
    ledger.connected(&hello(&[("a", 1)]), "w");
    ledger.end(&job, JobStatus::Ok);
    assert_eq!(ledger.rules(), [""; 0], "the worker listed it: W18");
    ledger.connected(&hello(&[]), "w");
    ledger.end(&job, JobStatus::Ok);
    assert_eq!(ledger.rules(), ["W14"]);
    ledger.running("b");
    ledger.lost(Duration::from_secs(1));
    assert_eq!(ledger.rules(), ["W14"; 2]);
    assert!(ledger.is_settled());
}

#[test]
fn w15_a_cancel_of_another_attempt_does_nothing() {
    let mut ledger = ledger();
    let (job, other) = (ledger.running("a"), ledger.running("b"));
    ledger.canceled_beside(&job);
    ledger.canceled(&other, Instant::now());
    ledger.end(&job, JobStatus::Canceled);
    ledger.end(&other, JobStatus::Canceled);
    assert_eq!(ledger.rules(), ["W15"]);
    assert_eq!(ledger.cancels.len(), 1);
}

#[test]
fn w2_the_hello_lists_what_is_held() {
    let mut ledger = ledger();
    let (a, b) = (ledger.running("a"), ledger.running("b"));
    ledger.connected(&hello(&[("b", 1)]), "w");
    assert_eq!(ledger.unlisted(), [(a.clone(), true)]);
    ledger.probed(&a);
    ledger.sent(&a, Expect::Runs(0));
    ledger.accept(&a);
    assert_eq!(ledger.rules(), ["W2"]);
    ledger.connected(&hello(&[("b", 1), ("a", 1)]), "w");
    ledger.connected(&hello(&[("a", 1), ("b", 1), ("b", 1)]), "w");
    assert_eq!(ledger.rules(), ["W2"; 3], "order and duplicates");
    ledger.end(&b, JobStatus::Ok);
}

#[test]
fn w19_a_draining_worker_takes_nothing() {
    let mut ledger = ledger();
    ledger.draining();
    let (late, taken) = (key("a", 1), key("b", 1));
    ledger.sent(&late, Expect::Refused);
    ledger.end(&late, JobStatus::Retryable);
    assert_eq!(ledger.rules(), [""; 0]);
    let state = pb::StateDelta { available_functions: vec!["f".to_owned()], ..pb::StateDelta::default() };
    ledger.message(Msg::StateDelta(state), Instant::now());
    ledger.sent(&taken, Expect::Refused);
    ledger.accept(&taken);
    assert_eq!(ledger.rules(), ["W19"; 2]);
}

#[test]
fn w24_frames_count_from_one() {
    let mut ledger = ledger();
    let (a, b) = (ledger.running("a"), ledger.running("b"));
    ledger.frame(&a, 2);
    ledger.frame(&a, 2);
    ledger.frame(&b, 1);
    ledger.frame(&b, 3);
    assert_eq!(ledger.rules(), ["W24"; 3]);
    ledger.connected(&hello(&[("a", 1), ("b", 1)]), "w");
    ledger.frame(&b, 9);
    assert_eq!(ledger.rules(), ["W24"; 3], "frames were lost with the connection");
    ledger.frame(&b, 9);
    assert_eq!(ledger.rules(), ["W24"; 4]);
}

#[test]
fn c5_an_unknown_function_is_invalid_and_not_accepted() {
    let mut ledger = ledger();
    let (a, b) = (key("a", 1), key("b", 1));
    ledger.sent(&a, Expect::Unknown);
    ledger.sent(&b, Expect::Unknown);
    ledger.end(&a, JobStatus::Invalid);
    assert_eq!(ledger.rules(), [""; 0]);
    ledger.accept(&b);
    assert_eq!(ledger.rules(), ["C5"]);
}

#[test]
fn different_outputs_of_one_payload_are_a_note() {
    let mut ledger = ledger();
    for (id, byte) in [("a", 1), ("b", 2)] {
        let job = ledger.running(id);
        let output = Some(Output::Inline(vec![0x81, 0xa1, 0x61, byte].into()));
        let Key { request_id, attempt } = job;
        let result = pb::JobResult { request_id, attempt, status: JobStatus::Ok.into(), output, ..Default::default() };
        ledger.message(Msg::JobResult(result), Instant::now());
    }
    assert_eq!(ledger.rules(), [""; 0]);
    assert_eq!(ledger.findings.notes().len(), 1);
}
