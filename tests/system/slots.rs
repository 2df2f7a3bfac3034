//! Handlers in processes of their own: real children, ended in every way there is, under a real worker.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use gen_worker_tests::{Pool, PoolOptions, Process, built, eventually, is_alive};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A pool with one worker that serves `slot-endpoint` in a directory of its own.
struct Slots {
    pool: Pool,
    worker: Process,
    dir: TempDir,
}

impl Slots {
    fn start(words: &[&str]) -> Result<Self> {
        let mut command = Command::new(built("slot-endpoint")?);
        command.arg("worker").args(words);
        Self::with(command)
    }

    fn with(mut command: Command) -> Result<Self> {
        let pool = Pool::start(&PoolOptions::default())?;
        let dir = tempfile::tempdir().context("make a directory")?;
        command
            .current_dir(dir.path())
            .env("XDG_STATE_HOME", dir.path().join("state"))
            .env("ORCHESTRATOR_PUBLIC_ADDR", format!("grpc://{}", pool.wire()?))
            .env("WORKER_ID", "w1")
            .env("XDG_STATE_HOME", dir.path().join("state"));
        let worker = Process::start("worker", &mut command)?;
        pool.worker("w1")?;
        Ok(Self { pool, worker, dir })
    }

    fn submit(&self, id: &str, function: &str, payload: &Value, options: &Value) -> Result<()> {
        let body = json!({"function": function, "payload": payload, "options": options});
        let answer = self.pool.api.put(&format!("/v1/requests/{id}"), &body)?;
        ensure!(answer.status == 202, "{answer:?}");
        Ok(())
    }

    /// Runs a request to its end.
    fn run(&self, id: &str, function: &str, payload: &Value) -> Result<Value> {
        self.submit(id, function, payload, &json!({}))?;
        self.pool.api.ended(id)
    }

    /// The process a handler wrote down.
    fn announced(&self, name: &str) -> Result<u32> {
        announced(self.dir.path(), name)
    }
}

fn announced(dir: &Path, name: &str) -> Result<u32> {
    let text = eventually(&format!("the handler of {name}"), || fs::read_to_string(dir.join(name)).ok())?;
    text.parse().with_context(|| format!("process id {text:?}"))
}

fn pid(ended: &Value) -> Result<u32> {
    let pid = ended["output"]["pid"].as_u64().with_context(|| format!("no process id in {ended}"))?;
    Ok(u32::try_from(pid)?)
}

fn gone(pid: u32) -> Result<()> {
    eventually(&format!("the end of process {pid}"), || (!is_alive(pid)).then_some(()))
}

#[test]
fn an_isolated_handler_runs_in_a_child_that_stays() -> Result<()> {
    let slots = Slots::start(&[])?;
    let worker = pid(&slots.run("r1", "worker-pid", &json!({}))?)?;
    let first = pid(&slots.run("r2", "slot-pid", &json!({}))?)?;
    let second = pid(&slots.run("r3", "slot-pid", &json!({}))?)?;
    assert_eq!((worker, first), (slots.worker.id(), second));
    assert_ne!(worker, first);
    for want in 0..3 {
        let ended = slots.run(&format!("n{want}"), "next-number", &json!({}))?;
        assert_eq!(ended["output"]["index"], want, "one instance, in one child: {ended}");
    }
    Ok(())
}

#[test]
fn streams_and_large_payloads_pass_through_a_slot() -> Result<()> {
    let slots = Slots::start(&[])?;
    slots.submit("s1", "count", &json!({"count": 500}), &json!({}))?;
    assert_eq!(slots.pool.api.ended("s1")?["state"], "succeeded");
    let events = slots.pool.api.events("s1")?;
    let chunks: Vec<_> = events.iter().filter(|event| event.kind == "chunk").collect();
    assert!(!chunks.is_empty(), "{events:?}");
    let ended = slots.run("w1", "weigh", &json!({"data": "x".repeat(3 * 1024 * 1024)}))?;
    assert_eq!(ended["output"]["bytes"], 3 * 1024 * 1024, "{}", ended["error"]);
    Ok(())
}

