//! Slots: handlers in processes of their own (`isolation = "process"`).
//!
//! ```text
//!   worker process                                        child process, one per slot
//!   SlotPool ── checkout ──> SlotCall ══ frames, both ways ══ serve_slot ── handler
//!      ^                        │ dropped or cancelled            (its own instance of the type)
//!      └── answered, in time <──┤ Cancel, then the grace
//!      └── killed, replaced  <──┘
//! ```
//! A child runs one call at a time on its own instance. Whatever it does to itself (abort, stack overflow, exit, the
//! kernel's out-of-memory killer) ends that one call and nothing else; whatever it ignores is ended by killing it.
//! A place in the pool is free again only when its child answered or is gone.

pub mod frame;
