//! One worker stream: the Hello gate, then a reader that turns messages into reports for the owner loop. The writing
//! side belongs to the owner alone (`outbound`); the reader never waits for it, so that a worker that is blocked
//! on its own sends is always read.
//!
//! ```text
//! worker --WorkerMessage--> tonic --> reader: gate, parse, batch --Input--> owner loop
//! worker <-SchedulerMessage- tonic <-- OutboundStream <-- bounded channel -- owner loop
//! ```

mod gate;
pub(crate) mod outbound;
mod outputs;
mod reader;
pub(crate) mod report;

pub(crate) use gate::bearer;
pub use gate::{Identity, OpenGate, TokenGate, TokenRefused, WorkerVerifier};
pub(crate) use reader::{Owner, SessionId, run};
