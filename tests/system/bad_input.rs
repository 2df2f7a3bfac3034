//! Bad input of every kind gives one clear error with the right status or exit code, and nothing else stops working.

use std::{fs, net::TcpListener, path::Path, process::Command};

use anyhow::{Context, Result};
use gen_worker_tests::{Answer, Ended, Pool, PoolOptions, Process, built};
use serde_json::{Value, json};

fn pool() -> Result<Pool> {
    Pool::start(&PoolOptions { endpoints: vec!["conformance-endpoint".into()], ..PoolOptions::default() })
}

fn code(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.body.pointer("/error/code").and_then(Value::as_str).unwrap_or_default())
}

/// Starts a pool that must not start.
fn refused(options: &PoolOptions) -> Result<Ended> {
    let dir = tempfile::tempdir()?;
    let ended = Process::output(Pool::command(options, &dir.path().join("ready.json"))?.current_dir(dir.path()))?;
    assert!(!dir.path().join("ready.json").exists(), "no ready file of a pool that is not");
    Ok(ended)
}

/// The one line that says what is wrong.
fn complaint(ended: &Ended) -> String {
    let lines: Vec<_> = ended.stderr.lines().filter(|line| line.starts_with("gen-worker up: ")).collect();
    assert_eq!(lines.len(), 1, "{}", ended.stderr);
    lines.concat()
}

#[test]
fn http_errors_have_status_code_and_a_text() -> Result<()> {
    let pool = pool()?;
    let run = |payload: &Value| pool.api.post("/v1/run/echo", payload);
    let raw = |body: &[u8]| pool.api.post_bytes("/v1/run/echo", "application/json", body);
    assert_eq!(code(&pool.api.post("/v1/run/ecko", &json!({}))?), (404, "unknown_function"));
    let wrong = run(&json!({"text": 5}))?;
    assert_eq!(code(&wrong), (400, "invalid"));
    assert!(wrong.body.to_string().contains("$.text"), "{wrong:?}");
    assert_eq!(code(&run(&json!({}))?).0, 400);
    assert_eq!(raw(b"")?.status, 400);
    assert_eq!(raw(b"{\"text\": ")?.status, 400);
    assert_eq!(raw(b"[1]")?.status, 400);
    let large = format!("{{\"text\": \"{}\"}}", "a".repeat(10 << 20));
    assert_eq!(code(&raw(large.as_bytes())?), (413, "payload_too_large"));
    assert_eq!(code(&pool.api.get("/v1/requests/nobody")?), (404, "not_found"));
    assert_eq!(code(&pool.api.post("/v1/requests/nobody/cancel", &json!({}))?), (404, "not_found"));
    assert_eq!(
        code(&pool.api.post("/v1/requests", &json!({"function": "echo", "payload": {}, "surprise": 1}))?),
        (400, "unknown_field")
    );
    // Everything else goes on.
    assert_eq!(run(&json!({"text": "still here"}))?.status, 200);
    Ok(())
}

#[test]
fn p2_an_id_belongs_to_one_body() -> Result<()> {
    let pool = pool()?;
    let put = |text: &str| pool.api.put("/v1/requests/mine", &json!({"function": "echo", "payload": {"text": text}}));
    assert_eq!(put("a")?.status, 202);
    pool.api.ended("mine")?;
    let again = put("a")?;
    assert_eq!((again.status, again.body.get("state")), (200, Some(&json!("succeeded"))));
    assert_eq!(code(&put("b")?), (409, "id_conflict"));
    Ok(())
}

#[test]
fn p14_cancel_of_a_finished_request_is_a_conflict() -> Result<()> {
    let pool = pool()?;
    let body = json!({"function": "echo", "payload": {"text": "a"}});
    assert_eq!(pool.api.put("/v1/requests/done", &body)?.status, 202);
    pool.api.ended("done")?;
    let cancel = pool.api.post("/v1/requests/done/cancel", &json!({}))?;
    assert_eq!(code(&cancel), (409, "already_finished"));
    assert_eq!(pool.api.get("/v1/requests/done")?.body.get("state"), Some(&json!("succeeded")));
    Ok(())
}

#[test]
fn port_in_use() -> Result<()> {
    let taken = TcpListener::bind(("127.0.0.1", 0))?;
    let port = taken.local_addr()?.port();
    for ports in [(port, 0), (0, port)] {
        let ended = refused(&PoolOptions { ports, ..PoolOptions::default() })?;
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        let complaint = complaint(&ended);
        assert!(complaint.contains(&port.to_string()) && complaint.contains("in use"), "{complaint}");
    }
    Ok(())
}

