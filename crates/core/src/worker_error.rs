//! The one error a handler can end with, and its closed classification.
//!
//! There is no blanket `From`: an author says what a foreign error means, with [`Classify`] or a constructor.
//! Text for the client ([`WorkerError::client_message`]) and detail for the operator (the chain of
//! [`std::error::Error::source`]) are different things; redacting the former is the sender's last step.

use std::{
    error::Error as StdError,
    fmt,
    io::{self, ErrorKind},
    sync::Arc,
};

mod portable;

use gen_worker_store::FormatError;

use crate::model_source::ModelError;
pub(crate) use portable::FailureParts;

/// What a failure means for the request, whoever raised it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// The request itself is wrong: running it again gives the same.
    Invalid,
    /// Another attempt, perhaps on another worker, may succeed.
    Retryable,
    /// Somebody asked for the end.
    Canceled,
    /// The handler failed; nothing suggests that a repetition helps.
    Fatal,
}

/// Where a model turned out not to fit the endpoint that loads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompatibilityAxis {
    /// Tensor names or their number.
    StateDict,
    /// The pipeline did not load.
    PipelineLoad,
    /// A part of the model is not there.
    ComponentMissing,
    /// A tensor has another shape.
    Shape,
}

/// Error of a handler, a setup, or the code around them. Cheap to clone and one pointer wide.
#[derive(Clone)]
pub struct WorkerError(Arc<Inner>);

/// Result of everything an author writes.
pub type Result<T, E = WorkerError> = std::result::Result<T, E>;

type Source = Arc<dyn StdError + Send + Sync>;

struct Inner {
    class: FailureClass,
    kind: Kind,
    message: String,
    source: Option<Source>,
}

/// What went wrong. The class is kept beside it because transfers and crashes come in two.
#[derive(Clone, PartialEq, Eq)]
enum Kind {
    Validation,
    Decode,
    Retryable,
    Canceled,
    /// Name of the type that the author's code failed with.
    Fatal(String),
    Auth,
    Resource,
    OutOfMemory,
    InputTooLarge,
    OutputTooLarge,
    RefIncompatible,
    Transfer,
    ModelUnavailable {
        reference: String,
        reason: &'static str,
    },
    DeadlineExceeded,
    Panic,
    SlotCrashed,
}

