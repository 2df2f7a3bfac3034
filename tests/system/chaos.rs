//! `chaos`: our worker keeps the contract through every kind of fault, and a worker that breaks a rule is caught.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use gen_worker_tests::{Ended, Process, built};
use serde_json::{Value, json};

/// Calls that take no time, some time, and come in pieces.
const CALLS: [&str; 3] = [
    r#"{"function": "marco", "payload": {"text": "ada"}}"#,
    r#"{"function": "marco_slow", "payload": {"delay_ms": 60}}"#,
    r#"{"function": "marco_stream", "payload": {"count": 12, "delay_ms": 2}}"#,
];

fn chaos(words: &[&str]) -> Result<Ended> {
    Process::output(Command::new(built("gen-worker")?).arg("chaos").args(words))
}

/// Runs the worker that breaks a rule.
fn broken(fault: &str) -> Result<Value> {
    let program = built("broken-worker")?.display().to_string();
    let given = ["--json", "--seed", "0", "--rounds", "3", "--function", "echo", "--payload", "{}", "--patience", "20"];
    let ended = chaos(&[&given[..], &["--", &program, "--break", fault]].concat())?;
    ensure!(ended.code == Some(1), "{fault}: {ended:?}");
    Ok(serde_json::from_str(&ended.stdout)?)
}

/// The rules that a report says were broken.
fn rules(report: &Value) -> Vec<&str> {
    let violations = report.get("violations").and_then(Value::as_array).into_iter().flatten();
    let mut rules: Vec<&str> = violations.filter_map(|violation| violation.get("rule")?.as_str()).collect();
    rules.dedup();
    rules
}

#[test]
fn our_worker_keeps_the_contract_through_every_fault() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let calls = dir.path().join("calls.jsonl");
    std::fs::write(&calls, CALLS.join("\n"))?;
    let (calls, program) = (calls.display().to_string(), built("marco-polo")?.display().to_string());
    let ended = chaos(&["--json", "--seed", "12", "--rounds", "36", "--payloads", &calls, "--", &program])?;
    let report: Value = serde_json::from_str(&ended.stdout).with_context(|| format!("{ended:?}"))?;
    ensure!(ended.code == Some(0) && report.get("violations") == Some(&json!([])), "{report:#}");
    let faults = report.get("faults").and_then(Value::as_object).context("no faults")?;
    ensure!(faults.len() == 12 && faults.values().all(|rounds| rounds == 3), "{report:#}");
    Ok(())
}

#[test]
fn a_schema_with_defaults_needs_no_payload() -> Result<()> {
    let program = built("conformance-endpoint")?.display().to_string();
    let ended = chaos(&["--seed", "0", "--rounds", "2", "--", &program])?;
    ensure!(ended.code == Some(0), "{ended:?}");
    ensure!(ended.stdout.contains("violations              0"), "{ended:?}");
    // `echo` has a required field without a default.
    ensure!(ended.stderr.contains("--function echo --payload"), "{ended:?}");
    Ok(())
}

#[test]
fn what_cannot_run_is_a_usage_error() -> Result<()> {
    let program = built("conformance-endpoint")?.display().to_string();
    for (words, complaint) in [
        (vec!["--function", "echo", "--", &program], "--payload"),
        (vec!["--function", "nobody", "--", &program], "no endpoint function matches"),
        (vec!["--rounds", "0", "--", &program], "--rounds"),
        (vec!["--payload", "{}", "--", &program], "--function"),
        (vec!["--", "/nowhere/at/all"], "/nowhere/at/all"),
    ] {
        let ended = chaos(&words)?;
        ensure!(ended.code == Some(2) && ended.stderr.contains(complaint), "{words:?}: {ended:?}");
    }
    Ok(())
}

#[test]
fn w14_a_worker_that_answers_twice_is_caught() -> Result<()> {
    let report = broken("answers-twice")?;
    ensure!(rules(&report) == ["W14"], "{report:#}");
    let replay = report.pointer("/violations/0/replay").and_then(Value::as_str).context("no replay")?;
    ensure!(replay.starts_with("gen-worker chaos --seed 0 --rounds 1 --function echo --payload"), "{replay}");
    Ok(())
}

#[test]
fn w24_a_worker_that_counts_wrongly_is_caught() -> Result<()> {
    let report = broken("counts-from-two")?;
    ensure!(rules(&report) == ["W24"], "{report:#}");
    Ok(())
}

#[test]
fn w12_a_worker_that_accepts_nothing_is_caught() -> Result<()> {
    let report = broken("skips-acceptance")?;
    ensure!(rules(&report) == ["W12"], "{report:#}");
    Ok(())
}

#[test]
fn w9_a_worker_that_runs_ended_jobs_again_is_caught() -> Result<()> {
    let report = broken("runs-again")?;
    ensure!(rules(&report).contains(&"W9"), "{report:#}");
    Ok(())
}

#[test]
fn w2_a_worker_that_lists_what_it_does_not_have_is_caught() -> Result<()> {
    let report = broken("invents-jobs")?;
    ensure!(rules(&report).contains(&"W2") && rules(&report).contains(&"W5"), "{report:#}");
    Ok(())
}
