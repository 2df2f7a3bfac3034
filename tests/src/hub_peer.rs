//! The code of the Python peers as the client of a hub.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};

use crate::binaries::workspace;

/// One call of the peer's code in `version` to the hub at `url`, whose answer is that of `tests/peer/hub_client.py`. What the peer
/// keeps in the directory for temporary files is below `dir`.
///
/// # Errors
/// When the peer is not installed, or breaks off without an answer.
pub(crate) fn peer_call(version: &str, url: &str, dir: &Path, name: &str, mut call: Value) -> Result<Value> {
    let python = workspace().join(format!("target/peers/gen-worker-{version}/bin/python"));
    ensure!(python.is_file(), "no Python peer at {}: run `cargo xtask setup`", python.display());
    let fields = call.as_object_mut().context("a call is an object")?;
    fields.insert("call".to_owned(), json!(name));
    fields.insert("url".to_owned(), json!(url));
    let temporary = dir.join("tmp");
    fs::create_dir_all(&temporary)?;
    let mut command = Command::new(python);
    command.arg(workspace().join("tests/peer/hub_client.py")).arg(call.to_string());
    command.env("TMPDIR", &temporary).env_remove("TENSORHUB_TOKEN").env_remove("TENSORHUB_URL");
    let output = command.output().context("run the peer")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last();
    let answer = line.and_then(|line| serde_json::from_str(line).ok());
    answer.ok_or_else(|| anyhow!("the peer broke off: {}", String::from_utf8_lossy(&output.stderr)))
}

/// What such a call answered, when it succeeded.
///
/// # Errors
/// When it failed.
pub(crate) fn succeeded(version: &str, name: &str, mut answer: Value) -> Result<Value> {
    answer.get_mut("ok").map(Value::take).ok_or_else(|| anyhow!("{name} of {version}: {answer}"))
}
