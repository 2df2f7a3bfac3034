//! Scenarios of the wire contract, section 15: our orchestrator with our worker and with the Python peer in both
//! versions. Those that need more than the HTTP API see go through a relay, and are judged by what both
//! sides said on the wire as well.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use gen_worker_tests::{Api, Peer, PeerWorker, Pool, PoolOptions, Relay, eventually};
use serde_json::{Value, json};

/// A pool with one worker of a kind.
struct Scene {
    pool: Pool,
    worker: PeerWorker,
}

impl Scene {
    fn of(peer: Peer) -> Result<Self> {
        let pool = Pool::start(&PoolOptions::default())?;
        let worker = peer.start("w1", pool.wire()?)?;
        pool.worker("w1")?;
        Ok(Self { pool, worker })
    }

    /// A pool and a worker with a relay between them.
    fn relayed(peer: Peer) -> Result<(Self, Relay)> {
        let (scene, relay) = Self::behind(peer, |_| ())?;
        scene.pool.worker("w1")?;
        // The orchestrator knows the worker before its acknowledgement arrives; nothing of a test may come first.
        relay.wait("the state", |entries| wire::states(entries).next().map(drop))?;
        Ok((scene, relay))
    }

    /// The same with a relay that was prepared before the worker comes, and without waiting for it.
    fn behind(peer: Peer, prepare: impl FnOnce(&Relay)) -> Result<(Self, Relay)> {
        let pool = Pool::start(&PoolOptions::default())?;
        let relay = Relay::to(pool.wire()?)?;
        prepare(&relay);
        let worker = peer.start("w1", relay.address())?;
        Ok((Self { pool, worker }, relay))
    }

    fn api(&self) -> &Api {
        &self.pool.api
    }

    fn run(&self, function: &str, payload: &Value) -> Result<(u16, Value)> {
        let answer = self.api().post(&format!("/v1/run/{function}"), payload)?;
        Ok((answer.status, answer.body))
    }

    /// Submits `hold` and waits until its handler runs.
    fn hold(&self, id: &str) -> Result<()> {
        let body = json!({"function": "hold", "payload": {"name": id}});
        let answer = self.api().put(&format!("/v1/requests/{id}"), &body)?;
        ensure!(answer.status == 202, "submit: {answer:?}");
        self.started(1)
    }

    /// Waits until `hold` has started so often.
    fn started(&self, times: usize) -> Result<()> {
        eventually("the handler to start", || (started(self.worker.dir.path()) >= times).then_some(()))
    }

    /// Shows that the worker still serves.
    fn serves(&self) -> Result<()> {
        let (status, body) = self.run("echo", &json!({"text": "next"}))?;
        ensure!((status, field(&body, "/output/response")) == (200, &json!("next")), "{status}: {body}");
        Ok(())
    }

    /// Lets `hold` end, and waits for the success of this attempt.
    fn succeeds(&self, id: &str, attempt: u32) -> Result<()> {
        self.release(id)?;
        let ended = self.api().ended(id)?;
        let (state, of) = (field(&ended, "/state"), field(&ended, "/attempt"));
        ensure!((state, of) == (&json!("succeeded"), &json!(attempt)), "{ended}");
        ensure!(field(&ended, "/output/name") == id, "{ended}");
        Ok(())
    }

    fn release(&self, id: &str) -> Result<()> {
        fs::write(self.worker.dir.path().join(format!("release-{id}")), "").context("release the handler")
    }
}

/// What takes its time, with every peer at once: all of them begin before the first is looked at.
fn at_once(begin: impl Fn(Peer) -> Result<(Scene, Relay)>, check: impl Fn(&Scene, &Relay) -> Result<()>) -> Result<()> {
    for (peer, begun) in Peer::ALL.map(|peer| (peer, begin(peer))) {
        let (scene, relay) = begun?;
        check(&scene, &relay).with_context(|| format!("{peer:?}"))?;
    }
    Ok(())
}

/// How often `hold` has started.
fn started(dir: &Path) -> usize {
    fs::read_to_string(dir.join("started")).map_or(0, |text| text.lines().count())
}

fn field<'a>(value: &'a Value, path: &str) -> &'a Value {
    value.pointer(path).unwrap_or(&Value::Null)
}

/// Tests of scenarios, one for each peer.
macro_rules! with_every_peer {
    ($($scenario:ident),*) => {
        mod ours { $(#[test] fn $scenario() -> anyhow::Result<()> { super::$scenario(gen_worker_tests::Peer::Ours) })* }
        with_every_peer!(@python python_0_11, "0.11.2", $($scenario)*);
        with_every_peer!(@python python_0_13, "0.13.34", $($scenario)*);
    };
    (@python $name:ident, $version:literal, $($scenario:ident)*) => {
        mod $name {
            $(#[test] fn $scenario() -> anyhow::Result<()> { super::$scenario(gen_worker_tests::Peer::Python($version)) })*
        }
    };
}

mod drain;
mod ends;
mod functions;
mod handshake;
mod jobs;
mod messages;
mod models;
mod outputs;
mod refusals;
mod repeats;
mod slot;
mod streams;
mod supersede;
mod wire;
