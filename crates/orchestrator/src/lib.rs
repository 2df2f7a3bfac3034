//! The orchestrator: takes requests over HTTP, keeps them durably, places them on workers, answers.
//!
//! ```text
//! client --HTTP--> api --enqueue (group commit)--> queue
//!                   \--nudge--> pool loop: scheduler::plan(snapshot) -> assignments
//! session (one task per worker stream) --RunJob--> worker --JobResult--> session
//! session --finish (attempt-fenced)--> queue --announce--> api (long-poll, SSE)
//! ```
//!
//! No worker code is linked here: the two sides meet in `gen-worker-proto`. SQL stays inside `queue/`.

pub mod hub;
pub mod orchestrator;

pub mod api;
pub mod payload;

pub mod session;
pub mod wire;

pub mod lifecycle;
pub mod pool;
pub mod prefetch;
pub mod reconcile;
pub mod scheduler;

pub mod queue;
pub mod request;
