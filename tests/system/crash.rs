//! kill -9 of the orchestrator under load: every request that was accepted ends exactly once after a restart on the
//! same queue file. kill -9 of a worker whose result is finished and not delivered: it is never computed again.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::Command,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::{Context, Result, ensure};
use gen_worker_tests::{Api, Peer, Pool, PoolOptions, Process, built, eventually};
use rustix::process::Signal;
use serde_json::{Value, json};

/// Clients that submit at the same time.
const CLIENTS: usize = 8;

/// What clients submit.
pub(super) struct Load {
    /// The text that `echo` is given, by the id of its request.
    pub(super) text: fn(&str) -> String,
    /// Requests that have to be accepted before the kill: enough that some are queued, some run, some have ended.
    pub(super) before_kill: usize,
}

const SMALL: Load = Load { text: str::to_owned, before_kill: 400 };

/// Submits until the orchestrator is gone or `kill` has returned; gives the ids of everything that was accepted. Calls `kill`
/// once enough is, in the middle of the load. No two loads have an id in common.
pub(super) fn load(api: &Api, what: &Load, kill: impl FnOnce() -> Result<()>) -> Result<Vec<String>> {
    static LOADS: AtomicUsize = AtomicUsize::new(0);
    let number = LOADS.fetch_add(1, Ordering::SeqCst);
    let accepted = Mutex::new(Vec::new());
    let (count, gone) = (AtomicUsize::new(0), AtomicBool::new(false));
    let client = |client: usize| {
        let mut index = 0;
        while !gone.load(Ordering::SeqCst) {
            let id = format!("l{number}-c{client}-{index}");
            let body = json!({"function": "echo", "payload": {"text": (what.text)(&id)}});
            match api.put(&format!("/v1/requests/{id}"), &body) {
                Ok(answer) if answer.status == 202 => {
                    accepted.lock().unwrap_or_else(PoisonError::into_inner).push(id);
                    count.fetch_add(1, Ordering::SeqCst);
                }
                // Refused or broken off: nothing was promised.
                Ok(_) => {}
                Err(_) => return,
            }
            index += 1;
        }
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|index| scope.spawn(move || client(index))).collect();
        let enough =
            eventually("enough accepted requests", || (count.load(Ordering::SeqCst) >= what.before_kill).then_some(()));
        let killed = enough.and_then(|()| kill());
        gone.store(true, Ordering::SeqCst);
        for client in clients {
            ensure!(client.join().is_ok(), "a client panicked");
        }
        killed
    })?;
    Ok(accepted.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Every request has ended well, with its own output, and exactly one terminal event.
fn each_ended_once(api: &Api, ids: &[String]) -> Result<()> {
    for id in ids {
        let request = api.ended(id)?;
        ensure!(request.get("state") == Some(&json!("succeeded")), "{id}: {request}");
        ensure!(request.pointer("/output/response") == Some(&Value::from(id.as_str())), "{id}: {request}");
    }
    for id in ids.iter().step_by(37) {
        let events = api.events(id)?;
        let terminal = events.iter().filter(|event| event.kind == "result" || event.kind == "error").count();
        ensure!(terminal == 1, "{id}: {events:?}");
    }
    Ok(())
}

fn options(db: &Path, ports: (u16, u16)) -> PoolOptions {
    PoolOptions { db: Some(db.to_owned()), ports, ..PoolOptions::default() }
}

#[test]
fn kill_9_with_all_its_workers() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let db = dir.path().join("queue.sqlite");
    let options = PoolOptions {
        endpoints: vec!["conformance-endpoint".into()],
        workers: 2,
        // No worker of the first pool can come back, so nobody has to be waited for.
        args: vec!["--reconnect-window".into(), "1".into()],
        ..options(&db, (0, 0))
    };
    let pool = Pool::start(&options)?;
    let accepted = load(&pool.api, &SMALL, || pool.process.signal(Signal::KILL))?;
    drop(pool);
    let again = Pool::start(&options)?;
    each_ended_once(&again.api, &accepted)
}

