//! Scenarios of the wire contract, section 15: our orchestrator with our worker and with the Python peer in both
//! versions.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use gen_worker_tests::{Api, Peer, PeerWorker, Pool, PoolOptions, Proxy, eventually};
use rustix::process::Signal;
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
        eventually("the handler to start", || (started(self.worker.dir.path()) > 0).then_some(()))
    }

    fn release(&self, id: &str) -> Result<()> {
        fs::write(self.worker.dir.path().join(format!("release-{id}")), "").context("release the handler")
    }
}

/// How often `hold` has started.
fn started(dir: &Path) -> usize {
    fs::read_to_string(dir.join("started")).map_or(0, |text| text.lines().count())
}

fn field<'a>(value: &'a Value, path: &str) -> &'a Value {
    value.pointer(path).unwrap_or(&Value::Null)
}

fn c1_c2_hello_and_ready(peer: Peer) -> Result<()> {
    let scene = Scene::of(peer)?;
    let view = scene.pool.worker("w1")?;
    assert_eq!(field(&view, "/id"), "w1");
    assert_eq!(
        field(&view, "/functions/available"),
        &json!(["count-up", "echo", "hold", "refuse", "speak"]),
        "sorted slugs"
    );
    assert_eq!(field(&view, "/phase"), "ready");
    let functions = scene.api().get("/v1/functions/echo")?;
    assert_eq!(functions.status, 200, "{functions:?}");
    Ok(())
}

fn c3_echo(peer: Peer) -> Result<()> {
    let scene = Scene::of(peer)?;
    let (status, body) = scene.run("echo", &json!({"text": "marco"}))?;
    assert_eq!((status, field(&body, "/output")), (200, &json!({"response": "marco"})), "{body}");
    assert_eq!((field(&body, "/state"), field(&body, "/attempt")), (&json!("succeeded"), &json!(1)));
    assert!(field(&body, "/metrics/runtime_ms").as_i64().is_some_and(|ms| ms >= 0), "{body}");
    assert_eq!(field(&body, "/worker_id"), "w1");
    Ok(())
}

fn c4_invalid_input(peer: Peer) -> Result<()> {
    let scene = Scene::of(peer)?;
    let (status, body) = scene.run("refuse", &json!({"text": "this"}))?;
    assert_eq!((status, field(&body, "/error/code")), (400, &json!("invalid")), "{body}");
    assert!(field(&body, "/error/message").as_str().is_some_and(|text| text.contains("refused this")), "{body}");
    for payload in [json!({"text": 5}), json!({})] {
        let (status, body) = scene.run("echo", &payload)?;
        assert_eq!((status, field(&body, "/error/code")), (400, &json!("invalid")), "{body}");
        let message = field(&body, "/error/message").as_str().unwrap_or_default();
        assert!(message.contains("text") || message.contains('$'), "names the field: {body}");
    }
    let empty = scene.api().post_bytes("/v1/run/echo", "application/msgpack", b"")?;
    assert_eq!(empty.status, 400, "{empty:?}");
    let (status, _) = scene.run("echo", &json!({"text": "still serving"}))?;
    assert_eq!(status, 200);
    Ok(())
}

fn c5_unknown_function(peer: Peer) -> Result<()> {
    let scene = Scene::of(peer)?;
    let (status, body) = scene.run("ecko", &json!({}))?;
    assert_eq!((status, field(&body, "/error/code")), (404, &json!("unknown_function")), "{body}");
    assert!(body.to_string().contains("echo"), "near names are listed: {body}");
    Ok(())
}

