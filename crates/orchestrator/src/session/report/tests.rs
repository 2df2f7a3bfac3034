use bytes::Bytes;
use gen_worker_proto::pb::{self, worker_message::Msg};

use super::{Frame, Parser, Report, ResultReport, Verdict};
use crate::lifecycle::Status;

fn result(status: i32, message: &str) -> ResultReport {
    pb::JobResult { request_id: "r".into(), attempt: 1, status, safe_message: message.into(), ..Default::default() }
        .into()
}

#[test]
fn o13_statuses_and_contract_texts_become_verdicts() {
    assert_eq!(result(1, "").verdict, Verdict::Status(Status::Ok));
    assert_eq!(result(2, "bad").verdict, Verdict::Status(Status::Invalid));
    assert_eq!(result(3, "later").verdict, Verdict::Status(Status::Retryable));
    assert_eq!(result(3, "worker draining").verdict, Verdict::Draining);
    assert_eq!(result(3, "worker busy").verdict, Verdict::Busy);
    assert_eq!(result(4, "worker busy").verdict, Verdict::Status(Status::Fatal));
    assert_eq!(result(4, "deadline exceeded").verdict, Verdict::Status(Status::TimedOut));
    assert_eq!(result(5, "canceled").verdict, Verdict::Status(Status::Canceled));
    let unknown = result(99, "?");
    assert_eq!(unknown.verdict, Verdict::Status(Status::Fatal));
    assert_eq!(unknown.message, "worker sent unknown status 99");
}

#[test]
fn messages_are_cut_between_characters() {
    let long = result(4, &"ä".repeat(2_000));
    assert_eq!(long.message.chars().count(), 1_024);
}

fn frame(content_type: &str, data: &str) -> Frame {
    let progress = pb::JobProgress {
        request_id: "r".into(),
        attempt: 1,
        seq: 1,
        data: Bytes::copy_from_slice(data.as_bytes()),
        content_type: content_type.into(),
    };
    let message = pb::WorkerMessage { msg: Some(Msg::JobProgress(progress)) };
    match Parser::default().report(message) {
        Some(Report::Frame(_, frame)) => frame,
        other => panic!("{other:?}"),
    }
}

#[test]
fn o14_request_events_become_progress_and_log_and_all_else_stays_a_chunk() {
    let event = "application/x-request-event+json";
    assert!(matches!(frame(event, r#"{"type":"request.progress","payload":1}"#), Frame::Progress(_)));
    assert!(matches!(frame(event, r#"{"type":"request.training_metric"}"#), Frame::Progress(_)));
    assert!(matches!(frame(event, r#"{"type":"request.log"}"#), Frame::Log(_)));
    assert!(matches!(frame(event, r#"{"type":"request.warning"}"#), Frame::Log(_)));
    assert!(matches!(frame(event, "not json"), Frame::Chunk { .. }));
    assert!(matches!(frame("audio/pcm;rate=24000", "\u{1}"), Frame::Chunk { .. }));
}

#[test]
fn c33_unknown_members_are_skipped() {
    assert!(Parser::default().report(pb::WorkerMessage { msg: None }).is_none());
    let odd = pb::ModelEvent { r#ref: "a".into(), state: 77, ..Default::default() };
    assert!(Parser::default().report(pb::WorkerMessage { msg: Some(Msg::ModelEvent(odd)) }).is_none());
}
