//! `gen-worker submit` against a running pool.

use std::process::Command;

use anyhow::{Result, ensure};
use gen_worker_tests::{Ended, Pool, PoolOptions, Process, built, eventually};
use rustix::process::Signal;
use serde_json::{Value, json};

fn pool() -> Result<Pool> {
    Pool::start(&PoolOptions { endpoints: vec!["conformance-endpoint".into()], ..PoolOptions::default() })
}

fn command(url: &str, words: &[&str]) -> Result<Command> {
    let mut command = Command::new(built("gen-worker")?);
    command.arg("submit").args(words).args(["--url", url]);
    Ok(command)
}

fn url(pool: &Pool) -> Result<String> {
    Ok(format!("http://{}", pool.http()?))
}

fn submit(pool: &Pool, words: &[&str]) -> Result<Ended> {
    Process::output(command(&url(pool)?, words)?.current_dir(pool.dir()))
}

/// The documents on stdout.
fn printed(ended: &Ended) -> Vec<Value> {
    ended.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect()
}

#[test]
fn c80_c82_payloads_and_values() -> Result<()> {
    let pool = pool()?;
    std::fs::write(pool.dir().join("payload.json"), r#"{"text": "from file"}"#)?;
    for (words, expected) in [
        (vec!["echo", "text=marco"], "marco"),
        (vec!["echo", r#"{"text":"json"}"#], "json"),
        (vec!["echo", "@payload.json"], "from file"),
        (vec!["echo", "--payload-file", "payload.json"], "from file"),
        (vec!["echo", "--payload", r#"{"text":"base"}"#], "base"),
        (vec!["ECHO", "text=raw spelling"], "raw spelling"),
    ] {
        let ended = submit(&pool, &words)?;
        assert_eq!(ended.code, Some(0), "{words:?}: {}", ended.stderr);
        assert_eq!(printed(&ended), [json!({"response": expected})], "{words:?}");
    }
    Ok(())
}

#[test]
fn c82_streams_end_with_their_count() -> Result<()> {
    let pool = pool()?;
    let expected = [json!({"index": 0}), json!({"index": 1}), json!({"yielded": 2})];
    for words in [vec!["count_up", "count=2"], vec!["count_up", "count=2", "--stream"]] {
        let ended = submit(&pool, &words)?;
        assert_eq!((ended.code, printed(&ended)), (Some(0), expected.to_vec()), "{}", ended.stderr);
    }
    let empty = submit(&pool, &["count_up", "count=0"])?;
    assert_eq!(printed(&empty), [json!({"yielded": 0})]);
    Ok(())
}

#[test]
fn submit_without_waiting_gives_the_request() -> Result<()> {
    let pool = pool()?;
    let ended = submit(&pool, &["echo", "text=later", "--no-wait", "--id", "mine"])?;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(printed(&ended).first().and_then(|object| object.get("id")), Some(&json!("mine")));
    assert_eq!(pool.api.ended("mine")?.get("state"), Some(&json!("succeeded")));
    let same = submit(&pool, &["echo", "text=later", "--id", "mine"])?;
    assert_eq!(printed(&same), [json!({"response": "later"})], "the same id is the same request");
    let other = submit(&pool, &["echo", "text=other", "--id", "mine"])?;
    assert!(other.code == Some(2) && other.stderr.contains("id_conflict"), "{}", other.stderr);
    Ok(())
}

#[test]
fn wrong_input_is_one_clear_line() -> Result<()> {
    let pool = pool()?;
    let large = format!("{{\"text\": \"{}\"}}", "a".repeat(10 << 20));
    std::fs::write(pool.dir().join("large.json"), large)?;
    let cases: [(&[&str], u8, &str); 9] = [
        (&["echo", "@large.json"], 2, "payload_too_large"),
        (&["ecko", "{}"], 2, "no endpoint function matches"),
        (&["echo", "text:=5"], 2, "payload validation failed"),
        (&["echo", "--payload", "{"], 2, "not valid JSON"),
        (&["echo", "--payload-file", "nope.json"], 2, "nope.json"),
        (&["echo", "@nope.json"], 2, "nope.json"),
        (&["refuse", "text=this"], 2, "refused this"),
        (&["echo", "--id", "a/b", "{}"], 2, "id"),
        (&["echo", "--frobnicate"], 2, "unexpected argument"),
    ];
    for (words, code, text) in cases {
        let ended = submit(&pool, words)?;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(i32::from(code)), ""), "{words:?}: {}", ended.stderr);
        assert!(
            ended.stderr.starts_with("gen-worker submit: ") && ended.stderr.contains(text),
            "{words:?}: {}",
            ended.stderr
        );
    }
    Ok(())
}

#[test]
fn c83_no_orchestrator_is_exit_2_with_a_hint() -> Result<()> {
    // Port 1 of the local host is privileged and unused.
    let ended = Process::output(&mut command("http://127.0.0.1:1", &["echo", "{}"])?)?;
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("could not connect") && ended.stderr.contains("gen-worker up"), "{}", ended.stderr);
    Ok(())
}

#[test]
fn c91_ctrl_c_cancels_the_request() -> Result<()> {
    let pool = pool()?;
    let mut held = Process::start("submit", &mut command(&url(&pool)?, &["hold", "name=h1", "--id", "h1"])?)?;
    let started = pool.dir().join("started");
    eventually("the handler to start", || started.exists().then_some(()))?;
    held.signal(Signal::INT)?;
    assert_eq!(held.wait()?.code(), Some(130));
    assert_eq!(pool.api.ended("h1")?.get("state"), Some(&json!("canceled")));
    Ok(())
}

#[test]
fn c83_timeout_leaves_the_request_running() -> Result<()> {
    let pool = pool()?;
    let ended = submit(&pool, &["hold", "name=h1", "--id", "h1", "--timeout", "0.2"])?;
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("h1 goes on"), "{}", ended.stderr);
    let state = pool.api.get("/v1/requests/h1")?.body.get("state").cloned();
    ensure!(state != Some(json!("canceled")), "{state:?}");
    std::fs::write(pool.dir().join("release-h1"), "")?;
    assert_eq!(pool.api.ended("h1")?.get("state"), Some(&json!("succeeded")));
    Ok(())
}
