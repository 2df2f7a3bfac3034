//! Models from a hub to a handler: the real binaries, a hub, an orchestrator that is a script, and the real weights.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use gen_worker_proto::pb::{
    self, ModelOp, ModelOpKind, ModelState, job_result::Output, scheduler_message::Msg as Outbound, worker_message::Msg,
};
use gen_worker_tests::{HubProcess, Process, Scripted, ScriptedSession, built, model_dir};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What the embedding example declares.
const EMBEDDER: &str = "sentence-transformers/all-MiniLM-L6-v2";

/// A machine with a store of models.
struct Machine {
    dir: TempDir,
}

impl Machine {
    fn new() -> Result<Self> {
        Ok(Self { dir: tempfile::tempdir().context("make a directory")? })
    }

    fn store(&self) -> std::path::PathBuf {
        self.dir.path().join("cas")
    }

    /// `program` with the store of this machine, the hub at `url` or none, and nobody else to ask.
    fn command(&self, program: &Path, url: &str, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(words).current_dir(self.dir.path()).env("TENSORHUB_CAS_DIR", self.store());
        command.env("TENSORHUB_URL", url).env("HF_ENDPOINT", "http://127.0.0.1:1").env_remove("GEN_WORKER_MODELS");
        command.env("GEN_WORKER_SPOOL", "never");
        command
    }

    fn models(&self, url: &str, words: &[&str]) -> Result<gen_worker_tests::Ended> {
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
            ensure!(event.state() != ModelState::Failed || last == ModelState::Failed, "{event:?}");
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
    // Its own provider, which nobody can reach here, is asked at the start.
    states(&mut session, ModelState::Failed).await?;
    let load = ModelOp { op: ModelOpKind::Load.into(), r#ref: EMBEDDER.into(), snapshot: Some(snapshot) };
    session.send(Outbound::ModelOp(load)).await?;
    let told = states(&mut session, ModelState::InRam).await?;
    let expected = [ModelState::Downloading, ModelState::OnDisk, ModelState::InRam];
    ensure!(told.first() == expected.first() && told.ends_with(&expected[1..]), "{told:?}");
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
fn kinds(text: &str) -> Vec<String> {
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
