//! C3 to C7: what a job looks like on the wire.

use anyhow::{Result, ensure};
use gen_worker_proto::pb::{
    JobProgress, JobResult, JobStatus, RunJob, job_result::Output, scheduler_message::Msg as Outbound,
    worker_message::Msg,
};
use gen_worker_tests::{Entry, Peer, Relay};
use serde_json::{Value, json};

use super::{Scene, wire};

/// What a worker said of one job.
struct Said {
    accepted: bool,
    frames: Vec<JobProgress>,
    result: JobResult,
}

impl Said {
    /// Submits a job, and checks that what is said of it comes in the order of W13.
    fn of(scene: &Scene, relay: &Relay, id: &str, function: &str, payload: &Value) -> Result<Self> {
        let body = json!({"function": function, "payload": payload});
        let submitted = scene.api().put(&format!("/v1/requests/{id}"), &body)?;
        ensure!(submitted.status == 202, "{submitted:?}");
        Self::heard(relay, id)
    }

    /// What was said, once its result came.
    fn heard(relay: &Relay, id: &str) -> Result<Self> {
        let result = wire::result(relay, id)?;
        let said: Vec<Msg> = relay.look(|entries| {
            let said = entries.iter().filter_map(Entry::worker);
            said.filter(|msg| pair(msg).is_some_and(|(of, attempt)| (of, attempt) == (id, 1))).cloned().collect()
        });
        let accepted = matches!(said.first(), Some(Msg::JobAccepted(_)));
        let frames: Vec<_> = said
            .iter()
            .filter_map(|msg| if let Msg::JobProgress(frame) = msg { Some(frame.clone()) } else { None })
            .collect();
        ensure!(matches!(said.last(), Some(Msg::JobResult(_))), "W13: {said:?}");
        ensure!(said.len() == usize::from(accepted) + frames.len() + 1, "W13, W14: {said:?}");
        Ok(Self { accepted, frames, result })
    }

    /// Status, output and whether it was accepted.
    fn end(&self) -> (JobStatus, Option<&[u8]>, bool) {
        let output = match &self.result.output {
            Some(Output::Inline(output)) => Some(output.as_ref()),
            _ => None,
        };
        (self.result.status(), output, self.accepted)
    }

    /// Content type and data of each frame, after a look at the numbers.
    fn frames(&self) -> Vec<(&str, &[u8])> {
        assert!(self.frames.iter().map(|frame| frame.seq).eq(1..=self.frames.len() as i64), "{:?}", self.frames);
        self.frames.iter().map(|frame| (frame.content_type.as_str(), frame.data.as_ref())).collect()
    }
}

fn pair(msg: &Msg) -> Option<(&str, i64)> {
    match msg {
        Msg::JobAccepted(on) => Some((&on.request_id, on.attempt)),
        Msg::JobProgress(on) => Some((&on.request_id, on.attempt)),
        Msg::JobResult(on) => Some((&on.request_id, on.attempt)),
        _ => None,
    }
}

fn c3_c4_c5_unary_on_the_wire(peer: Peer) -> Result<()> {
    let (scene, relay) = Scene::relayed(peer)?;
    let said = Said::of(&scene, &relay, "a", "echo", &json!({"text": "marco"}))?;
    assert_eq!(said.end(), (JobStatus::Ok, Some(b"\x81\xa8response\xa5marco".as_slice()), true));
    assert!(said.result.metrics.is_some_and(|metrics| metrics.runtime_ms >= 0));
    assert!(said.frames.is_empty());
    let template = wire::sent(&relay, "a", 1)?;
    let told = |id: &str, change: &dyn Fn(RunJob) -> RunJob| {
        let run = change(RunJob { request_id: id.to_owned(), ..template.clone() });
        relay.tell_worker(Outbound::RunJob(run))?;
        Said::heard(&relay, id)
    };
    let refused = Said::of(&scene, &relay, "b", "refuse", &json!({"text": "this"}))?;
    let wrong = told("c", &|run| RunJob { input_payload: b"\x81\xa4text\x05".as_slice().into(), ..run })?;
    let empty = told("d", &|run| RunJob { input_payload: b"".as_slice().into(), ..run })?;
    for said in [refused, wrong, empty] {
        assert_eq!(said.end(), (JobStatus::Invalid, None, true), "accepted before it is read (W12)");
        assert!(!said.result.safe_message.is_empty());
    }
    let unknown = RunJob { request_id: "e".to_owned(), function_name: "ecko".to_owned(), ..template.clone() };
    relay.tell_worker(Outbound::RunJob(unknown.clone()))?;
    let said = Said::heard(&relay, "e")?;
    assert_eq!(said.end(), (JobStatus::Invalid, None, false));
    assert_eq!((said.result.safe_message.as_str(), said.result.metrics), ("unknown function 'ecko'", None));
    relay.tell_worker(Outbound::RunJob(unknown))?;
    relay.wait("W11: another refusal", |entries| (wire::results(entries, "e").len() == 2).then_some(()))?;
    scene.serves()
}

fn c6_c7_streams_on_the_wire(peer: Peer) -> Result<()> {
    let (scene, relay) = Scene::relayed(peer)?;
    let said = Said::of(&scene, &relay, "a", "count_up", &json!({}))?;
    let items: [&[u8]; 3] = [br#"{"index":0}"#, br#"{"index":1}"#, br#"{"index":2}"#];
    assert_eq!(said.frames(), items.map(|item| ("application/json", item)));
    assert_eq!(said.end(), (JobStatus::Ok, None, true));
    let said = Said::of(&scene, &relay, "b", "speak", &json!({"text": "ab"}))?;
    assert_eq!(said.frames(), [("text/plain", b"a".as_slice()), ("text/plain", b"b")]);
    let (status, output, _) = said.end();
    let summary = b"\x81\xa4text\xa2ab".as_slice();
    assert_eq!((status, output), (JobStatus::Ok, (peer != Peer::Python("0.11.2")).then_some(summary)), "8.7");
    let said = Said::of(&scene, &relay, "c", "speak", &json!({"text": ""}))?;
    assert_eq!((said.frames().len(), said.end()), (0, (JobStatus::Invalid, None, true)));
    assert_eq!(said.result.safe_message, "nothing to say");
    Ok(())
}

with_every_peer!(c3_c4_c5_unary_on_the_wire, c6_c7_streams_on_the_wire);