#[test]
fn a_crash_of_any_kind_fails_its_own_job_and_nothing_else() -> Result<()> {
    let slots = Slots::start(&[])?;
    slots.submit("other", "polite", &json!({}), &json!({}))?;
    slots.announced("polite")?;
    let child = pid(&slots.run("before", "slot-pid", &json!({}))?)?;
    for (way, how) in [
        ("abort", "worker slot crashed: signal 6 (SIGABRT)"),
        ("exit", "worker slot crashed: exit code 3"),
        ("overflow", "worker slot crashed: signal 6 (SIGABRT)"),
    ] {
        let ended = slots.run(way, "die", &json!({"way": way}))?;
        assert_eq!((&ended["state"], &ended["error"]["message"]), (&json!("failed"), &json!(how)), "{ended}");
        assert_eq!(ended["attempt"], 2, "retryable once, then fatal: {ended}");
    }
    let refused = slots.run("none", "die", &json!({"way": "other"}))?;
    assert_eq!(refused["error"]["message"], "no such way: other", "the slot was replaced: {refused}");
    assert_eq!(pid(&slots.run("after", "slot-pid", &json!({}))?)?, child, "other slots were not touched");
    let other = slots.pool.api.get("/v1/requests/other")?;
    assert_eq!(other.body["state"], "running", "other jobs go on: {:?}", other.body);
    Ok(())
}

