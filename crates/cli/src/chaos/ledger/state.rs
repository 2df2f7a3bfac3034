//! What the worker says of itself: Hello, states, unavailable functions.

use std::collections::BTreeMap;

use gen_worker_proto::pb;

use crate::chaos::findings::Findings;

/// Reports of unavailable functions that are kept; more than any endpoint has functions.
const UNAVAILABLE_MAX: usize = 10_000;

/// The state of the worker on this connection.
#[derive(Debug, Default)]
pub(super) struct States {
    last: Option<pb::StateDelta>,
    unavailable: BTreeMap<String, String>,
    /// A Drain was sent.
    pub(super) draining: bool,
    /// The drain has refused a job, so the worker knows of it.
    pub(super) refused: bool,
}

impl States {
    pub(super) fn state(&mut self, state: pb::StateDelta, findings: &mut Findings) {
        for (name, list) in [("available", &state.available_functions), ("loading", &state.loading_functions)] {
            if !list.is_sorted_by(|one, next| one < next) {
                findings.violation("C2", format!("{name}_functions is not sorted: {list:?}"));
            }
        }
        if let Some(both) = state.available_functions.iter().find(|name| state.loading_functions.contains(name)) {
            findings.violation("C2", format!("{both} is available and loading at once"));
        }
        if self.last.as_ref() == Some(&state) {
            findings.violation("W7", "a StateDelta that changes nothing");
        }
        if self.draining && self.refused && !state.available_functions.is_empty() {
            findings.violation("W19", format!("offers functions while it drains: {:?}", state.available_functions));
        }
        self.last = Some(state);
    }

    pub(super) fn unavailable(&mut self, down: pb::FnUnavailable) {
        if self.unavailable.len() < UNAVAILABLE_MAX {
            self.unavailable.insert(down.function_name, format!("{} {}", down.reason, down.detail));
        }
    }

    pub(super) fn is_available(&self, function: &str) -> bool {
        self.last.as_ref().is_some_and(|state| state.available_functions.iter().any(|name| name == function))
    }

    pub(super) fn why_unavailable(&self, function: &str) -> Option<&str> {
        self.unavailable.get(function).map(String::as_str)
    }
}

/// Checks what a Hello says by itself.
pub(super) fn check_hello(hello: &pb::Hello, worker_id: &str, findings: &mut Findings) {
    if hello.protocol_version() != pb::ProtocolVersion::Current {
        findings.violation("C1", format!("Hello has protocol version {}", hello.protocol_version));
    }
    if hello.worker_id != worker_id {
        findings.violation("C1", format!("Hello has worker id {:?} instead of {worker_id:?}", hello.worker_id));
    }
    let order = |job: &pb::InFlightJob| (job.request_id.clone(), job.attempt);
    if !hello.in_flight.is_sorted_by(|one, next| order(one) < order(next)) {
        let pairs: Vec<String> =
            hello.in_flight.iter().map(|job| format!("{}/{}", job.request_id, job.attempt)).collect();
        findings.violation("W2", format!("Hello.in_flight is not sorted, or has duplicates: {}", pairs.join(", ")));
    }
}
