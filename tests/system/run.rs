//! `run` on real endpoint binaries.

use std::{path::Path, process::Command};

use anyhow::{Context, Result};
use gen_worker_tests::{Ended, Process, built, eventually, model_dir};
use rustix::process::Signal;
use serde_json::{Value, json};

fn run(binary: &str, words: &[&str]) -> Result<Ended> {
    Process::output(Command::new(built(binary)?).args(words))
}

fn printed(ended: &Ended) -> Vec<Value> {
    ended.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect()
}

fn complaint(ended: &Ended, code: i32) -> &str {
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(code), ""), "{}", ended.stderr);
    assert!(ended.stderr.lines().all(|line| line.starts_with("gen-worker ")), "{}", ended.stderr);
    &ended.stderr
}

#[test]
fn e7_the_first_example_of_the_readme_runs() -> Result<()> {
    let readme = include_str!("../../README.md");
    let block =
        readme.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next()).context("a block of Rust")?;
    assert!(include_str!("../src/bin/readme_example.rs").contains(block), "the README and readme_example.rs differ");
    let greeted = run("readme-example", &["run", "name=Ada"])?;
    assert_eq!(printed(&greeted), [json!({"event": "result", "value": {"text": "hello, Ada"}})], "{}", greeted.stderr);
    Ok(())
}

#[test]
fn c23_result_and_yield_lines() -> Result<()> {
    let echo = run("conformance-endpoint", &["run", "--method", "echo", "marco"])?;
    assert_eq!(printed(&echo), [json!({"event": "result", "value": {"response": "marco"}})], "{}", echo.stderr);
    let count = run("conformance-endpoint", &["run", "--method", "count-up", "count=2"])?;
    let expected = [
        json!({"event": "yield", "value": {"index": 0}}),
        json!({"event": "yield", "value": {"index": 1}}),
        json!({"event": "result", "value": {"yielded": 2}}),
    ];
    assert_eq!((count.code, printed(&count)), (Some(0), expected.to_vec()), "{}", count.stderr);
    let pretty = run("conformance-endpoint", &["run", "--method", "echo", "text=a", "--pretty"])?;
    assert!(pretty.stdout.starts_with("{\n  \"event\": \"result\""), "{}", pretty.stdout);
    Ok(())
}

#[test]
fn c20_c5_usage_errors() -> Result<()> {
    let run = |words: &[&str]| run("conformance-endpoint", words);
    let ambiguous = run(&["run", "text=a"])?;
    assert!(complaint(&ambiguous, 2).contains("ambiguous") && ambiguous.stderr.contains("count-up"));
    let unknown = run(&["run", "--method", "ecko"])?;
    assert!(complaint(&unknown, 2).contains("no endpoint function matches"));
    assert!(complaint(&run(&["run", "--attach"])?, 2).contains("--attach"));
    assert!(complaint(&run(&["frobnicate"])?, 2).contains("frobnicate"));
    let nothing = run(&[])?;
    assert_eq!(nothing.code, Some(2));
    assert!(nothing.stderr.contains("worker") && nothing.stdout.is_empty());
    assert_eq!(run(&["--help"])?.code, Some(0));
    Ok(())
}

#[test]
fn c22_payload_errors_come_first() -> Result<()> {
    let echo = |words: &[&str]| run("conformance-endpoint", &[&["run", "--method", "echo"], words].concat());
    let wrong = echo(&["text:=5"])?;
    assert!(complaint(&wrong, 2).contains("payload validation failed") && wrong.stderr.contains("$.text"));
    assert!(complaint(&echo(&["--payload", "{"])?, 2).contains("not valid JSON"));
    assert!(complaint(&echo(&["--payload-file", "/nope/p.json"])?, 2).contains("/nope/p.json"));
    assert!(complaint(&echo(&["nope=1"])?, 2).contains("unknown field `nope`"));
    // Before any model is looked for.
    let embed = run("embed", &["run", "texts:=5"])?;
    assert!(complaint(&embed, 2).contains("payload validation failed"), "{}", embed.stderr);
    Ok(())
}

#[test]
fn c24_handler_errors_name_their_type() -> Result<()> {
    let refused = run("conformance-endpoint", &["run", "--method", "refuse", "text=this"])?;
    assert!(complaint(&refused, 1).contains("ValidationError") && refused.stderr.contains("refused this"));
    Ok(())
}

