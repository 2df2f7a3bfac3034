//! Slots: handlers in processes of their own (`isolation = "process"`).
//!
//! ```text
//!   worker process                                        child process, one per slot
//!   SlotPool ── lease ──> SlotCall ═══ frames, both ways ═══ serve_slot ── handler
//!      ^                     │ dropped or cancelled               (its own instance of the type)
//!      └─ answered in time <─┤ Cancel, then the grace
//!      └─ killed, replaced <─┘
//! ```
//! A child runs one call at a time on its own instance. Whatever it does to itself (abort, stack overflow, exit, the
//! kernel's out-of-memory killer) ends that one call and nothing else; whatever it ignores is ended by killing it.
//! A place in the pool is free again only when its child answered or is gone.

pub mod frame;

mod attach;
mod call;
mod child;
mod counters;
mod crashes;
mod frame_io;
mod held;
mod in_memory;
mod launcher;
mod options;
mod parent;
mod pool;
mod saves;
mod translate;

pub(crate) use attach::attach;
pub use child::{SlotServeError, serve_slot};
pub use counters::{SlotCounters, SlotCounts};
pub use frame_io::SlotIoError;
pub use in_memory::InMemorySlots;
pub use launcher::{LaunchedSlot, SlotChild, SlotExit, SlotIo, SlotLauncher};
pub use options::SlotOptions;

#[cfg(test)]
mod tests;
