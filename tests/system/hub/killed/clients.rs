//! Sixteen clients that never stop: both peers with all ways in which they write, our own `push`, our own `pull`. Two more
//! publish releases and move one tag.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use anyhow::{Context, Result, ensure};
use gen_worker_tasks::Scope;
use gen_worker_tests::{Process, built, eventually, workspace};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    super::{PEERS, content, write},
    PROJECT, PULLED, TAGS,
    ledger::{Event, Ledger, Stage, What},
};

/// What each version of the peer does, one thread for each word. Only the newer one can commit.
const KINDS: [&[&str]; 2] =
    [&["media", "media", "media", "session", "session"], &["media", "media", "session", "commit", "commit", "commit"]];

/// Clients that push.
const PUSHERS: usize = 3;

/// Clients that pull.
const PULLERS: usize = 2;

/// Clients that publish and promote.
const PROMOTERS: usize = 2;

/// Contents that all who push have.
const SHARED: u8 = 4;

/// All of them.
pub(super) const CLIENTS: usize = 18;

/// Clients at work. They end with their guard.
pub(super) struct Clients {
    ledger: Arc<Mutex<Ledger>>,
    ended: Arc<AtomicBool>,
    peers: Vec<Child>,
    scope: Scope,
}

impl Clients {
    pub fn start(url: &str, token: &str) -> Result<Self> {
        let (ledger, ended) = (Arc::default(), Arc::default());
        let mut clients = Self { ledger, ended, peers: Vec::new(), scope: Scope::new("clients") };
        for (version, kinds) in PEERS.iter().zip(KINDS) {
            clients.peer(version, &json!({"url": url, "token": token, "name": version, "kinds": kinds}))?;
        }
        for number in 0..PUSHERS {
            let mut work = Own::new(format!("push-{number}"), url, token)?;
            clients.own(move |turn, tell| work.push(turn, tell))?;
        }
        for number in 0..PULLERS {
            let mut work = Own::new(format!("pull-{number}"), url, token)?;
            clients.own(move |_, tell| work.pull(tell))?;
        }
        for number in 0..PROMOTERS {
            let work = Own::new(format!("promote-{number}"), url, token)?;
            clients.own(move |turn, tell| work.promote(turn, tell))?;
        }
        Ok(clients)
    }

    /// What there is to know by now.
    pub fn ledger(&self) -> Ledger {
        self.ledger.lock().clone()
    }

    /// Waits until each of them has `more` acknowledgements more than now.
    pub fn proceed(&self, more: usize) -> Result<()> {
        let before = self.ledger().counts;
        let enough = || {
            let now = self.ledger.lock();
            let got = |(client, count): (&String, &usize)| *count >= before.get(client).copied().unwrap_or(0) + more;
            (now.counts.len() == CLIENTS && now.counts.iter().all(got)).then_some(())
        };
        eventually("all clients to get on", enough).with_context(|| {
            let Ledger { counts, failed, wrong, .. } = self.ledger();
            format!("{counts:?}, before {before:?}, failed last: {failed:?}, wrong: {wrong:?}")
        })
    }

    fn peer(&mut self, version: &str, call: &Value) -> Result<()> {
        let python = workspace().join(format!("target/peers/gen-worker-{version}/bin/python"));
        ensure!(python.is_file(), "no Python peer at {}: run `cargo xtask setup`", python.display());
        let mut command = Command::new(python);
        command.arg(workspace().join("tests/peer/hub_loop.py")).arg(call.to_string());
        command.env_remove("TENSORHUB_TOKEN").env_remove("TENSORHUB_URL");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let output = child.stdout.take().context("its output")?;
        self.peers.push(child);
        let ledger = Arc::clone(&self.ledger);
        let read = move || {
            BufReader::new(output).lines().map_while(Result::ok).for_each(|line| ledger.lock().read(&line));
        };
        Ok(self.scope.spawn_thread("peer", read)?)
    }

    fn own(&self, mut work: impl FnMut(usize, &dyn Fn(Event)) -> Result<()> + Send + 'static) -> Result<()> {
        let (ledger, ended) = (Arc::clone(&self.ledger), Arc::clone(&self.ended));
        let turns = move || {
            for turn in 0.. {
                if ended.load(SeqCst) {
                    return;
                }
                if let Err(error) = work(turn, &|event| ledger.lock().note(event)) {
                    ledger.lock().failed = Some(format!("{error:#}"));
                }
            }
        };
        Ok(self.scope.spawn_thread("own", turns)?)
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.ended.store(true, SeqCst);
        for peer in &mut self.peers {
            // They may have ended already.
            drop(peer.kill());
            drop(peer.wait());
        }
        drop(eventually("the end of the clients", || self.scope.is_empty().then_some(())));
    }
}

