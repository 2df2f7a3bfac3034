//! Files from a client to a handler and back, through the hub of the pool; and what is left of them when processes are
//! killed.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use gen_worker_tests::{Files, Pool, PoolOptions, eventually};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;

use super::crash::{Load, load};

/// Tenant of a pool without authentication.
const TENANT: &str = "dev";

/// A pool whose directories are known.
struct Scene {
    pool: Pool,
    dir: TempDir,
    web: Agent,
}

impl Scene {
    fn start() -> Result<Self> {
        Self::start_in(tempfile::tempdir().context("make a directory")?, "file-endpoint", 1)
    }

    fn start_in(dir: TempDir, endpoint: &str, workers: u16) -> Result<Self> {
        let hub = dir.path().join("hub").display().to_string();
        let options = PoolOptions {
            endpoints: vec![endpoint.into()],
            workers,
            db: Some(dir.path().join("queue.sqlite")),
            // No worker of an earlier pool can come back, so nobody has to be waited for.
            args: ["--hub-dir", &hub, "--reconnect-window", "1"].map(str::to_owned).to_vec(),
            jobs_dir: Some(dir.path().join("jobs")),
            ..PoolOptions::default()
        };
        let web = Agent::config_builder().http_status_as_error(false).build().into();
        Ok(Self { pool: Pool::start(&options)?, dir, web })
    }

    fn hub(&self) -> Result<&str> {
        self.pool.ready.get("hub").and_then(Value::as_str).context("no hub")
    }

    fn token(&self) -> Result<String> {
        Ok(fs::read_to_string(self.dir.path().join("hub/operator-token"))?.trim().to_owned())
    }

    /// Writes a file of the tenant, as a client does that may.
    fn upload(&self, name: &str, content: &str) -> Result<()> {
        let request = self.web.put(format!("{}/api/v1/file/{name}", self.hub()?));
        let request = request.header("authorization", format!("Bearer {}", self.token()?));
        let reply = request.header("x-cozy-owner", TENANT).send(content)?;
        ensure!(reply.status().is_success(), "upload of {name}: {}", reply.status());
        Ok(())
    }

    /// Where a file of the tenant may be fetched.
    fn url(&self, name: &str) -> Result<String> {
        let request = self.web.post(format!("{}/api/v1/media/urls", self.hub()?));
        let request = request.header("authorization", format!("Bearer {}", self.token()?));
        let mut reply = request.header("x-cozy-owner", TENANT).send_json(json!({"refs": [name]}))?;
        let told: Value = reply.body_mut().read_json()?;
        Ok(told["urls"][name]["url"].as_str().with_context(|| format!("no address: {told}"))?.to_owned())
    }

    fn run(&self, function: &str, payload: &Value) -> Result<(u16, Value)> {
        let answer = self.pool.api.post(&format!("/v1/run/{function}"), payload)?;
        Ok((answer.status, answer.body))
    }

    fn refused(&self, file: &Value, status: u16, words: &str) -> Result<()> {
        for function in ["look", "look-isolated"] {
            let (got, body) = self.run(function, &json!({"file": file}))?;
            let message = body["error"]["message"].as_str().unwrap_or_default();
            ensure!(got == status && message.contains(words), "{function}: {got}: {body}");
            ensure!(message.contains("$.file") && !message.contains("://"), "{function}: {message}");
        }
        Ok(())
    }

    /// Waits until no job has a file on disk any more.
    fn is_clean(&self) -> Result<()> {
        eventually("the directories of jobs to be gone", || job_dirs(self.dir.path()).is_empty().then_some(()))
    }
}

/// Directories of jobs, of all processes.
fn job_dirs(dir: &Path) -> Vec<PathBuf> {
    let below = |dir: &Path| -> Vec<PathBuf> {
        fs::read_dir(dir).map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
    };
    below(&dir.join("jobs")).iter().flat_map(|process| below(process)).collect()
}

#[test]
fn e120_a_file_goes_from_a_client_to_a_handler_and_what_a_handler_saves_to_the_next() -> Result<()> {
    let scene = Scene::start()?;
    scene.upload("notes/a.txt", "some words")?;
    let url = scene.url("notes/a.txt")?;
    for function in ["look", "look-isolated"] {
        let (status, body) = scene.run(function, &json!({"file": {"ref": url}}))?;
        ensure!(status == 200, "{function}: {status}: {body}");
        let output = &body["output"];
        // The address is signed with the kind of the file.
        let kind = &output["mime_type"];
        ensure!(output["text"] == "some words" && kind == "text/plain", "{function}: {body}");
        let path = Path::new(output["path"].as_str().context("a path")?);
        ensure!(path.starts_with(scene.dir.path().join("jobs")) && !path.exists(), "{}", path.display());
    }
    for (function, name) in [("keep", "made/b.txt"), ("keep-isolated", "made/c.txt")] {
        let (status, body) = scene.run(function, &json!({"name": name, "text": "new words"}))?;
        let file = &body["output"]["file"];
        ensure!(status == 200 && file["ref"] == name && file["size_bytes"] == 9, "{function}: {status}: {body}");
        let sha256 = file["sha256"].clone();
        let next = json!({"file": {"ref": scene.url(name)?, "sha256": sha256}});
        let (status, body) = scene.run("look", &next)?;
        ensure!(status == 200 && body["output"]["text"] == "new words", "{status}: {body}");
    }
    scene.is_clean()
}