#[test]
fn kill_9_while_workers_live_on() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let db = dir.path().join("queue.sqlite");
    let mut pool = Pool::start(&options(&db, (0, 0)))?;
    let (http, wire) = (pool.http()?, pool.wire()?);
    let workers = [Peer::Ours.start("w1", wire)?, Peer::Ours.start("w2", wire)?];
    pool.worker("w1")?;
    pool.worker("w2")?;
    // One job is in a handler over the whole crash, and somebody waits for it.
    let mut submit = Command::new(built("gen-worker")?);
    submit.args(["submit", "hold", "name=held", "--id", "held", "--url", &format!("http://{http}")]);
    let mut submit = Process::start("submit", &mut submit)?;
    let started = || workers.iter().find(|worker| worker.dir.path().join("started").exists());
    let holder = eventually("the handler to start", started)?;
    let accepted = load(&pool.api, &SMALL, || pool.process.signal(Signal::KILL))?;
    pool.process.wait()?;
    let ports = |address: SocketAddr| address.port();
    let again = Pool::start(&options(&db, (ports(http), ports(wire))))?;
    again.worker("w1")?;
    again.worker("w2")?;
    fs::write(holder.dir.path().join("release-held"), "").context("release the handler")?;
    each_ended_once(&again.api, &accepted)?;
    let held = again.api.ended("held")?;
    ensure!(held.get("state") == Some(&json!("succeeded")), "{held}");
    let runs: usize = workers
        .iter()
        .map(|worker| fs::read_to_string(worker.dir.path().join("started")).map_or(0, |text| text.lines().count()))
        .sum();
    submit.wait_for_line(r#"{"name":"held"}"#)?;
    ensure!(submit.wait()?.code() == Some(0), "{}", submit.log());
    ensure!(runs == 1, "the held handler ran {runs} times: a worker that comes back keeps its job");
    Ok(())
}

/// Whether a worker in `dir` has a result on its disk.
fn has_kept(dir: &Path) -> bool {
    let mut files = vec![dir.join("state/gen-worker/spool")];
    while let Some(path) = files.pop() {
        match fs::read_dir(&path) {
            Ok(entries) => files.extend(entries.flatten().map(|entry| entry.path())),
            Err(_) => {
                let is_spool = path.extension().is_some_and(|extension| extension == "spool");
                // More than the magic.
                if is_spool && path.metadata().is_ok_and(|metadata| metadata.len() > 8) {
                    return true;
                }
            }
        }
    }
    false
}

#[test]
fn kill_9_of_a_worker_loses_no_finished_result() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let db = dir.path().join("queue.sqlite");
    let mut pool = Pool::start(&options(&db, (0, 0)))?;
    let (http, wire) = (pool.http()?, pool.wire()?);
    let mut worker = Peer::Ours.start("w1", wire)?;
    pool.worker("w1")?;
    let id = "costly";
    let answer = pool.api.put(&format!("/v1/requests/{id}"), &json!({"function": "hold", "payload": {"name": id}}))?;
    ensure!(answer.status == 202, "{answer:?}");
    eventually("the handler to start", || worker.dir.path().join("started").exists().then_some(()))?;
    // Nobody can be told of the result.
    pool.process.signal(Signal::KILL)?;
    pool.process.wait()?;
    // Long enough to be costly: what the policy looks at is the real time that the handler ran.
    let ran = std::time::Instant::now();
    eventually("the handler to run 100 ms", || (ran.elapsed().as_millis() > 100).then_some(()))?;
    fs::write(worker.dir.path().join(format!("release-{id}")), "").context("release the handler")?;
    eventually("the result on disk", || has_kept(worker.dir.path()).then_some(()))?;
    worker.process.signal(Signal::KILL)?;
    worker.process.wait()?;

    let again = Pool::start(&options(&db, (http.port(), wire.port())))?;
    let worker = Peer::Ours.start_in(worker.dir, "w1", wire)?;
    let request = again.api.ended(id)?;
    ensure!(request.get("state") == Some(&json!("succeeded")), "{request}");
    ensure!(request.get("attempt") == Some(&json!(1)), "{request}");
    let started = fs::read_to_string(worker.dir.path().join("started"))?;
    ensure!(started.lines().count() == 1, "the handler ran again");
    // Further traffic proves to the worker that the result is written.
    for next in ["next-1", "next-2"] {
        again.api.put(&format!("/v1/requests/{next}"), &json!({"function": "echo", "payload": {"text": next}}))?;
        again.api.ended(next)?;
    }
    eventually("the disk to be clean", || (!has_kept(worker.dir.path())).then_some(()))
}
