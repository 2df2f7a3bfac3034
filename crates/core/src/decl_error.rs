//! Everything that is wrong with the endpoints of a program, said at once.

use std::fmt;

/// Which rule a declaration breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeclCode {
    /// A type without handlers.
    NoHandlers,
    /// A handler that produces files must not stream.
    ProducerStreams,
    /// Both `model` and `slots`.
    ModelAndSlots,
    /// A slot name that is no identifier or appears twice, or a binding that cannot exist.
    BadSlot,
    /// `model` needs exactly one parameter to be named after.
    AmbiguousSlot,
    /// A slot that no parameter takes.
    UnusedSlot,
    /// A parameter that no slot fills.
    UnfilledSetup,
    /// `name` on a type, whose handlers have names already.
    NameOnType,
    /// Requirements no machine can meet.
    BadResources,
    /// A time limit of zero.
    BadTimeout,
    /// More processes than a machine can have.
    BadIsolation,
    /// A name with no letter or digit in it.
    EmptySlug,
    /// Two functions with one routable name.
    DuplicateName,
}

impl DeclCode {
    /// Name in diagnostics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoHandlers => "no_handlers",
            Self::ProducerStreams => "producer_streams",
            Self::ModelAndSlots => "model_and_slots",
            Self::BadSlot => "bad_slot",
            Self::AmbiguousSlot => "ambiguous_slot",
            Self::UnusedSlot => "unused_slot",
            Self::UnfilledSetup => "unfilled_setup",
            Self::NameOnType => "name_on_type",
            Self::BadResources => "bad_resources",
            Self::BadTimeout => "bad_timeout",
            Self::BadIsolation => "bad_isolation",
            Self::EmptySlug => "empty_slug",
            Self::DuplicateName => "duplicate_name",
        }
    }
}

/// One thing wrong with one endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{endpoint}: {code}: {detail}")]
pub struct DeclError {
    /// Which rule.
    pub code: DeclCode,
    /// Which endpoint: module path and name.
    pub endpoint: String,
    /// What exactly.
    pub detail: String,
}

/// All things wrong, at least one, ordered by endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclErrors(Vec<DeclError>);

impl DeclErrors {
    /// Wraps a list, or says that there is nothing wrong.
    pub(crate) fn check(mut errors: Vec<DeclError>) -> Result<(), Self> {
        if errors.is_empty() {
            return Ok(());
        }
        errors.sort_by(|a, b| a.endpoint.cmp(&b.endpoint));
        Err(Self(errors))
    }

    /// The single errors.
    pub fn iter(&self) -> impl Iterator<Item = &DeclError> {
        self.0.iter()
    }
}

impl fmt::Display for DeclErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            fmt::Display::fmt(error, f)?;
        }
        Ok(())
    }
}

impl std::error::Error for DeclErrors {}

impl fmt::Display for DeclCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
