//! C20: jobs that need the accelerator, of which a worker has one to give whatever the machine has.

use std::fs;

use anyhow::{Context, Result};
use gen_worker_proto::{
    limits::INLINE_OUTPUT_BYTES_MAX,
    pb::{CancelJob, JobStatus, ResolvedCompute, RunJob, scheduler_message::Msg as Outbound},
};
use gen_worker_tests::{Files, Peer, Relay, eventually};
use serde_json::json;

use super::{Scene, started, wire};

/// Gives jobs that take the slot; the orchestrator knows nothing of them.
struct Slot {
    scene: Scene,
    relay: Relay,
    template: RunJob,
}

impl Slot {
    fn of(peer: Peer) -> Result<Self> {
        let (scene, relay) = Scene::relayed(peer)?;
        scene.api().put("/v1/requests/template", &json!({"function": "echo", "payload": {"text": ""}}))?;
        let mut template = wire::sent(&relay, "template", 1)?;
        scene.api().ended("template")?;
        template.compute = Some(ResolvedCompute { accelerator: "cuda".to_owned(), ..ResolvedCompute::default() });
        Ok(Self { scene, relay, template })
    }

    fn run(&self, id: &str, function: &str, payload: &[u8]) -> Result<()> {
        let (request_id, function_name) = (id.to_owned(), function.to_owned());
        let input_payload = payload.to_owned().into();
        let run = RunJob { request_id, function_name, input_payload, ..self.template.clone() };
        self.relay.tell_worker(Outbound::RunJob(run))
    }

    /// Shows that of two jobs the second waits for the first.
    fn is_one(&self) -> Result<()> {
        let before = started(self.scene.worker.dir.path());
        self.run("g1", "hold", b"\x81\xa4name\xa2g1")?;
        self.run("g2", "hold", b"\x81\xa4name\xa2g2")?;
        // The second would end at once if it ran.
        self.scene.release("g2")?;
        self.scene.started(before + 1)?;
        self.scene.serves().context("a job without a slot does not wait")?;
        assert_eq!(started(self.scene.worker.dir.path()), before + 1, "the second waits");
        self.scene.release("g1")?;
        for id in ["g1", "g2"] {
            assert_eq!(wire::result(&self.relay, id)?.status(), JobStatus::Ok);
        }
        // Results of different pairs may pass each other on their way.
        let started = fs::read_to_string(self.scene.worker.dir.path().join("started"))?;
        let order: Vec<_> = started.lines().skip(before).collect();
        assert_eq!(order, ["g1", "g2"]);
        Ok(())
    }
}

fn c20_one_slot(peer: Peer) -> Result<()> {
    Slot::of(peer)?.is_one()
}

fn c20_upload_window(peer: Peer) -> Result<()> {
    let slot = Slot::of(peer)?;
    let files = Files::serve(b"")?;
    files.set_status(403);
    files.set_held(true);
    slot.relay.tell_worker(wire::ack(&files.url()))?;
    let mut large = b"\x81\xa4text\xdb".to_vec();
    let length = INLINE_OUTPUT_BYTES_MAX + 1;
    large.extend(u32::try_from(length)?.to_be_bytes());
    large.extend(vec![b'x'; length]);
    slot.run("large", "echo", &large)?;
    eventually("the upload", || (files.asked() > 0).then_some(()))?;
    slot.run("small", "echo", b"\x81\xa4text\xa5marco")?;
    assert_eq!(wire::result(&slot.relay, "small")?.status(), JobStatus::Ok, "it does not wait for the upload");
    slot.relay.tell_worker(Outbound::CancelJob(CancelJob { request_id: "large".into(), attempt: 1 }))?;
    files.set_held(false);
    assert_ne!(wire::result(&slot.relay, "large")?.status(), JobStatus::Ok);
    slot.is_one().context("after a cancel in the upload window")
}

with_every_peer!(c20_one_slot, c20_upload_window);
