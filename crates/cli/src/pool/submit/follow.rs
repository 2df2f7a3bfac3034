//! From events of a request to lines on stdout and an exit code. Pure: prints through what it is given.

#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use super::sse::SseEvent;
use crate::exit::{Exit, Failure};

/// How the request ended.
#[derive(Debug)]
pub(super) enum End {
    /// With an output, or a whole stream.
    Succeeded {
        /// What to print last.
        last: Last,
    },
    /// Without one.
    Failed(Failure),
}

/// The last value of a succeeded request.
#[derive(Debug, PartialEq)]
pub(super) enum Last {
    /// This value.
    Value(Value),
    /// The output is too large to be inline and has to be fetched.
    Fetch,
}

/// Follows the events of one request.
#[derive(Debug)]
pub(super) struct Follow {
    stream: bool,
    held: Vec<Value>,
    yielded: u64,
    last_id: String,
}

impl Follow {
    /// Starts. With `stream`, items are given out as they arrive; else at the end.
    pub(super) fn new(stream: bool) -> Self {
        Self { stream, held: Vec::new(), yielded: 0, last_id: String::new() }
    }

    /// Id of the last event, to go on from after a broken connection; empty before the first.
    pub(super) fn last_id(&self) -> &str {
        &self.last_id
    }

    /// Takes an event: values to print now, in order, and the end if this was it.
    ///
    /// # Errors
    /// When the event is not of the shape the contract says.
    pub(super) fn event(&mut self, event: &SseEvent) -> Result<(Vec<Value>, Option<End>), Failure> {
        if !event.id.is_empty() {
            self.last_id.clone_from(&event.id);
        }
        let data: Value = serde_json::from_str(&event.data).map_err(|error| {
            Failure::usage(format!("broken reply: event {} is not valid JSON: {error}", event.kind))
        })?;
        match event.kind.as_str() {
            "chunk" => {
                self.yielded += 1;
                let value = item(data);
                if self.stream {
                    return Ok((vec![value], None));
                }
                self.held.push(value);
                Ok((Vec::new(), None))
            }
            "result" => {
                let last = self.last(&data);
                Ok((std::mem::take(&mut self.held), Some(End::Succeeded { last })))
            }
            "error" => {
                Ok((std::mem::take(&mut self.held), Some(End::Failed(failure(data.get("error").unwrap_or(&data))))))
            }
            // Progress, logs, states and gaps change no result.
            _ => Ok((Vec::new(), None)),
        }
    }

    fn last(&self, request: &Value) -> Last {
        let output = request.get("output").filter(|output| !output.is_null());
        if self.yielded > 0 {
            // A stream ends with its count, whatever result the worker joined out of its items.
            return Last::Value(json!({"yielded": self.yielded}));
        }
        match output {
            Some(output) => Last::Value(output.clone()),
            None if request.get("output_url").is_some_and(|url| !url.is_null()) => Last::Fetch,
            None => Last::Value(json!({"yielded": 0})),
        }
    }
}

/// One stream item as `run` prints it.
fn item(data: Value) -> Value {
    match data {
        Value::Object(mut chunk) if chunk.len() == 1 && chunk.contains_key("value") => {
            chunk.remove("value").unwrap_or_default()
        }
        Value::Object(mut chunk) if chunk.len() == 1 && chunk.contains_key("text") => {
            // The wire carries the text of a token delta only.
            chunk.insert("item_id".to_owned(), Value::Null);
            Value::Object(chunk)
        }
        other => other,
    }
}

/// The failure that an error object of the API means for the caller.
pub(super) fn failure(error: &Value) -> Failure {
    let text = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or_default();
    let exit = match text("code") {
        "canceled" => Exit::Interrupted,
        "invalid" | "unknown_function" | "not_found" | "unknown_field" | "id_conflict" | "already_finished"
        | "payload_too_large" | "invalid_json" | "unauthenticated" | "forbidden" => Exit::Usage,
        _ if text("class") == "invalid" => Exit::Usage,
        _ => Exit::Failed,
    };
    let (code, message) = (text("code"), text("message"));
    let shown = match (code, message) {
        ("canceled", _) => "canceled".to_owned(),
        ("invalid", message) => format!("payload validation failed: {message}"),
        ("unknown_function", message) => format!("no endpoint function matches: {message}"),
        ("", "") => "the orchestrator gave no reason".to_owned(),
        (code, "") => code.to_owned(),
        (code, message) => format!("{code}: {message}"),
    };
    Failure::new(exit, shown)
}