/// A client with our own programs.
struct Own {
    name: String,
    url: String,
    token: String,
    dir: TempDir,
}

impl Own {
    fn new(name: String, url: &str, token: &str) -> Result<Self> {
        Ok(Self { name, url: url.to_owned(), token: token.to_owned(), dir: tempfile::tempdir()? })
    }

    /// Two files, one of which others have too.
    fn push(&mut self, turn: usize, tell: &dyn Fn(Event)) -> Result<()> {
        let (repo, tree) = (format!("acme/{}", self.name), self.dir.path().join("tree"));
        let seed = u8::try_from(turn % 251)?;
        let own = [self.name.as_bytes(), &turn.to_le_bytes(), &content(90_000, seed)].concat();
        let hashes = write(&tree, &[("own.dat", &own), ("shared.dat", &content(120_000, seed % SHARED))])?;
        let what = |checkpoint| What::Commit { repo: repo.clone(), files: hashes.clone(), checkpoint };
        tell(Event { event: Stage::Begin, client: self.name.clone(), what: what(None) });
        let mut process = self.process(&["hub", "push", &tree.to_string_lossy(), &repo])?;
        let line = process.wait_for_line("checkpoint_id")?;
        let pushed: Value = serde_json::from_str(&line)?;
        let digest = pushed["checkpoint_id"].as_str().context("a digest")?.to_owned();
        tell(Event { event: Stage::Done, client: self.name.clone(), what: what(Some(digest)) });
        Ok(())
    }

    /// A checkpoint that was there before, into a store that is empty. The store itself takes nothing that has another hash.
    fn pull(&mut self, tell: &dyn Fn(Event)) -> Result<()> {
        self.dir = tempfile::tempdir()?;
        let mut process = self.process(&["models", "pull", PULLED])?;
        process.wait_for_line(&format!("{PULLED}:latest\t"))?;
        let file = process.wait()?.success().then(|| fs::read_dir(self.dir.path().join("cas/snapshots")));
        let there = file.is_some_and(|found| found.is_ok_and(|mut found| found.next().is_some()));
        let event = if there { Stage::Done } else { Stage::Wrong };
        tell(Event { event, client: self.name.clone(), what: What::Pull });
        Ok(())
    }

    /// Publishes a release and points the tag at it, if nobody else has moved it since it was read.
    fn promote(&self, turn: usize, tell: &dyn Fn(Event)) -> Result<()> {
        let key = format!("{}-{turn}", self.name);
        let release =
            self.call("POST", "/releases", Some((&key, json!({"manifest": {"functions": [{"name": "draw"}]}}))))?;
        let tags = self.call("GET", TAGS, None)?;
        let (release, current) = (&release["release_id"], tags[0]["release_id"].as_str().unwrap_or_default());
        let body = json!({"release_id": release, "expected_release_id": current});
        let moved = self.call("PUT", &format!("{TAGS}/prod"), Some((&key, body)))?;
        let client = self.name.clone();
        // Who comes second has done nothing, and was told so.
        let what = match (moved["generation"].as_u64(), moved["error"]["code"].as_str()) {
            (Some(generation), _) => {
                What::Promote { generation, release: release.as_str().unwrap_or_default().to_owned() }
            }
            (None, Some("tag_conflict")) => What::Resolve,
            _ => anyhow::bail!("{moved}"),
        };
        tell(Event { event: Stage::Done, client, what });
        Ok(())
    }

    fn call(&self, method: &str, path: &str, body: Option<(&str, Value)>) -> Result<Value> {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let request = http::Request::builder().method(method).uri(format!("{}{PROJECT}{path}", self.url));
        let request = request.header("authorization", format!("Bearer {}", self.token));
        let mut reply = match body {
            Some((key, body)) => agent.run(request.header("idempotency-key", key).body(body.to_string())?)?,
            None => agent.run(request.body(())?)?,
        };
        Ok(reply.body_mut().read_json()?)
    }

    fn process(&self, words: &[&str]) -> Result<Process> {
        let mut command = Command::new(built("gen-worker")?);
        command.args(words).current_dir(self.dir.path()).env("TENSORHUB_CAS_DIR", self.dir.path().join("cas"));
        command.env("TENSORHUB_URL", &self.url).env("TENSORHUB_TOKEN", &self.token);
        Process::start(&self.name, &mut command)
    }
}