impl WorkerError {
    /// The request is wrong. The text goes to the client.
    #[must_use]
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new(FailureClass::Invalid, Kind::Validation, message)
    }

    /// The payload does not decode: `text` says how, `path` where (`$.field`, or `$` for the whole).
    #[must_use]
    pub fn decode(path: &str, text: &str) -> Self {
        let message = if path == "$" { text.to_owned() } else { format!("{text} - at `{path}`") };
        Self::new(FailureClass::Invalid, Kind::Decode, message)
    }

    /// Another attempt may succeed. The text goes to the client.
    #[must_use]
    pub fn retryable(message: impl Into<String>) -> Self {
        Self::new(FailureClass::Retryable, Kind::Retryable, message)
    }

    /// The handler noticed that it was cancelled.
    #[must_use]
    pub fn canceled() -> Self {
        Self::new(FailureClass::Canceled, Kind::Canceled, "canceled")
    }

    /// The handler failed for good. `type_name` names the failure for the client (`Type: first line`).
    #[must_use]
    pub fn fatal(type_name: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(FailureClass::Fatal, Kind::Fatal(type_name.into()), message)
    }

    /// A credential was refused.
    #[must_use]
    pub fn auth(message: impl Into<String>) -> Self {
        Self::new(FailureClass::Fatal, Kind::Auth, message)
    }

    /// This machine lacks something the handler needs.
    #[must_use]
    pub fn resource(message: impl Into<String>) -> Self {
        Self::new(FailureClass::Fatal, Kind::Resource, message)
    }

    /// An accelerator or the host ran out of memory.
    #[must_use]
    pub fn out_of_memory() -> Self {
        Self::new(FailureClass::Retryable, Kind::OutOfMemory, "out of memory")
    }

    /// An input has `size` bytes where `max` are allowed; `source` names it.
    #[must_use]
    pub fn input_too_large(size: u64, max: u64, source: &str) -> Self {
        let message = format!("input {source} has {size} bytes, more than {max}");
        Self::new(FailureClass::Invalid, Kind::InputTooLarge, message)
    }

    /// An output has `size` bytes where `max` are allowed.
    #[must_use]
    pub fn output_too_large(size: u64, max: u64) -> Self {
        let message = format!("output has {size} bytes, more than {max}");
        Self::new(FailureClass::Invalid, Kind::OutputTooLarge, message)
    }

    /// The model `reference` does not fit this endpoint.
    #[must_use]
    pub fn ref_incompatible(reference: &str, axis: CompatibilityAxis) -> Self {
        let message = format!("model {reference} does not fit this endpoint: {axis}");
        Self::new(FailureClass::Invalid, Kind::RefIncompatible, message)
    }

    /// A transfer with `provider` failed in `phase`. `status` is the HTTP status if there was one.
    #[must_use]
    pub fn transfer(provider: &str, phase: &str, retryable: bool, status: Option<u16>, cause: &str) -> Self {
        let status = status.map(|code| format!(", status {code}")).unwrap_or_default();
        let message = format!("{cause} (provider {provider}, phase {phase}{status})");
        let class = if retryable { FailureClass::Retryable } else { FailureClass::Fatal };
        Self::new(class, Kind::Transfer, message)
    }

    /// The model `reference` could not be had on this worker. Another attempt may bring or find it, unless it may not be
    /// loaded at all.
    #[must_use]
    pub fn model_unavailable(reference: &str, source: ModelError) -> Self {
        let message = match source {
            ModelError::UrlExpired(_) => "model download url expired".to_owned(),
            // The files of a model are known to who chose it.
            ModelError::Refused { .. } if let Some(why) = format_error(&source) => format!("{source}: {why}"),
            _ => format!("model {reference} is unavailable: {source}"),
        };
        let kind = Kind::ModelUnavailable { reference: reference.to_owned(), reason: source.reason() };
        let class = match source {
            ModelError::Refused { .. } => FailureClass::Fatal,
            _ => FailureClass::Retryable,
        };
        Self::new(class, kind, message).with_source(source)
    }

    /// The handler ran past its deadline.
    #[must_use]
    pub fn deadline_exceeded() -> Self {
        Self::new(FailureClass::Fatal, Kind::DeadlineExceeded, "deadline exceeded")
    }

    /// The handler panicked with `message`.
    #[must_use]
    pub fn panicked(message: impl Into<String>) -> Self {
        Self::new(FailureClass::Fatal, Kind::Panic, message)
    }

    /// The process that ran the handler ended under it; `how` says in which way. With `again` it did so before.
    #[must_use]
    pub fn slot_crashed(how: &str, again: bool) -> Self {
        let class = if again { FailureClass::Fatal } else { FailureClass::Retryable };
        Self::new(class, Kind::SlotCrashed, format!("worker slot crashed: {how}"))
    }

    /// The handler panicked; `payload` is what the panic carried.
    #[must_use]
    pub fn from_panic(payload: &(dyn std::any::Any + Send)) -> Self {
        let text = payload.downcast_ref::<&'static str>().copied();
        Self::panicked(text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or_default())
    }

    /// The same error with the error that caused it, for the operator's log.
    #[must_use]
    pub fn with_source(self, source: impl StdError + Send + Sync + 'static) -> Self {
        let Inner { class, kind, message, source: _ } = match Arc::try_unwrap(self.0) {
            Ok(inner) => inner,
            // Shared: the other holders keep theirs without the cause.
            Err(shared) => {
                Inner { class: shared.class, kind: shared.kind.clone(), message: shared.message.clone(), source: None }
            }
        };
        Self(Arc::new(Inner { class, kind, message, source: Some(Arc::new(source)) }))
    }

    /// What this failure means for the request.
    #[must_use]
    pub fn class(&self) -> FailureClass {
        self.0.class
    }

    /// Name of the kind of failure, as shown to people: `ValidationError`, or the type given to [`Self::fatal`].
    #[must_use]
    pub fn kind(&self) -> &str {
        match &self.0.kind {
            Kind::Validation | Kind::Decode => "ValidationError",
            Kind::Retryable => "RetryableError",
            Kind::Canceled => "CanceledError",
            Kind::Fatal(name) => name,
            Kind::Auth => "AuthError",
            Kind::Resource => "ResourceError",
            Kind::OutOfMemory => "OutOfMemoryError",
            Kind::InputTooLarge => "InputTooLargeError",
            Kind::OutputTooLarge => "OutputTooLargeError",
            Kind::RefIncompatible => "RefCompatibilitySurprise",
            Kind::Transfer => "ArtifactTransferError",
            Kind::ModelUnavailable { .. } => "ModelUnavailableError",
            Kind::DeadlineExceeded => "DeadlineExceededError",
            Kind::Panic => "Panic",
            Kind::SlotCrashed => "SlotCrashed",
        }
    }

    /// Whether memory was what ran out: by its kind, or because it or what caused it says so, as drivers do.
    pub(crate) fn is_out_of_memory(&self) -> bool {
        let says = |text: &str| text.to_ascii_lowercase().replace('_', " ").contains("out of memory");
        matches!(self.0.kind, Kind::OutOfMemory)
            || says(&self.0.message)
            || causes(self).any(|cause| says(&cause.to_string()) || is_io(cause, ErrorKind::OutOfMemory))
    }

    /// Whether a load that failed so may have read damaged files. Loaders of any kind raise it, so it is all that the author's
    /// code failed with for good, but for what is known to have other reasons: a check of the files costs no more than
    /// reading them once.
    pub(crate) fn may_be_damage(&self) -> bool {
        let full = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded];
        if self.is_out_of_memory() || causes(self).any(|cause| full.iter().any(|kind| is_io(cause, *kind))) {
            return false;
        }
        matches!(self.0.kind, Kind::Fatal(_)) && self.0.class == FailureClass::Fatal
    }

    /// The ref of the model that could not be had, if that is what failed.
    #[must_use]
    pub fn unavailable_model(&self) -> Option<&str> {
        match &self.0.kind {
            Kind::ModelUnavailable { reference, .. } => Some(reference),
            _ => None,
        }
    }

    /// Why that model could not be had, in the word of a `ModelEvent`.
    pub(crate) fn unavailable_reason(&self) -> Option<&'static str> {
        match &self.0.kind {
            Kind::ModelUnavailable { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// Whether the payload did not decode, as opposed to a handler that refused it.
    #[must_use]
    pub fn is_decode(&self) -> bool {
        matches!(self.0.kind, Kind::Decode)
    }

    /// The text the client sees, before secrets are removed from it and its length is cut.
    #[must_use]
    pub fn client_message(&self) -> String {
        let text = self.0.message.trim();
        match (self.0.class, &self.0.kind) {
            (FailureClass::Canceled, _) => "canceled".to_owned(),
            (_, Kind::DeadlineExceeded) => "deadline exceeded".to_owned(),
            (FailureClass::Invalid, _) if text.is_empty() => "invalid input".to_owned(),
            (FailureClass::Retryable, _) if text.is_empty() => "temporary failure".to_owned(),
            (FailureClass::Invalid | FailureClass::Retryable, _) | (_, Kind::SlotCrashed) => text.to_owned(),
            (FailureClass::Fatal, _) => fatal_text(self.kind(), text),
        }
    }

    fn new(class: FailureClass, kind: Kind, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner { class, kind, message: message.into(), source: None }))
    }
}

