//! C27, C28 and C29: a model that comes and goes on command.

use std::fs;

use anyhow::{Context, Result, ensure};
use gen_worker_proto::pb::{
    ModelOp, ModelOpKind, ModelState, Snapshot, SnapshotFile, scheduler_message::Msg as Outbound, worker_message::Msg,
};
use gen_worker_tests::{Entry, Files, Peer, Pool, PoolOptions, Relay, Serves, eventually};
use serde_json::{Value, json};

use super::{Scene, field, wire};

const REFERENCE: &str = "acme/weights";
const WEIGHTS: &str = "some weights";

/// State and error of an event about the model.
type Said = (ModelState, String);

/// A worker whose only function needs a model.
struct Library {
    scene: Scene,
    relay: Relay,
    files: Files,
}

impl Library {
    fn of(peer: Peer) -> Result<Self> {
        let pool = Pool::start(&PoolOptions::default())?;
        let (relay, files) = (Relay::to(pool.wire()?)?, Files::serve(WEIGHTS.as_bytes())?);
        let dir = tempfile::tempdir().context("make a directory")?;
        let worker = peer.start_serving(Serves::Model, dir, "w1", relay.address())?;
        pool.worker("w1")?;
        relay.wait("the state", |entries| wire::states(entries).next().map(drop))?;
        Ok(Self { scene: Scene { pool, worker }, relay, files })
    }

    /// Gives a command, and all that the worker says of the model up to this state.
    fn command(&self, kind: ModelOpKind, last: ModelState) -> Result<Vec<Said>> {
        self.command_of(kind, last, i64::try_from(WEIGHTS.len())?)
    }