#[test]
fn unreadable_queue_file() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let garbage = dir.path().join("garbage.sqlite");
    fs::write(&garbage, "this is no database, and long enough to have a header of its own".repeat(20))?;
    for db in [garbage, dir.path().to_owned()] {
        let ended = refused(&PoolOptions { db: Some(db.clone()), ..PoolOptions::default() })?;
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        assert!(complaint(&ended).contains(&db.display().to_string()), "{}", ended.stderr);
    }
    Ok(())
}

#[test]
fn queue_file_of_another_pool() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let options = PoolOptions { db: Some(dir.path().join("queue.sqlite")), ..PoolOptions::default() };
    let pool = Pool::start(&options)?;
    // Its hub, and with another one its queue.
    let own_hub = ["--hub-dir".to_owned(), dir.path().join("hub").display().to_string()];
    for (args, owner) in [(Vec::new(), "process"), (own_hub.to_vec(), "orchestrator")] {
        let ended = refused(&PoolOptions { args, ..options.clone() })?;
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        assert!(complaint(&ended).contains(&format!("in use by another {owner}")), "{}", ended.stderr);
    }
    assert_eq!(pool.api.get("/readyz")?.status, 200, "the first one goes on");
    Ok(())
}

#[test]
fn wrong_endpoints_and_models() -> Result<()> {
    let with = |args: &[&str]| {
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        refused(&PoolOptions { args, ..PoolOptions::default() })
    };
    let missing = with(&["--endpoint", "/nope/endpoint"])?;
    assert_eq!(missing.code, Some(2));
    assert!(complaint(&missing).contains("/nope/endpoint"));
    let model = with(&["--model", "a/b=/nope/model"])?;
    assert_eq!(model.code, Some(3));
    assert!(complaint(&model).contains("a/b") && complaint(&model).contains("/nope/model"));
    assert_eq!(with(&["--model", "nonsense"])?.code, Some(2));
    assert_eq!(with(&["--listen", "0.0.0.0:0"])?.code, Some(2));
    Ok(())
}

fn embed(dir: &Path) -> Result<Ended> {
    let mut model = std::ffi::OsString::from("sentence-transformers/all-MiniLM-L6-v2=");
    model.push(dir);
    Process::output(Command::new(built("embed")?).args(["run", r#"texts:=["a"]"#]).arg("--model").arg(model))
}

#[test]
fn c22_missing_or_corrupt_model_directory() -> Result<()> {
    let missing = embed(Path::new("/nope/model"))?;
    assert_eq!(missing.code, Some(3), "{}", missing.stderr);
    assert!(missing.stderr.contains("model resolution failed") && missing.stderr.contains("/nope/model"));
    let store = tempfile::tempdir()?;
    let mut command = Command::new(built("embed")?);
    command.args(["run", "--offline", r#"texts:=["a"]"#]).env("TENSORHUB_CAS_DIR", store.path());
    let unnamed = Process::output(&mut command)?;
    assert_eq!(unnamed.code, Some(3), "{}", unnamed.stderr);
    assert!(unnamed.stderr.contains("model resolution failed"));
    let dir = tempfile::tempdir()?;
    let empty = embed(dir.path())?;
    assert_eq!(empty.code, Some(1), "{}", empty.stderr);
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        fs::write(dir.path().join(file), "garbage")?;
    }
    let corrupt = embed(dir.path())?;
    assert_eq!(corrupt.code, Some(1), "{}", corrupt.stderr);
    for ended in [empty, corrupt] {
        let line = ended.stderr.lines().last().context("a complaint")?;
        assert!(line.starts_with("gen-worker run: setup failed") && line.contains("config.json"), "{line}");
    }
    Ok(())
}

#[test]
fn a_pool_outlives_a_corrupt_model() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let model = format!("sentence-transformers/all-MiniLM-L6-v2={}", dir.path().display());
    let pool = Pool::start(&PoolOptions {
        endpoints: vec!["embed".into(), "conformance-endpoint".into()],
        args: vec!["--model".into(), model],
        ..PoolOptions::default()
    })?;
    let embed = pool.api.post("/v1/run/embed", &json!({"texts": ["a"]}))?;
    assert_eq!(code(&embed), (424, "no_worker"), "every worker has it disabled: {embed:?}");
    assert_eq!(pool.api.post("/v1/run/echo", &json!({"text": "a"}))?.status, 200);
    Ok(())
}
