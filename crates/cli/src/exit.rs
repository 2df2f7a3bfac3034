//! How a command ends: the exit codes of the contract, and an error that carries one.

use std::{fmt, process::ExitCode};

/// The closed set of exit codes (contract of the command line, section 2; 70 is the worker's own).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It worked.
    Success,
    /// Endpoint code failed, or a worker met a fatal refusal.
    Failed,
    /// The caller asked for something that cannot be: bad flag, payload, name, address.
    Usage,
    /// A model could not be resolved.
    Model,
    /// A blocking handler ignored its deadline and holds a thread for good.
    Stuck,
    /// Ctrl-C, or the request was cancelled.
    Interrupted,
}

impl Exit {
    /// The number that the parent process sees.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Model => 3,
            Self::Stuck => 70,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command did not succeed: what the user reads, and the code that the process ends with.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    /// A failure with its code. `message` is a fragment: the sink puts the command in front of each of its lines.
    #[must_use]
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    /// The caller's mistake: exit 2.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Endpoint code or the system failed: exit 1.
    #[must_use]
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// A model is missing: exit 3.
    #[must_use]
    pub fn model(message: impl fmt::Display) -> Self {
        Self::new(Exit::Model, format!("model resolution failed: {message}"))
    }

    /// The code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// The text, possibly of several lines.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// What a command returns.
pub(crate) type Outcome = Result<Exit, Failure>;

/// An error with every cause behind it, in one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some errors repeat their source in their own text; saying it twice helps nobody.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
