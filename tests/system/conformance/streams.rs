//! C12, C13 and C15: jobs that outlive a stream, an orchestrator or their worker.

use anyhow::Result;
use gen_worker_tests::{Peer, Pool, PoolOptions, Proxy, Relay, eventually};
use rustix::process::Signal;
use serde_json::json;

use super::{Scene, field, started};

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

fn c13_finished_offline(peer: Peer) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let options = |ports| PoolOptions { db: Some(dir.path().join("queue.sqlite")), ports, ..PoolOptions::default() };
    let pool = Pool::start(&options((0, 0)))?;
    let ports = (pool.http()?.port(), pool.wire()?.port());
    let relay = Relay::to(pool.wire()?)?;
    let worker = peer.start("w1", relay.address())?;
    pool.worker("w1")?;
    let mut scene = Scene { pool, worker };
    scene.hold("h1")?;
    // A result that was written to somebody who has gone is lost; this worker is to know that he has.
    relay.set_reachable(false);
    scene.pool.process.signal(Signal::KILL)?;
    scene.pool.process.wait()?;
    relay.wait("another dial", |entries| entries.iter().find(|entry| entry.stream == 1).map(drop))?;
    scene.release("h1")?;
    let ended = scene.worker.dir.path().join("ended");
    eventually("the handler to end", || ended.exists().then_some(()))?;
    scene.pool = Pool::start(&options(ports))?;
    relay.set_reachable(true);
    scene.succeeds("h1", 1)?;
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

with_every_peer!(c12_stream_breaks, c13_finished_offline, c15_omitted_pair);
