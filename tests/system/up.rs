//! `gen-worker up`: one command starts everything, and nothing of it is ever left behind.

use anyhow::{Context, Result, ensure};
use gen_worker_tests::{Pool, PoolOptions, eventually, is_alive};
use rustix::process::Signal;
use serde_json::{Value, json};

fn pool(workers: u16) -> Result<Pool> {
    Pool::start(&PoolOptions { endpoints: vec!["conformance-endpoint".into()], workers, ..PoolOptions::default() })
}

/// Starts `hold` on the pool and waits until its handler runs.
fn hold(pool: &Pool, name: &str) -> Result<()> {
    let body = json!({"function": "hold", "payload": {"name": name}});
    let answer = pool.api.put(&format!("/v1/requests/{name}"), &body)?;
    ensure!(answer.status == 202, "submit: {answer:?}");
    let started = pool.dir().join("started");
    eventually("the handler to start", || std::fs::read_to_string(&started).ok().filter(|text| text.contains(name)))?;
    Ok(())
}

fn all_gone(pids: &[u32]) -> Result<()> {
    eventually("the workers to be gone", || (!pids.iter().any(|pid| is_alive(*pid))).then_some(()))
}

#[test]
fn ready_file_tells_everything_and_ctrl_c_ends_everything() -> Result<()> {
    let mut pool = pool(2)?;
    let keys: Vec<_> = pool.ready.as_object().context("an object")?.keys().map(String::as_str).collect();
    assert_eq!(keys, ["http", "hub", "pid", "wire", "workers"]);
    assert_eq!(pool.ready.get("pid"), Some(&json!(pool.process.id())));
    let pids = pool.worker_pids();
    assert!(pids.len() == 2 && pids.iter().all(|pid| is_alive(*pid)));
    let workers = pool.ready.get("workers").and_then(Value::as_array).context("workers")?.clone();
    for worker in &workers {
        let id = worker.get("worker_id").and_then(Value::as_str).context("worker_id")?;
        assert_eq!(pool.worker(id)?.get("phase"), Some(&json!("ready")));
        assert!(
            worker.get("endpoint").and_then(Value::as_str).is_some_and(|path| path.ends_with("conformance-endpoint"))
        );
    }
    assert_eq!(pool.api.post("/v1/run/echo", &json!({"text": "a"}))?.status, 200);
    pool.process.signal(Signal::INT)?;
    assert_eq!(pool.process.wait()?.code(), Some(0));
    assert!(!pids.iter().any(|pid| is_alive(*pid)), "workers were reaped before the end");
    assert!(!pool.ready_file().exists(), "the ready file does not outlive the pool");
    assert!(pool.process.log().contains("[conformance-endpoint/0]"), "lines of workers carry their name");
    Ok(())
}

#[test]
fn first_ctrl_c_drains() -> Result<()> {
    let mut pool = pool(1)?;
    hold(&pool, "h1")?;
    pool.process.signal(Signal::INT)?;
    pool.process.wait_for_line("draining")?;
    std::fs::write(pool.dir().join("release-h1"), "")?;
    assert_eq!(pool.process.wait()?.code(), Some(0));
    Ok(())
}

#[test]
fn second_ctrl_c_kills_at_once() -> Result<()> {
    let mut pool = pool(1)?;
    let pids = pool.worker_pids();
    hold(&pool, "h1")?;
    pool.process.signal(Signal::INT)?;
    pool.process.wait_for_line("draining")?;
    pool.process.signal(Signal::INT)?;
    assert_eq!(pool.process.wait()?.code(), Some(130));
    assert!(!pids.iter().any(|pid| is_alive(*pid)));
    Ok(())
}

#[test]
fn workers_die_with_a_killed_pool() -> Result<()> {
    let mut pool = pool(2)?;
    let pids = pool.worker_pids();
    pool.process.signal(Signal::KILL)?;
    pool.process.wait()?;
    all_gone(&pids)
}

#[test]
fn crashed_worker_comes_back() -> Result<()> {
    let pool = pool(1)?;
    let [pid] = pool.worker_pids()[..] else { panic!("one worker") };
    let id = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).context("pid")?;
    rustix::process::kill_process(id, Signal::KILL)?;
    all_gone(&[pid])?;
    // Queued until the worker is back.
    let answer = pool.api.post("/v1/run/echo", &json!({"text": "back"}))?;
    assert_eq!((answer.status, answer.body.pointer("/output/response")), (200, Some(&json!("back"))));
    Ok(())
}

#[test]
fn functions_are_listed_with_the_schemas_of_their_endpoints() -> Result<()> {
    let pool = pool(1)?;
    let function = eventually("the endpoint to describe itself", || {
        let function = pool.api.get("/v1/functions/count-up").ok()?.body;
        function.get("kind").is_some_and(Value::is_string).then_some(function)
    })?;
    let at = |path: &str| function.pointer(path).cloned().unwrap_or_default();
    assert_eq!(at("/kind"), json!("inference"));
    assert_eq!(at("/input_schema/properties/count/default"), json!(3));
    assert_eq!(at("/output_schema/properties/index/type"), json!("integer"));
    Ok(())
}
