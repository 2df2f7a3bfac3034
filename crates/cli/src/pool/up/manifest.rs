//! What the endpoints of a pool say about their functions: each program is asked once, beside its workers' start, and the
//! pool told. A program that cannot say it still serves.

use std::{path::Path, process::Stdio, time::Duration};

use gen_worker_orchestrator::pool::FunctionManifest;
use gen_worker_proto::FunctionName;
use serde::Deserialize;
use serde_json::Value;
use tokio::{io::AsyncReadExt as _, process::Command};
use tracing::warn;

use super::{plan::Plan, pool::Pool};

/// Longest time a program may take to describe itself: nothing is loaded for it.
const LIMIT: Duration = Duration::from_secs(20);

/// Largest description read.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The part of the description document that the pool shows.
#[derive(Debug, Deserialize)]
struct Document {
    functions: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    name: String,
    kind: String,
    input_schema: Value,
    #[serde(default)]
    output_schema: Value,
}

/// Asks every program and tells the pool.
///
/// # Cancel safety
/// May be dropped: a program that is being asked is killed.
pub(super) async fn tell(plan: &Plan, pool: &Pool) {
    for program in plan.endpoints() {
        match describe(program).await {
            Ok(manifests) => pool.describe(manifests),
            Err(error) => {
                let endpoint = program.display();
                warn!(%endpoint, error, "endpoint does not describe itself; its functions are listed without schemas");
            }
        }
    }
}

async fn describe(program: &Path) -> Result<Vec<FunctionManifest>, String> {
    let mut child = Command::new(program)
        .args(["describe", "--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // Not reached by a Ctrl-C for us; it ends with this future at the latest.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| error.to_string())?;
    let stdout = child.stdout.take().ok_or("it has no output")?;
    let read = async {
        let mut text = Vec::new();
        stdout.take(BYTES_MAX).read_to_end(&mut text).await.map_err(|error| error.to_string())?;
        let status = child.wait().await.map_err(|error| error.to_string())?;
        if status.success() { Ok(text) } else { Err(status.to_string()) }
    };
    let text = tokio::time::timeout(LIMIT, read).await.map_err(|_| format!("it took more than {LIMIT:?}"))??;
    parse(&text)
}

fn parse(text: &[u8]) -> Result<Vec<FunctionManifest>, String> {
    let document: Document =
        serde_json::from_slice(text).map_err(|error| format!("its description is not ours: {error}"))?;
    let manifest = |entry: Entry| {
        let Entry { name, kind, input_schema, output_schema } = entry;
        let name = FunctionName::parse(&name).map_err(|error| format!("function {name:?}: {error}"))?;
        Ok(FunctionManifest { name, kind, input_schema, output_schema })
    };
    document.functions.into_iter().map(manifest).collect()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_description_becomes_manifests() {
        let text = br#"{"functions": [{"name": "embed", "kind": "inference", "input_schema": {"type": "object"}, "more": 1}], "more": 2}"#;
        let manifests = parse(text).expect("a description");
        let [embed] = manifests.as_slice() else { panic!("{manifests:?}") };
        assert_eq!((embed.name.as_str(), embed.kind.as_str()), ("embed", "inference"));
        assert!(embed.output_schema.is_null(), "an older endpoint does not tell");
    }

    #[test]
    fn what_is_no_description_is_an_error_that_says_so() {
        for (text, part) in [
            ("", "not ours"),
            ("usage: endpoint", "not ours"),
            (r#"{"functions": [{"name": "!!", "kind": "x", "input_schema": {}}]}"#, r#""!!""#),
        ] {
            let error = parse(text.as_bytes()).expect_err(text);
            assert!(error.contains(part), "{error}");
        }
    }
}
