//! Models from a hub to a handler: the real binaries, a hub, an orchestrator that is a script, and the real weights.

mod providers;

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use gen_worker_proto::pb::{
    self, ModelOp, ModelOpKind, ModelState, job_result::Output, scheduler_message::Msg as Outbound, worker_message::Msg,
};
use gen_worker_tests::{
    HubProcess, Pool, PoolOptions, Process, Scripted, ScriptedSession, built, eventually, model_dir,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What the embedding example declares.
const EMBEDDER: &str = "sentence-transformers/all-MiniLM-L6-v2";

/// A machine with a store of models.
pub(super) struct Machine {
    dir: TempDir,
}

impl Machine {
    pub(super) fn new() -> Result<Self> {
        Ok(Self { dir: tempfile::tempdir().context("make a directory")? })
    }

    pub(super) fn store(&self) -> std::path::PathBuf {
        self.dir.path().join("cas")
    }

    /// `program` with the store of this machine, the hub at `url` or none, and nobody else to ask.
    fn command(&self, program: &Path, url: &str, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(words);
        self.prepared(command, url)
    }

    /// `command` with the same.
    pub(super) fn prepared(&self, mut command: Command, url: &str) -> Command {
        command.current_dir(self.dir.path()).env("TENSORHUB_CAS_DIR", self.store());
        command.env("TENSORHUB_URL", url).env("HF_ENDPOINT", "http://127.0.0.1:1").env_remove("GEN_WORKER_MODELS");
        command.env("GEN_WORKER_SPOOL", "never");
        command
    }

    pub(super) fn models(&self, url: &str, words: &[&str]) -> Result<gen_worker_tests::Ended> {
        let words: Vec<_> = std::iter::once("models").chain(words.iter().copied()).collect();
        Process::output(&mut self.command(&built("gen-worker")?, url, &words))
    }

    fn worker(&self, scripted: &Scripted) -> Result<Process> {
        let mut command = self.command(&built("embed")?, "", &["worker"]);
        command.env("ORCHESTRATOR_PUBLIC_ADDR", format!("grpc://{}", scripted.address())).env("WORKER_ID", "w1");
        Process::start("worker", &mut command)
    }
}

/// States of the model that the worker tells, up to `last`.
async fn states(session: &mut ScriptedSession, last: ModelState) -> Result<Vec<ModelState>> {
    let mut told = Vec::new();
    while told.last() != Some(&last) {
        if let Msg::ModelEvent(event) = session.next().await? {
            ensure!(event.r#ref == EMBEDDER, "{event:?}");
            told.push(event.state());
        }
    }
    Ok(told)
}

/// The embedding of a text, by the worker.
async fn embedding(session: &mut ScriptedSession) -> Result<Vec<f64>> {
    let payload = rmp_serde::to_vec_named(&json!({"texts": ["a cat"]}))?;
    session.dispatch("embed", &payload.into()).await?;
    let result = session.result().await?;
    ensure!(result.status() == pb::JobStatus::Ok, "{}", result.safe_message);
    let Some(Output::Inline(output)) = result.output else { anyhow::bail!("the output is inline") };
    let value: Value = rmp_serde::from_slice(&output)?;
    Ok(serde_json::from_value(value["embeddings"][0].clone())?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m13_1_a_worker_brings_a_model_serves_it_and_has_it_after_a_restart() -> Result<()> {
    let (hub, machine) = (HubProcess::start(&["--visibility", "public"])?, Machine::new()?);
    hub.push(&model_dir()?, &format!("{EMBEDDER}:v1"))?;
    let snapshot = hub.snapshot(EMBEDDER).await?;
    let mut scripted = Scripted::listen().await?;

    let first = machine.worker(&scripted)?;
    let mut session = scripted.session().await?;
    ensure!(session.hello.models.is_empty(), "{:?}", session.hello.models);
    // At once, while its own provider, which nobody can reach here, is still asked.
    let load = ModelOp { op: ModelOpKind::Load.into(), r#ref: EMBEDDER.into(), snapshot: Some(snapshot) };
    session.send(Outbound::ModelOp(load)).await?;
    let told = states(&mut session, ModelState::InRam).await?;
    let beginning = told.iter().find(|state| **state != ModelState::Failed);
    let came = beginning == Some(&ModelState::Downloading) && told.ends_with(&[ModelState::OnDisk, ModelState::InRam]);
    ensure!(came, "what its own provider failed with comes before the files do: {told:?}");
    let vector = embedding(&mut session).await?;
    ensure!(vector.len() == 384);
    drop((first, session, hub));

    // No hub any more, and no snapshot: what is on disk is found, checked and set up.
    let _second = machine.worker(&scripted)?;
    let mut session = scripted.session().await?;
    let held: Vec<_> = session.hello.models.iter().map(|held| held.r#ref.as_str()).collect();
    ensure!(held == [EMBEDDER], "{held:?}");
    ensure!(embedding(&mut session).await? == vector, "the same model");
    Ok(())
}

/// The events of a program on a stream, by kind.
pub(super) fn kinds(text: &str) -> Vec<String> {
    let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter_map(|event| Some(event.get("kind")?.as_str()?.to_owned())).collect()
}

#[test]
fn c51_c54_models_are_pulled_listed_run_offline_checked_and_let_go() -> Result<()> {
    let (hub, machine) = (HubProcess::start(&["--visibility", "public"])?, Machine::new()?);
    let source = tempfile::tempdir()?;
    std::fs::write(source.path().join("text"), "some weights")?;
    hub.push(source.path(), "acme/weights:prod")?;

    // Nobody to ask, and nothing here.
    let endpoint = built("model-endpoint")?;
    let missing = Process::output(&mut machine.command(&endpoint, "", &["run"]))?;
    ensure!(missing.code == Some(3) && missing.stderr.contains("TENSORHUB_URL"), "{}", missing.stderr);
    let offline = Process::output(&mut machine.command(&endpoint, &hub.url, &["run", "--offline"]))?;
    ensure!(offline.code == Some(3) && offline.stderr.contains("acme/weights"), "{}", offline.stderr);

    let run = Process::output(&mut machine.command(&endpoint, &hub.url, &["run"]))?;
    ensure!(run.code == Some(0) && run.stdout.contains("some weights"), "{}{}", run.stdout, run.stderr);
    let expected = ["model_fetch.started", "model_fetch.progress", "model_fetch.completed"];
    let told = kinds(&run.stderr);
    ensure!(expected.iter().all(|kind| told.iter().any(|told| told == kind)), "{}", run.stderr);
    let again = Process::output(&mut machine.command(&endpoint, "http://127.0.0.1:1", &["run", "--offline"]))?;
    ensure!(again.code == Some(0) && kinds(&again.stderr).is_empty(), "{}", again.stderr);

    // By hand: another name of the same tree is here at once.
    let pulled = machine.models(&hub.url, &["pull", "hub:acme/weights"])?;
    ensure!(
        pulled.code == Some(0) && pulled.stdout.starts_with("acme/weights:latest\t"),
        "{}{}",
        pulled.stdout,
        pulled.stderr
    );
    let nowhere = machine.models(&hub.url, &["pull", "acme/nothing", "acme/weights:prod"])?;
    ensure!(nowhere.code == Some(3) && nowhere.stderr.contains("acme/nothing"), "{}", nowhere.stderr);
    ensure!(nowhere.stdout.starts_with("acme/weights\t"), "the other one is here: {}", nowhere.stdout);
    ensure!(machine.models("", &["pull", "o/r#a#b"])?.code == Some(2));

    let listed: Value = serde_json::from_str(&machine.models("", &["list", "--json"])?.stdout)?;
    let refs: Vec<_> = listed.as_array().context("a list")?.iter().map(|row| row["ref"].clone()).collect();
    ensure!(refs == [json!("acme/weights"), json!("acme/weights:latest")], "{listed}");
    ensure!(machine.models("", &["list"])?.stdout.contains("acme/weights:latest"));
    let usage: Value = serde_json::from_str(&machine.models("", &["du", "--json"])?.stdout)?;
    ensure!(usage["unfinished_bytes"] == 0 && usage["total_bytes"].as_u64() >= Some(12), "{usage}");

    damaged_and_let_go(&machine, &hub, &listed)
}

#[test]
fn c84_m3_11_prefetch_brings_what_an_endpoint_declares_and_its_exit_says_how_that_went() -> Result<()> {
    let (hub, machine) = (HubProcess::start(&["--visibility", "public"])?, Machine::new()?);
    let endpoint = built("model-endpoint")?;
    let prefetch = |url: &str, words: &[&str]| {
        let words: Vec<_> = std::iter::once("prefetch").chain(words.iter().copied()).collect();
        Process::output(&mut machine.command(&endpoint, url, &words))
    };
    let wrong = prefetch(&hub.url, &["--config", "no-such-project"])?;
    ensure!(wrong.code == Some(2), "{}", wrong.stderr);
    let missing = prefetch(&hub.url, &["--json"])?;
    ensure!(missing.code == Some(3), "{}", missing.stderr);
    ensure!(kinds(&missing.stdout) == ["prefetch.plan", "prefetch.ref.failed", "prefetch.done"], "{}", missing.stdout);

    let source = tempfile::tempdir()?;
    std::fs::write(source.path().join("text"), "some weights")?;
    hub.push(source.path(), "acme/weights:prod")?;
    let brought = prefetch(&hub.url, &["--json"])?;
    ensure!(brought.code == Some(0), "{}", brought.stderr);
    let told = kinds(&brought.stdout);
    let once = |kind: &str| told.iter().filter(|told| *told == kind).count() == 1;
    let expected = ["prefetch.plan", "model_fetch.started", "prefetch.ref.ready", "prefetch.done"];
    ensure!(expected.iter().all(|kind| once(kind)), "{}", brought.stdout);

    // Nobody to ask any more: what was brought is enough, and nothing comes again.
    drop(hub);
    let there = prefetch("http://127.0.0.1:1", &["--offline", "--json"])?;
    ensure!(there.code == Some(0), "{}", there.stderr);
    ensure!(kinds(&there.stdout) == ["prefetch.plan", "prefetch.ref.ready", "prefetch.done"], "{}", there.stdout);
    let run = Process::output(&mut machine.command(&endpoint, "http://127.0.0.1:1", &["run", "--offline"]))?;
    ensure!(run.code == Some(0) && run.stdout.contains("some weights"), "{}{}", run.stdout, run.stderr);
    Ok(())
}

#[test]
fn c54_m3_8_offline_runs_what_a_ref_was_by_the_notes_of_the_cache_and_nothing_else() -> Result<()> {
    let (hub, machine) = (HubProcess::start(&["--visibility", "public"])?, Machine::new()?);
    let source = tempfile::tempdir()?;
    std::fs::write(source.path().join("text"), "some weights")?;
    hub.push(source.path(), "acme/weights:prod")?;
    let pulled = machine.models(&hub.url, &["pull", "acme/weights:prod"])?;
    ensure!(pulled.code == Some(0), "{}", pulled.stderr);
    // Where nobody is asked the start of a digest is enough (rule 1.6).
    let digest = pulled.stdout.trim().rsplit_once('/').context("the directory")?.1;
    let short = format!("acme/weights@blake3:{}", digest.get(..8).context("a digest")?);
    let found = machine.models("", &["pull", "--offline", &short])?;
    ensure!(found.code == Some(0) && found.stdout.trim().ends_with(digest), "{}{}", found.stdout, found.stderr);
    let listed = machine.models("", &["list"])?.stdout;
    ensure!(listed.contains("acme/weights") && !listed.contains("blake3:"), "it is no name of its own: {listed}");
    let asked = machine.models(&hub.url, &["pull", &short])?;
    ensure!(asked.code == Some(2) && asked.stderr.contains(&short), "{}", asked.stderr);
    drop(hub);
    // What a peer leaves behind: blobs, snapshots, and what each ref was.
    let store = machine.store();
    std::fs::remove_file(store.join("ref-index.json")).context("remove the index")?;
    let note = store.join("refs/acme/weights/prod");
    ensure!(note.is_file(), "what the ref was is noted");
    let endpoint = built("model-endpoint")?;
    let run = || Process::output(&mut machine.command(&endpoint, "http://127.0.0.1:1", &["run", "--offline"]));
    let offline = run()?;
    ensure!(offline.code == Some(0) && offline.stdout.contains("some weights"), "{}{}", offline.stdout, offline.stderr);
    std::fs::remove_file(store.join("ref-index.json")).context("remove the index")?;
    std::fs::remove_file(note).context("remove the note")?;
    let never = run()?;
    let clear = never.stderr.contains("acme/weights") && never.stderr.contains("no network may be used");
    ensure!(never.code == Some(3) && clear && never.stdout.is_empty(), "{}{}", never.stdout, never.stderr);
    Ok(())
}

fn damaged_and_let_go(machine: &Machine, hub: &HubProcess, listed: &Value) -> Result<()> {
    ensure!(machine.models("", &["verify"])?.code == Some(0));
    ensure!(machine.models("", &["verify", "acme/other"])?.code == Some(3));
    let file = Path::new(listed[0]["path"].as_str().context("a path")?).join("text");
    std::fs::remove_file(&file)?;
    std::fs::write(&file, b"Some weights")?;
    let damaged = machine.models("", &["verify", "acme/weights"])?;
    ensure!(damaged.code == Some(1) && damaged.stdout == "damaged\tacme/weights\ttext\n", "{}", damaged.stdout);
    ensure!(!file.exists(), "what is damaged is not loaded");
    ensure!(machine.models(&hub.url, &["pull", "acme/weights:prod"])?.code == Some(0));

    // More than any disk has: all that may leave would, and nothing leaves for nothing.
    ensure!(machine.models("", &["pin", "acme/weights"])?.code == Some(0));
    ensure!(machine.models("", &["pin", "acme/other"])?.code == Some(3));
    let pinned: Value = serde_json::from_str(&machine.models("", &["list", "--json"])?.stdout)?;
    ensure!(pinned[0]["pinned"] == true, "{pinned}");
    ensure!(machine.models("", &["unpin", "acme/weights"])?.code == Some(0));
    let collected = machine.models("", &["gc", "--json"])?;
    let collected: Value = serde_json::from_str(&collected.stdout)?;
    ensure!(collected["evicted"] == json!([]) && collected["dry_run"] == false, "{collected}");
    let impossible = machine.models("", &["gc", "--target", "8000000T"])?;
    ensure!(impossible.code == Some(1) && impossible.stderr.contains("were to be free"), "{}", impossible.stderr);
    Ok(())
}

/// A pool with an endpoint that declares `acme/weights`, and its hub.
struct Declares {
    pool: Pool,
    hub: TempDir,
}

impl Declares {
    fn start() -> Result<Self> {
        let hub = tempfile::tempdir().context("make a directory")?;
        let args = vec!["--hub-dir".to_owned(), hub.path().display().to_string()];
        let endpoints = vec!["model-endpoint".into()];
        Ok(Self { pool: Pool::start(&PoolOptions { endpoints, args, ..PoolOptions::default() })?, hub })
    }

    /// Publishes a text as `reference`, as the operator.
    fn push(&self, text: &str, reference: &str) -> Result<()> {
        let dir = tempfile::tempdir().context("make a directory")?;
        std::fs::write(dir.path().join("text"), text).context("write a model")?;
        let token = std::fs::read_to_string(self.hub.path().join("operator-token")).context("read the token")?;
        let mut command = Command::new(built("gen-worker")?);
        command.args(["hub", "push"]).arg(dir.path()).arg(reference);
        command.env("TENSORHUB_URL", self.pool.ready["hub"].as_str().context("a hub")?);
        let ended = Process::output(command.env("TENSORHUB_TOKEN", token.trim()))?;
        ensure!(ended.code == Some(0), "push of {reference}: {}", ended.stderr);
        Ok(())
    }

    /// Waits until the worker has the model loaded.
    fn holds(&self) -> Result<()> {
        eventually("the model in memory", || {
            let models = self.pool.api.get("/v1/models").ok()?.body;
            let model = models["items"].as_array()?.iter().find(|model| model["ref"] == "acme/weights")?;
            (model["workers"][0]["tier"] == "ram").then_some(())
        })
    }

    fn reads(&self) -> Result<String> {
        let answer = self.pool.api.post("/v1/run/read", &json!({}))?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(answer.body["output"]["text"].as_str().or(answer.body["text"].as_str()).unwrap_or_default().to_owned())
    }
}

#[test]
fn o22_c27_a_declared_model_is_served_as_soon_as_somebody_pushes_it() -> Result<()> {
    let declares = Declares::start()?;
    // The pool hears what its endpoint declares beside its start.
    eventually("the models to be known", || {
        let answer = declares.pool.api.post("/v1/run/read", &json!({})).ok()?;
        (answer.status == 424).then_some(answer)
    })
    .and_then(|answer| {
        let message = answer.body["error"]["message"].as_str().unwrap_or_default();
        ensure!(message.contains("the hub does not have model acme/weights"), "{answer:?}");
        Ok(())
    })?;
    declares.push("some weights", "acme/weights:prod")?;
    declares.holds()?;
    ensure!(declares.reads()? == "some weights");
    Ok(())
}

#[test]
fn o22_a_hub_whose_files_are_away_for_a_while_delays_requests_and_loses_none() -> Result<()> {
    let mut declares = Declares::start()?;
    declares.push("some weights", "acme/other:v1")?;
    let (objects, away) = (declares.hub.path().join("objects"), declares.hub.path().join("away"));
    std::fs::rename(&objects, &away).context("take the files away")?;
    // It has this content, as far as it knows.
    declares.push("some weights", "acme/weights:prod")?;
    let body = json!({"function": "read", "payload": {}});
    let submitted = eventually("a request to be taken in", || {
        let answer = declares.pool.api.post("/v1/requests", &body).ok()?;
        (answer.status == 202).then_some(answer)
    })?;
    let id = submitted.body["id"].as_str().context("an id")?.to_owned();
    let Pool { process, api, .. } = &mut declares.pool;
    eventually("the worker to miss the files", || {
        let models = api.get("/v1/models").ok()?.body;
        let is_asked = models["items"].as_array()?.iter().any(|model| model["ref"] == "acme/weights");
        (is_asked || process.log().contains("model operation failed")).then_some(())
    })?;
    let waits = declares.pool.api.get(&format!("/v1/requests/{id}"))?;
    ensure!(waits.body["state"] == "queued", "{waits:?}");
    // What was made there meanwhile is empty.
    drop(std::fs::remove_dir_all(&objects));
    std::fs::rename(&away, &objects).context("bring the files back")?;
    let ended = declares.pool.api.ended(&id)?;
    ensure!(ended["state"] == "succeeded" && ended["output"]["text"] == "some weights", "{ended}");
    declares.holds()
}
