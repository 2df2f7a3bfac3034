//! What the scenarios look for on the wire.

use anyhow::Result;
use gen_worker_proto::pb::{self, scheduler_message::Msg as Outbound, worker_message::Msg};
use gen_worker_tests::{Entry, Relay};
use tonic::Status;

/// A job as the orchestrator sent it first, once it did.
pub(super) fn sent(relay: &Relay, id: &str, attempt: i64) -> Result<pb::RunJob> {
    relay.wait(&format!("attempt {attempt} of {id}"), |entries| runs(entries, id, attempt).next().cloned())
}

/// Each time that an attempt was sent.
pub(super) fn runs<'a>(entries: &'a [Entry], id: &'a str, attempt: i64) -> impl Iterator<Item = &'a pb::RunJob> {
    entries.iter().filter_map(move |entry| match entry.orchestrator()? {
        Outbound::RunJob(run) if (run.request_id.as_str(), run.attempt) == (id, attempt) => Some(run),
        _ => None,
    })
}

/// How often an attempt was accepted.
pub(super) fn accepted(entries: &[Entry], id: &str, attempt: i64) -> usize {
    let said = entries.iter().filter_map(Entry::worker);
    said.filter(|msg| matches!(msg, Msg::JobAccepted(on) if (on.request_id.as_str(), on.attempt) == (id, attempt)))
        .count()
}

/// All results of a request that the worker sent.
pub(super) fn results(entries: &[Entry], id: &str) -> Vec<pb::JobResult> {
    let said = entries.iter().filter_map(Entry::worker);
    let results = said.filter_map(|msg| if let Msg::JobResult(result) = msg { Some(result) } else { None });
    results.filter(|result| result.request_id == id).cloned().collect()
}

/// Waits for the first result of a request, and gives all of them.
pub(super) fn result(relay: &Relay, id: &str) -> Result<pb::JobResult> {
    relay.wait(&format!("a result of {id}"), |entries| results(entries, id).into_iter().next())
}

/// What the worker said of itself since its Hello.
pub(super) fn states(entries: &[Entry]) -> impl Iterator<Item = &pb::StateDelta> {
    entries.iter().filter_map(|entry| if let Msg::StateDelta(state) = entry.worker()? { Some(state) } else { None })
}

/// Whether the orchestrator cancelled this pair.
pub(super) fn cancelled(entries: &[Entry], id: &str, attempt: i64) -> bool {
    let said = entries.iter().filter_map(Entry::orchestrator);
    said.into_iter()
        .any(|msg| matches!(msg, Outbound::CancelJob(on) if (on.request_id.as_str(), on.attempt) == (id, attempt)))
}

/// The Hello of a stream.
pub(super) fn hello(entries: &[Entry], stream: usize) -> Option<&pb::Hello> {
    entries.iter().filter(|entry| entry.stream == stream).find_map(|entry| match entry.worker()? {
        Msg::Hello(hello) => Some(hello),
        _ => None,
    })
}

/// The pairs that the Hello of a stream lists.
pub(super) fn listed(entries: &[Entry], stream: usize) -> Option<Vec<(String, i64)>> {
    let hello = hello(entries, stream)?;
    Some(hello.in_flight.iter().map(|job| (job.request_id.clone(), job.attempt)).collect())
}

/// A result that a worker could have sent.
pub(super) fn forged(id: &str, attempt: i64, status: pb::JobStatus, output: &'static [u8]) -> Msg {
    let output = (!output.is_empty()).then(|| pb::job_result::Output::Inline(output.into()));
    Msg::JobResult(pb::JobResult {
        request_id: id.to_owned(),
        attempt,
        status: status.into(),
        output,
        ..pb::JobResult::default()
    })
}

/// Ends the first stream, and waits until the worker knows. The next one waits until streams are taken again.
pub(super) fn offline(relay: &Relay) -> Result<()> {
    relay.set_reachable(false);
    relay.end(Status::unavailable("for a while"))?;
    relay.wait("another dial", |entries| entries.iter().find(|entry| entry.stream == 1).map(drop))
}

/// An acknowledgement with this place for files.
pub(super) fn ack(file_base_url: &str) -> Outbound {
    Outbound::HelloAck(pb::HelloAck {
        protocol_version: pb::ProtocolVersion::Current.into(),
        file_base_url: file_base_url.to_owned(),
        keep: vec!["acme/other".into()],
        ..pb::HelloAck::default()
    })
}
