//! The encoder against the generated code, and the redial policy by rule.
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use gen_worker_proto::{
    Pair,
    pb::{self, job_result::Output, worker_message::Msg},
};
use proptest::prelude::*;
use prost::Message;
use tokio::time::Instant;
use tonic::{Code, Status};

use super::{LinkFailure, RedialOptions, RedialPolicy, Verdict, encode::encode, redial::FatalRefusal};
use crate::{
    address::Address,
    outbox::{EndOutput, JobEnd, Outgoing, Progress},
};

fn encoded(message: Outgoing) -> Bytes {
    let mut buffer = BytesMut::new();
    encode(message, &mut buffer);
    buffer.freeze()
}

fn generated(msg: Msg) -> Vec<u8> {
    pb::WorkerMessage { msg: Some(msg) }.encode_to_vec()
}

fn status() -> impl Strategy<Value = pb::JobStatus> {
    prop_oneof![Just(pb::JobStatus::Unspecified), Just(pb::JobStatus::Ok), Just(pb::JobStatus::Canceled)]
}

fn output() -> impl Strategy<Value = EndOutput> {
    prop_oneof![
        Just(EndOutput::None),
        proptest::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| EndOutput::Inline(bytes.into())),
        ".{0,20}".prop_map(EndOutput::BlobRef),
    ]
}

fn metrics() -> impl Strategy<Value = Option<pb::JobMetrics>> {
    proptest::option::of((any::<i64>(), 0..500_i64, any::<i32>()).prop_map(|(runtime_ms, queue_ms, concurrency)| {
        pb::JobMetrics { runtime_ms, queue_ms, concurrency_at_start: concurrency, ..Default::default() }
    }))
}

proptest! {
    #[test]
    fn hot_messages_are_encoded_like_the_generated_code(
        id in ".{1,60}", attempt in any::<i64>(), seq in any::<i64>(), message in ".{0,200}",
        data in proptest::collection::vec(any::<u8>(), 0..200), (status, output, metrics) in (status(), output(), metrics()),
    ) {
        let pair = Pair::parse(id.as_str(), attempt).expect("a pair");
        let accepted = pb::JobAccepted { request_id: id.clone(), attempt };
        prop_assert_eq!(
            encoded(Outgoing::Accepted { pair: pair.clone(), repeated: true }),
            generated(Msg::JobAccepted(accepted))
        );
        let progress = Progress { pair: pair.clone(), seq, content_type: "a/b", data: data.clone().into() };
        let want = pb::JobProgress {
            request_id: id.clone(), attempt, seq, data: data.into(), content_type: "a/b".into(),
        };
        prop_assert_eq!(encoded(Outgoing::Progress(progress)), generated(Msg::JobProgress(want)));
        let end = JobEnd { pair, status, output: output.clone(), message: message.clone(), metrics, record: None };
        let want = pb::JobResult {
            request_id: id, attempt, status: status.into(), safe_message: message, metrics,
            output: match output {
                EndOutput::None => None,
                EndOutput::Inline(bytes) => Some(Output::Inline(bytes)),
                EndOutput::BlobRef(file_ref) => Some(Output::BlobRef(file_ref)),
            },
        };
        prop_assert_eq!(encoded(Outgoing::Result(end)), generated(Msg::JobResult(want)));
    }
}

#[test]
fn other_messages_are_encoded_by_the_generated_code() {
    let hello = || Msg::Hello(pb::Hello { worker_id: "w1".into(), ..Default::default() });
    assert_eq!(encoded(hello().into()), generated(hello()));
}

fn address(text: &str) -> Address {
    Address::parse(text, false).expect("an address")
}

fn refused(code: Code, detail: &str) -> LinkFailure {
    LinkFailure::Refused(Status::new(code, detail))
}

struct Case {
    policy: RedialPolicy,
    now: Instant,
    dialed: Address,
}

impl Case {
    fn new(options: RedialOptions) -> Self {
        let now = Instant::now();
        let seeds = vec![address("grpcs://seed1:1"), address("grpcs://seed2:1")];
        let dialed = address("grpcs://primary:1");
        Self { policy: RedialPolicy::new(dialed.clone(), seeds, options, now), now, dialed }
    }

    /// The host dialed next and the longest possible wait, or the reason to give up.
    fn fails(&mut self, failure: &LinkFailure, lived: Option<u64>) -> Result<(String, u64), FatalRefusal> {
        let lived = lived.map(Duration::from_secs);
        match self.policy.failed(failure, &self.dialed, lived, self.now, 1.0) {
            Verdict::Redial { address, wait } => {
                assert!(address.tls(), "never a downgrade");
                self.dialed = address.clone();
                Ok((address.host().to_owned(), wait.as_secs()))
            }
            Verdict::GiveUp(refusal) => Err(refusal),
        }
    }