fn c6_stream(peer: Peer) -> Result<()> {
    let scene = Scene::of(peer)?;
    let submitted = scene.api().put("/v1/requests/s1", &json!({"function": "count_up", "payload": {}}))?;
    assert_eq!(submitted.status, 202, "{submitted:?}");
    let events = scene.api().events("s1")?;
    let chunks: Vec<_> = events.iter().filter(|event| event.kind == "chunk").collect();
    let values: Vec<_> = chunks.iter().map(|event| &event.data).collect();
    assert_eq!(
        values,
        [&json!({"value": {"index": 0}}), &json!({"value": {"index": 1}}), &json!({"value": {"index": 2}})]
    );
    let last = events.last().context("no events")?;
    assert_eq!((last.kind.as_str(), field(&last.data, "/state")), ("result", &json!("succeeded")));
    assert_eq!(field(&last.data, "/output"), &Value::Null);
    let mut ids: Vec<(u32, u32)> = Vec::new();
    for event in chunks {
        let (attempt, seq) = event.id.split_once('-').context("event id")?;
        ids.push((attempt.parse()?, seq.parse()?));
    }
    assert!(ids.is_sorted_by(|one, next| one < next), "ids increase: {ids:?}");
    Ok(())
}

fn c8_cancel(peer: Peer) -> Result<()> {
    let scene = Scene::of(peer)?;
    scene.hold("h1")?;
    let cancel = scene.api().post("/v1/requests/h1/cancel", &json!({}))?;
    assert_eq!(cancel.status, 202, "{cancel:?}");
    let ended = scene.api().ended("h1")?;
    assert_eq!((field(&ended, "/state"), field(&ended, "/attempt")), (&json!("canceled"), &json!(1)), "{ended}");
    let again = scene.api().post("/v1/requests/h1/cancel", &json!({}))?;
    assert_eq!((again.status, field(&again.body, "/error/code")), (409, &json!("already_finished")), "{again:?}");
    let (status, _) = scene.run("echo", &json!({"text": "next"}))?;
    assert_eq!(status, 200, "the worker goes on");
    Ok(())
}

fn c12_stream_breaks(peer: Peer) -> Result<()> {
    let pool = Pool::start(&PoolOptions::default())?;
    let proxy = Proxy::to(pool.wire()?)?;
    let worker = peer.start("w1", proxy.address())?;
    pool.worker("w1")?;
    let scene = Scene { pool, worker };
    scene.hold("h1")?;
    let before = proxy.connections();
    proxy.cut();
    eventually("the worker to dial again", || (proxy.connections() > before).then_some(()))?;
    let view = eventually("the job to be claimed again", || {
        let view = scene.pool.worker("w1").ok()?;
        (field(&view, "/jobs") == &json!(1)).then_some(view)
    })?;
    assert_eq!(field(&view, "/connected"), true);
    scene.release("h1")?;
    let ended = scene.api().ended("h1")?;
    assert_eq!((field(&ended, "/state"), field(&ended, "/attempt")), (&json!("succeeded"), &json!(1)), "{ended}");
    assert_eq!(field(&ended, "/output"), &json!({"name": "h1"}));
    assert_eq!(started(scene.worker.dir.path()), 1, "the handler ran once");
    Ok(())
}

fn c7_tokens(peer: Peer) -> Result<()> {
    let scene = Scene::of(peer)?;
    let submitted = scene.api().put("/v1/requests/t1", &json!({"function": "speak", "payload": {"text": "ab"}}))?;
    assert_eq!(submitted.status, 202, "{submitted:?}");
    let events = scene.api().events("t1")?;
    let chunks: Vec<_> = events.iter().filter(|event| event.kind == "chunk").map(|event| &event.data).collect();
    assert_eq!(chunks, [&json!({"text": "a"}), &json!({"text": "b"})], "Done is no chunk, and nothing follows it");
    let last = events.last().context("no events")?;
    assert_eq!((last.kind.as_str(), field(&last.data, "/state")), ("result", &json!("succeeded")));
    let summary = field(&last.data, "/output/text");
    let want = if peer == Peer::Python("0.11.2") { &Value::Null } else { &json!("ab") };
    assert_eq!(summary, want, "8.7: the older peer sums nothing up");

    let submitted = scene.api().put("/v1/requests/t2", &json!({"function": "speak", "payload": {"text": ""}}))?;
    assert_eq!(submitted.status, 202, "{submitted:?}");
    let ended = scene.api().ended("t2")?;
    assert_eq!(field(&ended, "/state"), "failed");
    assert_eq!(field(&ended, "/error/message"), "nothing to say", "an Error item is invalid input: {ended}");
    Ok(())
}

