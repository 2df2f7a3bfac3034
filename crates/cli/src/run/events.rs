//! What a handler tells while it runs: one JSON object per line on stderr.

use gen_worker_core::{EventSink, RequestEvent};
use serde_json::{Value, json};

use crate::console::note;

/// Prints events of one request. A slow reader of stderr slows the handler: it is the user's own terminal, and
/// losing what a handler said in a local run would be the worse end.
#[derive(Debug)]
pub(super) struct StderrEvents {
    request_id: String,
}

impl StderrEvents {
    /// A sink for the request called `request_id`.
    pub(super) fn of(request_id: String) -> Self {
        Self { request_id }
    }

    fn line(&self, event: &RequestEvent) -> Value {
        json!({
            "payload": event.payload,
            "request_id": self.request_id,
            "timestamp": event.timestamp,
            "type": event.kind,
        })
    }
}

impl EventSink for StderrEvents {
    fn emit(&self, event: RequestEvent) {
        note(&self.line(&event).to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c100_events_are_compact_with_sorted_keys() {
        let event = RequestEvent {
            kind: "request.log".into(),
            payload: json!({"message": "m", "level": "info"}),
            timestamp: 1.5,
        };
        assert_eq!(
            StderrEvents::of("local-1".to_owned()).line(&event).to_string(),
            r#"{"payload":{"level":"info","message":"m"},"request_id":"local-1","timestamp":1.5,"type":"request.log"}"#
        );
    }
}
