//! Where the handlers of an endpoint run.

/// Whom a crash of a handler takes along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// The whole worker: handlers run inside it.
    #[default]
    Shared,
    /// Its own call only: every instance lives in a process of its own, which a worker starts, and kills when a handler
    /// ignores its end. Costs a process and a model per concurrent call, and a copy of payload and output. Outside of
    /// a worker (`run`) there is nothing to protect, and handlers run where they are called.
    Process,
}

impl Isolation {
    /// Name in manifests and attributes.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Process => "process",
        }
    }
}
