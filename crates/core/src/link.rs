//! One connection to the orchestrator: dial, handshake, stream. Composition of its parts.
//!
//! ```text
//!   dial ──> Transport ──open(Hello)──> HelloAck ──> Live ──┬─ poll_messages: inbound, in batches
//!                                                           └─ outbound: the writer asks the send queue
//! ```
//! Owns the transport of one attempt. Decides nothing about what comes after it: that is [`RedialPolicy`].

mod codec;
mod dial;
mod encode;
mod failure;
mod flushed_io;
mod live;
mod outbound;
mod redial;

pub use dial::{Dial, DialedIo, TcpDial};
pub(crate) use dial::{DialOptions, Transport, dial};
pub(crate) use encode::encode;
pub(crate) use failure::LinkFailure;
pub(crate) use live::{Live, open};
pub use redial::{FatalRefusal, RedialOptions};
pub(crate) use redial::{RedialPolicy, Verdict};

#[cfg(test)]
mod tests;