    /// The same with a model that claims to have so many bytes.
    fn command_of(&self, kind: ModelOpKind, last: ModelState, size_bytes: i64) -> Result<Vec<Said>> {
        let before = self.relay.look(<[Entry]>::len);
        let hash = blake3::hash(WEIGHTS.as_bytes()).to_hex().to_string();
        let file = SnapshotFile { path: "text".to_owned(), size_bytes, blake3: hash.clone(), url: self.files.url() };
        let snapshot = Some(Snapshot { digest: hash, files: vec![file] });
        self.relay.tell_worker(Outbound::ModelOp(ModelOp { op: kind.into(), r#ref: REFERENCE.into(), snapshot }))?;
        self.relay.wait(&format!("{last:?} after {kind:?}"), |entries| {
            let events: Vec<_> = entries.iter().skip(before).filter_map(of_model).collect();
            let at = events.iter().position(|(state, _)| *state == last)?;
            events.get(..=at).map(<[_]>::to_vec)
        })
    }

    /// Waits until the orchestrator has the function in this list alone, or in none.
    fn offers(&self, list: Option<&str>) -> Result<()> {
        eventually(&format!("`read` in {list:?}"), || {
            let view = self.scene.api().get("/v1/workers/w1").ok()?.body;
            let among = |name: &str| field(&view, &format!("/functions/{name}")) == &json!(["read"]);
            ["available", "loading"].iter().all(|name| among(name) == (list == Some(*name))).then_some(())
        })
    }

    /// From here on its setup fails with these words.
    fn breaks(&self, words: &str) -> Result<()> {
        let dir = self.scene.worker.dir.path();
        // It appears complete: the worker may look at any time.
        fs::write(dir.join("broken.new"), words).context("break the setup")?;
        fs::rename(dir.join("broken.new"), dir.join("broken")).context("break the setup")
    }

    fn mends(&self) -> Result<()> {
        fs::remove_file(self.scene.worker.dir.path().join("broken")).context("mend the setup")
    }

    /// Waits until the orchestrator has the model here.
    fn holds(&self, tier: &str) -> Result<()> {
        eventually(&format!("the model at {tier}"), || {
            let models = self.scene.api().get("/v1/models").ok()?.body;
            let place = json!({"ref": REFERENCE, "worker_id": "w1", "tier": tier});
            let at = |path: &str| field(&models, &format!("/items/0{path}")).clone();
            let found =
                json!({"ref": at("/ref"), "worker_id": at("/workers/0/worker_id"), "tier": at("/workers/0/tier")});
            (found == place).then_some(())
        })
    }

    /// How often the worker said that its setup failed.
    fn setups_failed(&self) -> usize {
        self.relay.look(|entries| {
            let said = entries.iter().filter_map(Entry::worker);
            said.filter(|msg| matches!(msg, Msg::FnUnavailable(why) if why.reason == "setup_failed")).count()
        })
    }
}

fn of_model(entry: &Entry) -> Option<Said> {
    match entry.worker()? {
        Msg::ModelEvent(event) if event.r#ref == REFERENCE => Some((event.state(), event.error.clone())),
        _ => None,
    }
}

fn errors(events: &[Said]) -> Vec<&str> {
    events.iter().filter(|(state, _)| *state == ModelState::Failed).map(|(_, error)| error.as_str()).collect()
}

fn c27_model_operations(peer: Peer) -> Result<()> {
    let library = Library::of(peer)?;
    let seen = library.command(ModelOpKind::Download, ModelState::OnDisk)?;
    assert!(seen.iter().any(|(state, _)| *state == ModelState::Downloading), "{seen:?}");
    library.offers(Some("loading"))?;
    library.holds("disk")?;
    library.command(ModelOpKind::Load, ModelState::InRam)?;
    library.offers(Some("available"))?;
    library.holds("ram")?;
    let (status, body) = library.scene.run("read", &json!({}))?;
    assert_eq!((status, field(&body, "/output/text")), (200, &json!(WEIGHTS)), "{body}");
    library.command(ModelOpKind::Unload, ModelState::OnDisk)?;
    library.offers(Some("loading"))?;
    library.holds("disk")
}

fn c28_setup_that_raises(peer: Peer) -> Result<()> {
    let library = Library::of(peer)?;
    library.command(ModelOpKind::Load, ModelState::InRam)?;
    library.command(ModelOpKind::Unload, ModelState::OnDisk)?;
    library.breaks("broken on demand")?;
    let seen = library.command(ModelOpKind::Load, ModelState::Failed)?;
    assert_eq!(errors(&seen), ["load_failed"]);
    eventually("the reason", || (library.setups_failed() == 1).then_some(()))?;
    library.offers(None)?;
    library.breaks("out of memory")?;
    let seen = library.command(ModelOpKind::Load, ModelState::Failed)?;
    assert_eq!(errors(&seen), ["oom"]);
    library.mends()?;
    library.command(ModelOpKind::Load, ModelState::InRam)?;
    library.offers(Some("available"))?;
    library.command(ModelOpKind::Unload, ModelState::OnDisk)?;
    library.breaks("broken on demand")?;
    library.command(ModelOpKind::Load, ModelState::Failed)?;
    eventually("the reason again", || (library.setups_failed() == 2).then_some(()))
}

fn c29_model_in_use(peer: Peer) -> Result<()> {
    let library = Library::of(peer)?;
    library.command(ModelOpKind::Load, ModelState::InRam)?;
    library.offers(Some("available"))?;
    let body = json!({"function": "read", "payload": {"name": "r1"}});
    let submitted = library.scene.api().put("/v1/requests/r1", &body)?;
    ensure!(submitted.status == 202, "{submitted:?}");
    library.scene.started(1)?;
    let seen = library.command(ModelOpKind::Unload, ModelState::Failed)?;
    assert_eq!(errors(&seen), ["model_in_use"]);
    library.scene.release("r1")?;
    let ended: Value = library.scene.api().ended("r1")?;
    assert_eq!(field(&ended, "/output/text"), &json!(WEIGHTS), "{ended}");
    Ok(())
}

fn c29_expired_url(peer: Peer) -> Result<()> {
    let library = Library::of(peer)?;
    library.files.set_status(403);
    let seen = library.command(ModelOpKind::Download, ModelState::Failed)?;
    assert_eq!(errors(&seen), ["url_expired"]);
    assert_eq!(library.files.asked(), 1, "without retries");
    library.files.set_status(200);
    let seen = library.command(ModelOpKind::Download, ModelState::OnDisk)?;
    assert!(errors(&seen).is_empty(), "one: {seen:?}");
    Ok(())
}

fn c29_full_disk(peer: Peer) -> Result<()> {
    let library = Library::of(peer)?;
    let seen = library.command_of(ModelOpKind::Download, ModelState::Failed, i64::MAX / 2)?;
    assert_eq!(errors(&seen), ["insufficient_disk"]);
    assert_eq!(library.files.asked(), 0, "nothing is fetched that cannot be kept");
    let seen = library.command(ModelOpKind::Download, ModelState::OnDisk)?;
    assert!(errors(&seen).is_empty(), "one: {seen:?}");
    Ok(())
}

with_every_peer!(c27_model_operations, c28_setup_that_raises, c29_model_in_use, c29_expired_url, c29_full_disk);
