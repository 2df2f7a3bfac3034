//! The pool: every live request, every worker, and the one loop that owns them.
//!
//! ```text
//! Handle (api, in-process callers) --Input--> owner loop --RunJob, CancelJob, Drain--> session writers
//! session readers (one per stream) --Input--> owner loop --batches of changes--> queue
//!                                             owner loop --events--> subscriptions, waiters
//! ```
//!
//! The owner never waits for anybody: stores are futures it polls, workers and readers have bounded buffers whose
//! overflow closes a stream or becomes a gap. Decisions are plain functions in `lifecycle`, `reconcile` and
//! `scheduler`.

mod clock;
mod declared;
mod event;
mod handle;
mod held;
pub(crate) mod input;
mod lanes;
mod live;
mod near;
mod operations;
mod options;
mod owner;
mod ring;
mod roster;
mod sequence;
mod snapshots;
mod start;
mod subscription;
mod timers;
mod view;
mod views;

pub use event::{Event, EventId, EventIdError};
pub use handle::Handle;
pub use options::{Options, RETRY_PAUSE_MAX};
pub use owner::RecoverError;
pub use start::start;
pub use subscription::Subscription;
pub use views::{
    CancelOutcome, Counters, DeclaredModel, DegradedView, DisabledView, FunctionManifest, FunctionView, ModelPlaceView,
    ModelView, PoolError, ResidencyView, ResourcesView, SubmitError, Submitted, WorkerView,
};