fn c13_finished_offline(peer: Peer) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let options = |ports| PoolOptions { db: Some(dir.path().join("queue.sqlite")), ports, ..PoolOptions::default() };
    let mut pool = Pool::start(&options((0, 0)))?;
    let ports = (pool.http()?.port(), pool.wire()?.port());
    let worker = peer.start("w1", pool.wire()?)?;
    pool.worker("w1")?;
    let mut scene = Scene { pool, worker };
    scene.hold("h1")?;
    scene.pool.process.signal(Signal::KILL)?;
    scene.pool.process.wait()?;
    scene.release("h1")?;
    let ended = scene.worker.dir.path().join("ended");
    eventually("the handler to end", || ended.exists().then_some(()))?;
    pool = Pool::start(&options(ports))?;
    scene.pool = pool;
    let ended = scene.api().ended("h1")?;
    assert_eq!((field(&ended, "/state"), field(&ended, "/attempt")), (&json!("succeeded"), &json!(1)), "{ended}");
    assert_eq!(started(scene.worker.dir.path()), 1, "the handler ran once");
    Ok(())
}

fn c15_omitted_pair(peer: Peer) -> Result<()> {
    let mut scene = Scene::of(peer)?;
    scene.hold("h1")?;
    scene.worker.process.signal(Signal::KILL)?;
    scene.worker.process.wait()?;
    // The next process of this id knows nothing of the job.
    let wire = scene.pool.wire()?;
    scene.worker = peer.start_in(scene.worker.dir, "w1", wire)?;
    eventually("the handler to start again", || (started(scene.worker.dir.path()) > 1).then_some(()))?;
    scene.release("h1")?;
    let ended = scene.api().ended("h1")?;
    assert_eq!((field(&ended, "/state"), field(&ended, "/attempt")), (&json!("succeeded"), &json!(2)), "{ended}");
    Ok(())
}

fn c19_deadline(peer: Peer) -> Result<()> {
    let scene = Scene::of(peer)?;
    let body = json!({"function": "hold", "payload": {"name": "h1"}, "options": {"timeout_ms": 300}});
    let submitted = scene.api().put("/v1/requests/h1", &body)?;
    assert_eq!(submitted.status, 202, "{submitted:?}");
    let ended = scene.api().ended("h1")?;
    assert_eq!(field(&ended, "/state"), "failed", "{ended}");
    assert_eq!(field(&ended, "/error/message"), "deadline exceeded", "{ended}");
    assert_eq!(field(&ended, "/attempt"), 1, "fatal: no other attempt");
    let (status, _) = scene.run("echo", &json!({"text": "next"}))?;
    assert_eq!(status, 200, "the next job succeeds");
    Ok(())
}

macro_rules! with_every_peer {
    ($($scenario:ident),*) => {
        mod ours { $(#[test] fn $scenario() -> anyhow::Result<()> { super::$scenario(gen_worker_tests::Peer::Ours) })* }
        mod python_0_11 {
            $(#[test] fn $scenario() -> anyhow::Result<()> { super::$scenario(gen_worker_tests::Peer::Python("0.11.2")) })*
        }
        mod python_0_13 {
            $(#[test] fn $scenario() -> anyhow::Result<()> { super::$scenario(gen_worker_tests::Peer::Python("0.13.34")) })*
        }
    };
}

with_every_peer!(
    c1_c2_hello_and_ready,
    c3_echo,
    c4_invalid_input,
    c5_unknown_function,
    c6_stream,
    c7_tokens,
    c8_cancel,
    c12_stream_breaks,
    c13_finished_offline,
    c15_omitted_pair,
    c19_deadline
);