    fn passes(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }
}

fn next(host: &str, wait: u64) -> Result<(String, u64), FatalRefusal> {
    Ok((host.to_owned(), wait))
}

#[test]
fn seeds_take_turns_one_per_backoff_round() {
    let mut case = Case::new(RedialOptions::default());
    for want in [next("seed1", 1), next("seed2", 2), next("primary", 4), next("seed1", 8)] {
        assert_eq!(case.fails(&refused(Code::Unavailable, "x"), None), want);
    }
    case.policy.acknowledged();
    assert_eq!(case.fails(&LinkFailure::Ended, Some(1)), next("primary", 16), "the wait shrinks only after 60 s");
    assert_eq!(case.fails(&LinkFailure::Ended, Some(60)), next("primary", 1), "what lived is tried first again");
    assert_eq!(case.fails(&refused(Code::Unavailable, "x"), None), next("seed1", 2));
}

#[test]
fn c23_three_hops_then_the_list_again() {
    let mut case = Case::new(RedialOptions::default());
    let redirect = |host: &str| refused(Code::FailedPrecondition, &format!("not_leader:{host}:9"));
    assert_eq!(case.fails(&redirect("a"), None), next("a", 0));
    assert_eq!(case.fails(&redirect("b"), None), next("b", 0));
    assert_eq!(case.fails(&redirect("c"), None), next("c", 0));
    assert_eq!(case.fails(&redirect("d"), None), next("seed1", 1));
    assert_eq!(case.fails(&redirect("e"), None), next("e", 0), "the budget is full again");
}

#[test]
fn a_redirect_must_start_the_detail_and_name_a_host() {
    let mut case = Case::new(RedialOptions::default());
    assert_eq!(case.fails(&refused(Code::FailedPrecondition, "sorry not_leader:a:1"), None), next("seed1", 1));
    assert_eq!(case.fails(&refused(Code::FailedPrecondition, "not_leader:"), None), next("seed2", 2));
    assert_eq!(case.fails(&refused(Code::Unavailable, "not_leader:a:1"), None), next("primary", 4));
}

#[test]
fn c24_strikes_need_three_refusals_and_a_minute() {
    let strike = refused(Code::Unauthenticated, "expired");
    let mut case = Case::new(RedialOptions::default());
    for _ in 0..5 {
        assert!(case.fails(&strike, None).is_ok(), "less than a minute");
    }
    case.passes(60);
    assert!(matches!(case.fails(&strike, None), Err(FatalRefusal::Token { strikes: 6, .. })));

    let mut case = Case::new(RedialOptions::default());
    assert!(case.fails(&strike, None).is_ok());
    case.passes(100);
    assert!(case.fails(&refused(Code::Unavailable, "x"), None).is_ok(), "does not reset");
    assert!(case.fails(&strike, None).is_ok(), "two are not three");
    case.policy.forgive();
    assert!(case.fails(&strike, None).is_ok(), "a new token starts over");
    assert!(case.fails(&refused(Code::Aborted, "worker_stream_superseded"), Some(1)).is_ok());
}

#[test]
fn the_disconnect_limit_counts_from_the_last_live_connection() {
    let mut case = Case::new(RedialOptions::default());
    case.passes(600);
    assert!(case.fails(&LinkFailure::Ended, None).is_ok(), "exactly the limit is not past it");
    assert!(case.fails(&LinkFailure::Ended, Some(5)).is_ok());
    case.passes(599);
    assert!(case.fails(&LinkFailure::Ended, None).is_ok());
    case.passes(2);
    let limit = FatalRefusal::Disconnected(Duration::from_secs(600));
    assert_eq!(case.fails(&LinkFailure::Ended, None), Err(limit));
    let mut never = Case::new(RedialOptions { disconnected_max: None, ..RedialOptions::default() });
    never.passes(1_000_000);
    assert!(never.fails(&LinkFailure::Ended, None).is_ok());
}

#[test]
fn attempts_may_be_bounded() {
    let mut case = Case::new(RedialOptions { attempts_max: 2, ..RedialOptions::default() });
    assert!(case.fails(&LinkFailure::Ended, None).is_ok());
    assert_eq!(case.fails(&LinkFailure::Ended, None), Err(FatalRefusal::Attempts(2)));
}

#[test]
fn w3_another_version_is_fatal() {
    let mut case = Case::new(RedialOptions::default());
    assert!(matches!(case.fails(&LinkFailure::Version(3), None), Err(FatalRefusal::Version(_))));
}