#[test]
fn h14_1_h14_2_files_that_may_not_or_cannot_be_had_are_told_as_the_clients_fault() -> Result<()> {
    let scene = Scene::start()?;
    scene.upload("a.txt", "some words")?;
    let url = scene.url("a.txt")?;
    let private = Files::serve(b"a secret of the network")?;
    let port = private.url().rsplit(':').next().context("a port")?.to_owned();
    for host in ["127.0.0.1", "localhost", "[::1]", "2130706433", "169.254.169.254", "10.0.0.1", "[::ffff:7f00:1]"] {
        scene.refused(&json!({"ref": format!("http://{host}:{port}/a")}), 400, "is not a public host")?;
    }
    ensure!(private.asked() == 0, "nobody asked");
    scene.refused(&json!({"ref": url, "url_max_bytes": 9}), 400, "more than 9 bytes")?;
    scene.refused(&json!({"ref": url, "url_allowed_mime_types": ["image/*"]}), 400, "text/plain")?;
    scene.refused(&json!({"ref": url, "blake3": "0".repeat(64)}), 400, "its blake3 is another")?;
    let unsigned = url.split('?').next().context("a path")?;
    scene.refused(&json!({"ref": unsigned}), 400, "status 4")?;
    let (status, body) = scene.run("look", &json!({"file": {"ref": "a.txt", "local_path": "/etc/hostname"}}))?;
    ensure!(status == 400 && body.to_string().contains("not on this machine"), "{status}: {body}");
    scene.is_clean()
}

/// What `echo` makes of an id: more than travels inline.
fn large(id: &str) -> String {
    id.repeat(160_000 / id.len())
}

fn uploads(before_kill: usize) -> Load {
    Load { text: large, before_kill }
}

/// Every request has ended well, and its output is where it says, whole.
fn each_is_stored(pool: &Pool, ids: &[String]) -> Result<()> {
    for id in ids {
        let request = pool.api.ended(id)?;
        ensure!(request["state"] == "succeeded", "{id}: {request}");
        let url = request["output_url"].as_str().with_context(|| format!("no address: {request}"))?;
        let (status, bytes) = pool.api.get_bytes(url)?;
        ensure!(status == 200, "{id}: {status} from {url}");
        let output: BTreeMap<String, String> = rmp_serde::from_slice(&bytes)?;
        ensure!(output.get("response") == Some(&large(id)), "{id}: another output");
    }
    Ok(())
}

#[test]
fn kill_9_of_workers_during_uploads_loses_nothing_and_leaves_nothing() -> Result<()> {
    let scene = Scene::start_in(tempfile::tempdir()?, "conformance-endpoint", 2)?;
    let workers = scene.pool.worker_pids();
    let accepted = load(&scene.pool.api, &uploads(40), || {
        for pid in &workers {
            let pid = i32::try_from(*pid).ok().and_then(Pid::from_raw).context("a process id")?;
            kill_process(pid, Signal::KILL)?;
        }
        Ok(())
    })?;
    each_is_stored(&scene.pool, &accepted)?;
    scene.is_clean()?;
    // Of the killed ones nothing is left: the next process of the same user has removed it.
    let locks = fs::read_dir(scene.dir.path().join("jobs"))?.flatten().map(|entry| entry.path());
    let locks = locks.filter(|path| path.extension().is_some_and(|extension| extension == "lock")).count();
    ensure!(locks == workers.len(), "{locks} processes have directories");
    Ok(())
}

#[test]
fn kill_9_of_the_pool_during_uploads_loses_nothing_and_leaves_nothing() -> Result<()> {
    let mut scene = Scene::start_in(tempfile::tempdir()?, "conformance-endpoint", 2)?;
    let mut accepted = Vec::new();
    for round in 0..3 {
        let workers = scene.pool.worker_pids();
        let pool = &scene.pool;
        let ids = load(&pool.api, &uploads(30), || pool.process.signal(Signal::KILL))?;
        accepted.extend(ids.into_iter().map(|id| (round, id)));
        let Scene { pool, dir, .. } = scene;
        drop(pool);
        eventually("the workers to be gone", || {
            (!workers.iter().any(|pid| gen_worker_tests::is_alive(*pid))).then_some(())
        })?;
        scene = Scene::start_in(dir, "conformance-endpoint", 2)?;
        let ids: Vec<_> = accepted.iter().map(|(_, id)| id.clone()).collect();
        each_is_stored(&scene.pool, &ids)?;
    }
    scene.is_clean()
}