/// Says what a foreign error means, so that `?` works on it: `std::fs::read(path).fatal()?`.
pub trait Classify<T> {
    /// The request is to blame.
    ///
    /// # Errors
    /// The error, as [`FailureClass::Invalid`].
    fn invalid(self) -> Result<T>;

    /// Another attempt may succeed.
    ///
    /// # Errors
    /// The error, as [`FailureClass::Retryable`].
    fn retryable(self) -> Result<T>;

    /// Nothing suggests that a repetition helps.
    ///
    /// # Errors
    /// The error, as [`FailureClass::Fatal`] under the name of its type.
    fn fatal(self) -> Result<T>;
}

impl<T, E: StdError + Send + Sync + 'static> Classify<T> for std::result::Result<T, E> {
    fn invalid(self) -> Result<T> {
        self.map_err(|error| WorkerError::validation(error.to_string()).with_source(error))
    }

    fn retryable(self) -> Result<T> {
        self.map_err(|error| WorkerError::retryable(error.to_string()).with_source(error))
    }

    fn fatal(self) -> Result<T> {
        self.map_err(|error| WorkerError::fatal(short_type_name::<E>(), error.to_string()).with_source(error))
    }
}

/// Longest text of a fatal failure, in characters (wire contract, section 10).
const FATAL_CHARS_MAX: usize = 512;

fn fatal_text(kind: &str, text: &str) -> String {
    let first_line = text.lines().next().unwrap_or_default().trim_end();
    let whole = if first_line.is_empty() { kind.to_owned() } else { format!("{kind}: {first_line}") };
    match whole.char_indices().nth(FATAL_CHARS_MAX) {
        Some((at, _)) => whole.get(..at).unwrap_or(&whole).to_owned(),
        None => whole,
    }
}

/// `io::Error` rather than `std::io::error::Error`: a reader wants to know which error of that name it is.
fn short_type_name<E>() -> String {
    let full = std::any::type_name::<E>();
    let plain = full.split('<').next().unwrap_or(full);
    let mut parts = plain.rsplit("::").map(str::to_owned);
    let name = parts.next().unwrap_or_default();
    if name != "Error" {
        return name;
    }
    // The module that holds a plain `Error` is often called `error` too: take the one above it.
    match parts.find(|module| module != "error") {
        Some(module) => format!("{module}::{name}"),
        None => name,
    }
}

impl fmt::Display for WorkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for WorkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerError")
            .field("class", &self.0.class)
            .field("kind", &self.kind())
            .field("message", &self.0.message)
            .field("source", &self.0.source)
            .finish()
    }
}

/// What `error` comes from, the nearest first.
fn causes<'e>(error: &'e (dyn StdError + 'static)) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    std::iter::successors(error.source(), |error| (*error).source())
}

/// Whether `error` is a failure of the system of this kind.
fn is_io(error: &(dyn StdError + 'static), kind: ErrorKind) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == kind)
}

/// What of the files of a model is in the way of loading it, if that is why it is refused.
fn format_error(error: &ModelError) -> Option<&FormatError> {
    causes(error).find_map(|error| error.downcast_ref())
}

impl StdError for WorkerError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|source| &**source as &(dyn StdError + 'static))
    }
}

impl fmt::Display for CompatibilityAxis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StateDict => "state_dict",
            Self::PipelineLoad => "pipeline_load",
            Self::ComponentMissing => "component_missing",
            Self::Shape => "shape",
        })
    }
}

#[cfg(test)]
mod tests;
