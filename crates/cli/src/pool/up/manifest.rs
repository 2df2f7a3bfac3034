//! What the endpoints of a pool say about their functions: each program is asked once, beside its workers' start, and the
//! pool told. A program that cannot say it still serves.

use std::{collections::BTreeMap, path::Path, process::Stdio, time::Duration};

use gen_worker_hub::{
    HubRef,
    binding::{self, Binding, Provider},
};
use gen_worker_orchestrator::{
    api::DEV_TENANT,
    pool::{DeclaredModel, FunctionManifest},
};
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
    #[serde(default)]
    models: BTreeMap<String, Bound>,
}

/// What a slot is bound to.
#[derive(Debug, Deserialize)]
struct Bound {
    provider: String,
    r#ref: String,
    #[serde(default)]
    tag: String,
    #[serde(default)]
    flavor: String,
    #[serde(default)]
    revision: String,
}

/// Asks every program and tells the pool.
///
/// # Cancel safety
/// May be dropped: a program that is being asked is killed.
pub(super) async fn tell(plan: &Plan, pool: &Pool) {
    for program in plan.endpoints() {
        match describe(program).await {
            // A pool that is closed needs nothing any more.
            Ok(manifests) => drop(pool.describe(manifests).await),
            Err(error) => {
                let endpoint = program.display();
                warn!(
                    %endpoint, error,
                    "endpoint does not describe itself; its functions are listed without schemas, and models of the hub that \
                     they declare are not brought before a request names them"
                );
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
    document.functions.into_iter().map(manifest).collect()
}

/// One function. Its endpoint is of whoever started this pool.
fn manifest(entry: Entry) -> Result<FunctionManifest, String> {
    let Entry { name, kind, input_schema, output_schema, models } = entry;
    let name = FunctionName::parse(&name).map_err(|error| format!("function {name:?}: {error}"))?;
    let models = models.into_iter().map(|(slot, bound)| {
        let declared = declared(&slot, bound);
        declared.map_err(|error| format!("function {name}, slot {slot:?}: {error}"))
    });
    let models = models.collect::<Result<_, _>>()?;
    Ok(FunctionManifest { name, kind, input_schema, output_schema, owner: DEV_TENANT.to_owned(), models })
}

/// The model of a slot, by the name that it has on the wire.
fn declared(slot: &str, bound: Bound) -> Result<DeclaredModel, String> {
    let binding = bound.binding()?;
    let hub_ref = match binding.provider() {
        Provider::Hub => Some(HubRef::of_binding(&binding).map_err(|error| error.to_string())?.to_string()),
        _ => None,
    };
    Ok(DeclaredModel { slot: slot.to_owned(), r#ref: binding.wire_ref(), hub_ref })
}

impl Bound {
    fn binding(self) -> Result<Binding, String> {
        let builder = match self.provider.parse::<Provider>().map_err(|error| error.to_string())? {
            Provider::Hub => binding::hub(self.r#ref).tag(self.tag).flavor(self.flavor),
            Provider::HuggingFace => binding::hf(self.r#ref).revision(self.revision),
            Provider::Civitai => binding::civitai(self.r#ref),
            Provider::ModelScope => binding::modelscope(self.r#ref).revision(self.revision),
        };
        builder.build().map_err(|error| error.to_string())
    }
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
        assert!(embed.models.is_empty());
    }

    #[test]
    fn m2_2_m2_3_models_have_their_wire_ref_and_the_hub_is_asked_for_their_tag() {
        let text = br#"{"functions": [{"name": "paint", "kind": "inference", "input_schema": {}, "models": {
            "base": {"type": "Hub", "provider": "tensorhub", "ref": "acme/paint", "tag": "prod"},
            "style": {"type": "Hub", "provider": "tensorhub", "ref": "acme/style", "tag": "v2", "flavor": "fp8"},
            "text": {"type": "HF", "provider": "hf", "ref": "acme/text", "revision": "abc", "dtype": "bf16"}}}]}"#;
        let manifests = parse(text).expect("a description");
        let [paint] = manifests.as_slice() else { panic!("{manifests:?}") };
        let models: Vec<_> =
            paint.models.iter().map(|m| (m.slot.as_str(), m.r#ref.as_str(), m.hub_ref.as_deref())).collect();
        let expected = [
            ("base", "acme/paint", Some("acme/paint:prod")),
            ("style", "acme/style:v2#fp8", Some("acme/style:v2#fp8")),
            ("text", "acme/text@abc", None),
        ];
        assert_eq!(models, expected);
    }

    #[test]
    fn what_is_no_description_is_an_error_that_says_so() {
        for (text, part) in [
            ("", "not ours"),
            ("usage: endpoint", "not ours"),
            (r#"{"functions": [{"name": "!!", "kind": "x", "input_schema": {}}]}"#, r#""!!""#),
            (
                r#"{"functions": [{"name": "f", "kind": "x", "input_schema": {}, "models": {"base": {"provider": "moon", "ref": "a/b"}}}]}"#,
                "moon",
            ),
            (
                r#"{"functions": [{"name": "f", "kind": "x", "input_schema": {}, "models": {"base": {"provider": "hf", "ref": "nothing"}}}]}"#,
                r#"slot "base""#,
            ),
        ] {
            let error = parse(text.as_bytes()).expect_err(text);
            assert!(error.contains(part), "{error}");
        }
    }
}
