//! Golden bytes of the wire contract, section 2, checked against the peer's encoder.
use bytes::Bytes;
use prost::Message;

use crate::pb::{self, job_result::Output, scheduler_message, worker_message};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex digits")).collect()
}

#[track_caller]
fn worker(msg: worker_message::Msg, want: &str) {
    let message = pb::WorkerMessage { msg: Some(msg) };
    assert_eq!(hex(&message.encode_to_vec()), want);
    assert_eq!(pb::WorkerMessage::decode(unhex(want).as_slice()).expect("golden bytes decode"), message);
}

#[track_caller]
fn scheduler(msg: scheduler_message::Msg, want: &str) {
    let message = pb::SchedulerMessage { msg: Some(msg) };
    assert_eq!(hex(&message.encode_to_vec()), want);
    assert_eq!(pb::SchedulerMessage::decode(unhex(want).as_slice()).expect("golden bytes decode"), message);
}

#[test]
fn golden_hello() {
    worker(
        worker_message::Msg::Hello(pb::Hello {
            protocol_version: pb::ProtocolVersion::Current.into(),
            worker_id: "w1".into(),
            state: Some(pb::StateDelta { phase: pb::WorkerPhase::Booting.into(), ..Default::default() }),
            in_flight: vec![pb::InFlightJob { request_id: "r1".into(), attempt: 2 }],
            ..Default::default()
        }),
        "0a120802120277312a0208013a060a0272311002",
    );
}

#[test]
fn golden_hello_ack() {
    scheduler(
        scheduler_message::Msg::HelloAck(pb::HelloAck {
            protocol_version: 2,
            file_base_url: "http://f".into(),
            keep: vec!["a/b".into()],
            resolutions: vec![pb::ModelResolution {
                r#ref: "a/b".into(),
                resolved_ref: "a/b#fp8".into(),
                cast: "fp8".into(),
            }],
        }),
        "0a2608021208687474703a2f2f661a03612f6222130a03612f621207612f62236670381a03667038",
    );
}

#[test]
fn golden_run_job() {
    scheduler(
        scheduler_message::Msg::RunJob(pb::RunJob {
            request_id: "r1".into(),
            attempt: 1,
            function_name: "echo".into(),
            input_payload: Bytes::from_static(b"\x81\xa4text\xa5marco"),
            output_mode: pb::OutputMode::Url.into(),
            compute: Some(pb::ResolvedCompute { accelerator: "cuda".into(), ..Default::default() }),
            ..Default::default()
        }),
        "12240a02723110011a046563686f220c81a474657874a56d6172636f480152060a0463756461",
    );
}

#[test]
fn golden_job_result() {
    worker(
        worker_message::Msg::JobResult(pb::JobResult {
            request_id: "r1".into(),
            attempt: 1,
            status: pb::JobStatus::Ok.into(),
            output: Some(Output::Inline(Bytes::from_static(b"\x81\xa8response\xa4polo"))),
            metrics: Some(pb::JobMetrics { runtime_ms: 3, output_media_duration_s: 1.5, ..Default::default() }),
            ..Default::default()
        }),
        "22260a02723110011801220f81a8726573706f6e7365a4706f6c6f3a0b080331000000000000f83f",
    );
}

#[test]
fn golden_empty_inline_output_stays_present() {
    worker(
        worker_message::Msg::JobResult(pb::JobResult {
            request_id: "r1".into(),
            attempt: 1,
            status: pb::JobStatus::Ok.into(),
            output: Some(Output::Inline(Bytes::new())),
            ..Default::default()
        }),
        "220a0a027231100118012200",
    );
}

#[test]
fn golden_model_event() {
    worker(
        worker_message::Msg::ModelEvent(pb::ModelEvent {
            r#ref: "a/b".into(),
            state: pb::ModelState::Failed.into(),
            error: "oom".into(),
            ..Default::default()
        }),
        "320c0a03612f62100622036f6f6d",
    );
}

#[test]
fn golden_fn_degraded() {
    worker(
        worker_message::Msg::FnDegraded(pb::FnDegraded {
            function_name: "f".into(),
            wanted: "bf16".into(),
            ran: "cpu".into(),
            reason: "x".into(),
            est_latency_multiplier: 40.0,
            recommended_vram_gb: 24.0,
        }),
        "42230a01661204626631361a03637075220178290000000000004440310000000000003840",
    );
}

#[test]
fn c33_unknown_oneof_member_reads_as_nothing_set() {
    // Field 15, length-delimited: a message kind nobody knows.
    let message =
        pb::SchedulerMessage::decode([0x7a, 0x02, 0x0a, 0x00].as_slice()).expect("unknown fields are skipped");
    assert_eq!(message.msg, None);
    let op = pb::ModelOp::decode([0x08, 0x63].as_slice()).expect("unknown enum numbers are kept");
    assert_eq!(op.op, 99);
}
