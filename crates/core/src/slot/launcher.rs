//! Starting the child of a slot: the seam to the system.

use std::{fmt, io};

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

/// A byte stream between the two ends of a slot. What is written needs no flush to arrive.
pub trait SlotIo: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> SlotIo for T {}

/// Starts children that serve slots ([`super::serve_slot`]).
pub trait SlotLauncher: Send + Sync {
    /// Starts one. It says Hello by itself.
    ///
    /// # Errors
    /// When the system has no process to give.
    ///
    /// # Cancel safety
    /// The future may be dropped: no child is left behind.
    fn launch(&self) -> BoxFuture<'static, io::Result<LaunchedSlot>>;
}

/// A child that was started.
pub struct LaunchedSlot {
    /// Our end of its stream. Its end ends with the child.
    pub stream: Box<dyn SlotIo>,
    /// The child itself.
    pub child: Box<dyn SlotChild>,
}

/// A child. One that is dropped is killed.
pub trait SlotChild: Send {
    /// Whether it has ended. Quick.
    fn has_ended(&mut self) -> bool;

    /// Ends it at once, whatever it does. Idempotent; does not wait.
    fn kill(&mut self);

    /// Waits for its end; says it again when asked again.
    ///
    /// # Cancel safety
    /// May be dropped and asked again.
    fn wait(&mut self) -> BoxFuture<'_, SlotExit>;
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotExit {
    /// By itself, with this code.
    Code(i32),
    /// By a signal of this number.
    Signal(i32),
    /// Nobody knows.
    Unknown,
}

/// The signals that end handlers, by what they usually mean. Numbers of Linux, which are those of every system for
/// the first fifteen except the bus error.
const SIGNALS: [(i32, &str); 9] = [
    (4, "SIGILL"),
    (5, "SIGTRAP"),
    (6, "SIGABRT"),
    (7, "SIGBUS"),
    (8, "SIGFPE"),
    (9, "SIGKILL"),
    (11, "SIGSEGV"),
    (15, "SIGTERM"),
    (24, "SIGXCPU"),
];

impl fmt::Display for SlotExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(number) => match SIGNALS.iter().find(|(known, _)| known == number) {
                Some((_, name)) => write!(f, "signal {number} ({name})"),
                None => write!(f, "signal {number}"),
            },
            Self::Unknown => f.write_str("unknown status"),
        }
    }
}

impl fmt::Debug for LaunchedSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaunchedSlot").finish_non_exhaustive()
    }
}
