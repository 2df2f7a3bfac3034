//! What is called: a function and its payload.

use std::path::Path;

use bytes::Bytes;
use gen_worker_orchestrator::payload::from_json;
use serde::Deserialize;
use serde_json::Value;

use super::example::example;
use crate::{bounded, exit::Failure, payload};

/// Calls that a file may have. More than rounds have jobs help nobody.
const CALLS_MAX: usize = 10_000;

/// One kind of call.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    /// The function, as it was named.
    pub(super) function: String,
    /// The MessagePack that travels.
    pub(super) payload: Bytes,
}

/// A line of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    function: String,
    payload: Value,
}

impl Call {
    fn new(function: &str, payload: &Value, origin: &str) -> Result<Self, Failure> {
        let packed = from_json(payload.to_string().as_bytes())
            .map_err(|error| Failure::usage(format!("{origin} is no payload: {error}")))?;
        Ok(Self { function: gen_worker_proto::slug(function), payload: packed.into() })
    }

    /// The call of the command line.
    pub(super) fn given(function: &str, text: &str) -> Result<Self, Failure> {
        Self::new(function, &payload::json(text, "--payload")?, "--payload")
    }

    /// The calls of a file, one JSON object per line.
    pub(super) fn file(path: &Path) -> Result<Vec<Self>, Failure> {
        let shown = path.display();
        let bytes = bounded::read_file(path, payload::PAYLOAD_BYTES_MAX)
            .map_err(|error| Failure::usage(format!("payloads {shown}: {error}")))?;
        let text = String::from_utf8(bytes).map_err(|_| Failure::usage(format!("payloads {shown}: not UTF-8")))?;
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).take(CALLS_MAX);
        let calls: Vec<Self> = lines
            .map(|(index, line)| {
                let origin = format!("payloads {shown}, line {}", index + 1);
                let Line { function, payload } = serde_json::from_str(line).map_err(|error| {
                    Failure::usage(format!("{origin} is not {{\"function\": NAME, \"payload\": JSON}}: {error}"))
                })?;
                Self::new(&function, &payload, &origin)
            })
            .collect::<Result<_, Failure>>()?;
        if calls.is_empty() {
            return Err(Failure::usage(format!("payloads {shown}: there is no call in it")));
        }
        Ok(calls)
    }

    /// The calls that the description document of an endpoint allows to make, of the function `only` or of all, and a
    /// sentence for each function that was left out.
    ///
    /// # Errors
    /// When there is none; the text says what to pass.
    pub(super) fn described(document: &Value, only: Option<&str>) -> Result<(Vec<Self>, Vec<String>), Failure> {
        let functions = document.get("functions").and_then(Value::as_array).into_iter().flatten();
        let wanted = only.map(gen_worker_proto::slug);
        let (mut calls, mut skipped) = (Vec::new(), Vec::new());
        for function in functions {
            let name = function.get("name").and_then(Value::as_str).unwrap_or_default();
            if wanted.as_ref().is_some_and(|wanted| *wanted != name) {
                continue;
            }
            match example(function.get("input_schema").unwrap_or(&Value::Null)) {
                Ok(payload) => calls.push(Self::new(name, &payload, "the example of its schema")?),
                Err(missing) => skipped.push(format!(
                    "function {name} is not called: its field {missing} has no default or example; \
                     pass --function {name} --payload '{{{:?}: ...}}'",
                    missing.first()
                )),
            }
        }
        match (calls.is_empty(), skipped.is_empty(), only) {
            (false, ..) => Ok((calls, skipped)),
            (true, false, _) => Err(Failure::usage(skipped.join("\n"))),
            (true, true, Some(name)) => Err(Failure::usage(format!("no endpoint function matches {name}"))),
            (true, true, None) => Err(Failure::usage("this endpoint has no functions")),
        }
    }
}