#[test]
fn c28_bindings_in_a_payload_are_ignored_and_told() -> Result<()> {
    let words = ["run", "--method", "echo", "--payload", r#"{"text": "a", "_models": {"pipe": "x/y"}}"#];
    let ended = run("conformance-endpoint", &words)?;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let event: Value = serde_json::from_str(ended.stderr.lines().next().context("an event")?)?;
    assert_eq!(event, json!({"kind": "models_override.ignored", "slots": ["pipe"]}));
    Ok(())
}

#[test]
fn c30_description_document() -> Result<()> {
    let listed = run("embed", &["run", "--list"])?;
    let [document] = &printed(&listed)[..] else { panic!("one document: {}", listed.stdout) };
    let at = |path: &str| document.pointer(path).cloned().unwrap_or_default();
    assert_eq!(at("/protocol_version"), json!(1));
    assert_eq!(at("/gen_worker_version"), json!("0.11.2"));
    assert_eq!(at("/endpoint"), json!({"main_module": "embed", "kind": "inference", "classes": ["Embedder"]}));
    assert_eq!(at("/functions/0/name"), json!("embed"));
    assert_eq!((at("/functions/0/class"), at("/functions/0/method")), (json!("Embedder"), json!("embed")));
    assert_eq!((at("/functions/0/is_generator"), at("/functions/0/fit")), (json!(false), json!("fits")));
    assert_eq!(at("/functions/0/input_schema/properties/texts/type"), json!("array"));
    let models = json!({
        "type": "HF", "provider": "hf", "ref": "sentence-transformers/all-MiniLM-L6-v2", "allow_lora": true,
    });
    assert_eq!(
        document.pointer("/functions/0/models").and_then(|models| models.as_object()?.values().next()),
        Some(&models)
    );
    let functions = run("conformance-endpoint", &["describe", "--json"])?;
    let [document] = &printed(&functions)[..] else { panic!("one document") };
    let names: Vec<_> =
        document["functions"].as_array().context("functions")?.iter().map(|entry| &entry["name"]).collect();
    assert_eq!(names, ["count-up", "echo", "hold", "refuse", "speak"]);
    assert_eq!(document["functions"][0]["class"], Value::Null);
    Ok(())
}

/// Starts `hold` in `dir` and waits until its handler runs.
fn hold(dir: &Path, words: &[&str]) -> Result<Process> {
    let mut command = Command::new(built("conformance-endpoint")?);
    command.args(["run", "--method", "hold", "name=h1"]).args(words).current_dir(dir);
    let held = Process::start("run", &mut command)?;
    eventually("the handler to start", || dir.join("started").exists().then_some(()))?;
    Ok(held)
}

#[test]
fn c90_a_handler_that_ignores_the_cancel_still_gives_its_result() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut held = hold(dir.path(), &["stubborn=true"])?;
    held.signal(Signal::INT)?;
    held.wait_for_line("canceling")?;
    std::fs::write(dir.path().join("release-h1"), "")?;
    held.wait_for_line(r#"{"event":"result","value":{"name":"h1"}}"#)?;
    assert_eq!(held.wait()?.code(), Some(0));
    Ok(())
}

#[test]
fn c90_second_ctrl_c_exits_at_once() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut held = hold(dir.path(), &["stubborn=true"])?;
    held.signal(Signal::INT)?;
    held.wait_for_line("canceling")?;
    held.signal(Signal::INT)?;
    assert_eq!(held.wait()?.code(), Some(130));
    Ok(())
}

#[test]
fn c90_ctrl_c_cancels_the_handler() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut held = hold(dir.path(), &[])?;
    held.signal(Signal::INT)?;
    assert_eq!(held.wait()?.code(), Some(130));
    Ok(())
}

#[test]
fn c12_the_program_becomes_the_endpoint_binary() -> Result<()> {
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("Cargo.toml"), "[package.metadata.gen_worker]\nmain = 'conformance-endpoint'\n")?;
    let program = built("gen-worker")?;
    let place = program.parent().context("a directory")?;
    let run = |words: &[&str]| {
        let mut command = Command::new(&program);
        Process::output(command.args(words).current_dir(dir.path()).env_remove("CARGO_TARGET_DIR").env("PATH", place))
    };
    let echo = run(&["run", "--method", "echo", "marco"])?;
    assert_eq!(printed(&echo), [json!({"event": "result", "value": {"response": "marco"}})], "{}", echo.stderr);
    let other = run(&["run", "--module", "nobody"])?;
    assert!(complaint(&other, 2).contains("cargo build"), "{}", other.stderr);
    Ok(())
}

#[test]
fn embed_runs_on_the_real_model() -> Result<()> {
    let mut model = std::ffi::OsString::from("sentence-transformers/all-MiniLM-L6-v2=");
    model.push(model_dir()?);
    let mut command = Command::new(built("embed")?);
    let ended = Process::output(command.args(["run", r#"texts:=["a cat", "a kitten"]"#]).arg("--model").arg(model))?;
    let [result] = &printed(&ended)[..] else { panic!("{}", ended.stderr) };
    let vectors: Vec<Vec<f64>> = serde_json::from_value(result["value"]["embeddings"].clone())?;
    assert_eq!((vectors.len(), result["value"]["dim"].clone()), (2, json!(384)));
    for vector in &vectors {
        let length = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
        assert!((length - 1.0).abs() < 1e-4, "unit length, not {length}");
    }
    let similarity: f64 = vectors[0].iter().zip(&vectors[1]).map(|(one, other)| one * other).sum();
    assert!(similarity > 0.5, "a cat is like a kitten: {similarity}");
    Ok(())
}