#[test]
fn memory_that_runs_out_ends_the_slot_and_not_the_worker() -> Result<()> {
    let mut command = Command::new("/bin/sh");
    // Four GiB of address space for each process; the worker needs a small part of it.
    let script = "ulimit -v 4194304; exec \"$0\" worker";
    command.args(["-c", script]).arg(built("slot-endpoint")?);
    let slots = Slots::with(command)?;
    let ended = slots.run("r1", "die", &json!({"way": "memory"}))?;
    let message = ended["error"]["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("worker slot crashed: signal"), "{ended}");
    assert_eq!(slots.run("r2", "worker-pid", &json!({}))?["state"], "succeeded");
    Ok(())
}

#[test]
fn a_child_that_is_killed_from_outside_is_replaced() -> Result<()> {
    let slots = Slots::start(&[])?;
    let first = pid(&slots.run("r1", "slot-pid", &json!({}))?)?;
    let id = rustix::process::Pid::from_raw(i32::try_from(first)?).context("a process id")?;
    rustix::process::kill_process(id, Signal::KILL)?;
    gone(first)?;
    let second = slots.run("r2", "slot-pid", &json!({}))?;
    assert_ne!(pid(&second)?, first);
    assert_eq!(second["attempt"], 1, "nobody noticed: {second}");
    Ok(())
}

#[test]
fn a_handler_that_ignores_its_end_is_killed_after_the_grace_and_the_worker_lives() -> Result<()> {
    let mut slots = Slots::start(&["--cancel-grace", "0.2"])?;
    for function in ["spin", "spin-async"] {
        slots.submit(function, function, &json!({}), &json!({"timeout_ms": 300}))?;
        let child = slots.announced(function)?;
        let ended = slots.pool.api.ended(function)?;
        assert_eq!(ended["error"]["code"], "deadline_exceeded", "{ended}");
        gone(child)?;
    }
    fs::remove_file(slots.dir.path().join("spin")).context("forget the first child")?;
    slots.submit("c1", "spin", &json!({}), &json!({}))?;
    let child = slots.announced("spin")?;
    let answer = slots.pool.api.post("/v1/requests/c1/cancel", &json!({}))?;
    ensure!(answer.status < 300, "{answer:?}");
    assert_eq!(slots.pool.api.ended("c1")?["state"], "canceled");
    gone(child)?;
    slots.worker.wait_for_line("cpu_ms_after_cancel")?;
    assert_eq!(slots.run("r1", "worker-pid", &json!({}))?["state"], "succeeded");
    assert!(slots.worker.is_running(), "no thread of the worker was stuck");
    Ok(())
}

#[test]
fn a_handler_that_heeds_its_cancel_keeps_its_process() -> Result<()> {
    let slots = Slots::start(&[])?;
    // The second one leaves its process no thread to hear of it, except the one that is not its own.
    for function in ["polite", "crowd"] {
        let (first, second) = (format!("{function}-1"), format!("{function}-2"));
        slots.submit(&first, function, &json!({}), &json!({}))?;
        let child = slots.announced(function)?;
        ensure!(slots.pool.api.post(&format!("/v1/requests/{first}/cancel"), &json!({}))?.status < 300);
        assert_eq!(slots.pool.api.ended(&first)?["state"], "canceled");
        fs::remove_file(slots.dir.path().join(function)).context("forget the first call")?;
        slots.submit(&second, function, &json!({}), &json!({}))?;
        assert_eq!(slots.announced(function)?, child);
        ensure!(slots.pool.api.post(&format!("/v1/requests/{second}/cancel"), &json!({}))?.status < 300);
        assert_eq!(slots.pool.api.ended(&second)?["state"], "canceled");
    }
    Ok(())
}

#[test]
fn children_end_with_their_worker_however_it_ends() -> Result<()> {
    let mut slots = Slots::start(&[])?;
    let idle = pid(&slots.run("r1", "slot-pid", &json!({}))?)?;
    slots.run("n1", "next-number", &json!({}))?;
    slots.worker.signal(Signal::TERM)?;
    assert_eq!(slots.worker.wait()?.code(), Some(0), "{}", slots.worker.log());
    assert!(!is_alive(idle), "a drain waits for its children");
    let closed = slots.announced("closed")?;
    assert!(!is_alive(closed), "the instance was shut down in its child");

    let slots = Slots::start(&[])?;
    slots.submit("r1", "spin", &json!({}), &json!({}))?;
    let (idle, busy) = (pid(&slots.run("r2", "slot-pid", &json!({}))?)?, slots.announced("spin")?);
    slots.worker.signal(Signal::KILL)?;
    gone(idle)?;
    gone(busy)
}

#[test]
fn run_calls_an_isolated_handler_where_it_is() -> Result<()> {
    let mut command = Command::new(built("slot-endpoint")?);
    command.args(["run", "--method", "slot-pid", "--payload", "{}"]);
    let ended = Process::output(&mut command)?;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("\"pid\""), "{ended:?}");
    let listed = Process::output(Command::new(built("slot-endpoint")?).args(["run", "--list"]))?;
    assert!(listed.stdout.contains("\"isolation\":\"process\""), "{listed:?}");
    Ok(())
}

#[test]
fn the_command_of_a_child_is_not_for_people() -> Result<()> {
    let ended = Process::output(Command::new(built("slot-endpoint")?).arg("slot"))?;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("for workers"), "{ended:?}");
    Ok(())
}

#[test]
fn w9_6_the_peak_of_a_child_is_in_the_metrics_of_its_jobs_and_of_no_other() -> Result<()> {
    const MIB: i64 = 1024 * 1024;
    let slots = Slots::start(&[])?;
    let peak = |id: &str, function: &str, payload: &Value| -> Result<i64> {
        let ended = slots.run(id, function, payload)?;
        ensure!(ended["state"] == "succeeded", "{ended}");
        ended["metrics"]["peak_rss_bytes"].as_i64().with_context(|| format!("metrics in {ended}"))
    };
    let (worker, small) = (peak("r1", "worker-pid", &json!({}))?, peak("r2", "swell", &json!({"bytes": 0}))?);
    assert!(0 < worker && worker < small, "the worker alone {worker}, with a child {small}");
    let large = peak("r3", "swell", &json!({"bytes": 256 * MIB}))?;
    assert!(large - small > 200 * MIB, "from {small} to {large}");
    let other = peak("r4", "slot-pid", &json!({}))?;
    assert!(other < large - 200 * MIB, "another child is none of the first: {other}");
    Ok(())
}
