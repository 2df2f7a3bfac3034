//! Failures on their way between the processes of one binary: class, kind and text. Causes stay where they are.

use std::sync::Arc;

use super::{FailureClass, Inner, Kind, WorkerError};

/// A failure in pieces that can travel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FailureParts {
    /// Number of the class.
    pub(crate) class: u32,
    /// Name of the kind.
    pub(crate) kind: String,
    /// Name of the type that failed, or ref of the model that could not be had.
    pub(crate) about: Option<String>,
    /// The text.
    pub(crate) message: String,
}

const CLASSES: [(u32, FailureClass); 4] =
    [(1, FailureClass::Invalid), (2, FailureClass::Retryable), (3, FailureClass::Canceled), (4, FailureClass::Fatal)];

/// The kinds that say nothing more.
const KINDS: [(&str, Kind); 12] = [
    ("validation", Kind::Validation),
    ("decode", Kind::Decode),
    ("retryable", Kind::Retryable),
    ("canceled", Kind::Canceled),
    ("auth", Kind::Auth),
    ("resource", Kind::Resource),
    ("out_of_memory", Kind::OutOfMemory),
    ("input_too_large", Kind::InputTooLarge),
    ("output_too_large", Kind::OutputTooLarge),
    ("ref_incompatible", Kind::RefIncompatible),
    ("transfer", Kind::Transfer),
    ("deadline_exceeded", Kind::DeadlineExceeded),
];

const PANIC: &str = "panic";
/// Followed by its reason.
const MODEL: &str = "model_unavailable:";

/// Why a model cannot be had; the last one stands for all others.
const REASONS: [&str; 5] =
    ["missing_snapshot", "url_expired", "digest_mismatch", "insufficient_disk", "download_failed"];

const CRASHED: &str = "slot_crashed";
const FATAL: &str = "fatal";

impl WorkerError {
    pub(crate) fn to_parts(&self) -> FailureParts {
        let (kind, about) = match &self.0.kind {
            Kind::Panic => (PANIC.to_owned(), None),
            Kind::SlotCrashed => (CRASHED.to_owned(), None),
            Kind::Fatal(name) => (FATAL.to_owned(), Some(name.clone())),
            Kind::ModelUnavailable { reference, reason } => (format!("{MODEL}{reason}"), Some(reference.clone())),
            plain => (KINDS.iter().find(|(_, known)| known == plain).map_or(FATAL, |(name, _)| name).to_owned(), None),
        };
        let class = CLASSES.iter().find(|(_, class)| *class == self.0.class).map_or(0, |(number, _)| *number);
        FailureParts { class, kind, about, message: self.0.message.clone() }
    }

    /// What is unknown is a fatal failure: nothing suggests that a repetition helps.
    pub(crate) fn from_parts(parts: FailureParts) -> Self {
        let FailureParts { class, kind, about, message } = parts;
        let class =
            CLASSES.iter().find(|(number, _)| *number == class).map_or(FailureClass::Fatal, |(_, class)| *class);
        let about = about.unwrap_or_default();
        let kind = match kind.as_str() {
            PANIC => Kind::Panic,
            CRASHED => Kind::SlotCrashed,
            name => match (name.strip_prefix(MODEL), KINDS.iter().find(|(known, _)| *known == name)) {
                (Some(reason), _) => Kind::ModelUnavailable { reference: about, reason: known_reason(reason) },
                (None, Some((_, kind))) => kind.clone(),
                (None, None) => Kind::Fatal(about),
            },
        };
        Self(Arc::new(Inner { class, kind, message, source: None }))
    }
}

fn known_reason(reason: &str) -> &'static str {
    let [.., other] = REASONS;
    REASONS.into_iter().find(|known| *known == reason).unwrap_or(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_arrives_as_it_left() {
        let errors = [
            WorkerError::validation("v"),
            WorkerError::decode("$.a", "d"),
            WorkerError::retryable("r"),
            WorkerError::canceled(),
            WorkerError::fatal("Boom", "f"),
            WorkerError::auth("a"),
            WorkerError::resource("r"),
            WorkerError::out_of_memory(),
            WorkerError::input_too_large(2, 1, "x"),
            WorkerError::output_too_large(2, 1),
            WorkerError::ref_incompatible("o/m", super::super::CompatibilityAxis::Shape),
            WorkerError::transfer("hf", "get", true, Some(500), "c"),
            WorkerError::transfer("hf", "get", false, None, "c"),
            WorkerError::model_unavailable("o/m", crate::ModelError::Unknown("o/m".into())),
            WorkerError::deadline_exceeded(),
            WorkerError::panicked("p"),
            WorkerError::slot_crashed("signal 6", true),
        ];
        for error in errors {
            let arrived = WorkerError::from_parts(error.to_parts());
            assert_eq!(arrived.unavailable_reason(), error.unavailable_reason());
            assert_eq!(
                (arrived.class(), arrived.kind(), arrived.client_message(), arrived.unavailable_model()),
                (error.class(), error.kind(), error.client_message(), error.unavailable_model())
            );
            assert_eq!(
                (arrived.is_decode(), arrived.is_out_of_memory()),
                (error.is_decode(), error.is_out_of_memory())
            );
        }
    }

    #[test]
    fn what_is_unknown_is_fatal() {
        let parts = FailureParts { class: 9, kind: "new".into(), about: Some("New".into()), message: "m".into() };
        let error = WorkerError::from_parts(parts);
        assert_eq!((error.class(), error.client_message().as_str()), (FailureClass::Fatal, "New: m"));
    }
}
