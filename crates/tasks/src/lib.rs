//! Owned tasks.
//!
//! Nothing in the workspace spawns except through a [`Scope`]: every task then has a name, an owner that joins
//! it, and two grades of cancel. [`Cancel::stop`] asks for a clean finish, [`Cancel::kill`] drops the task where
//! it waits. Scopes form a tree: cancelling a parent cancels its children, never the other way round.
//!
//! ```text
//!   Scope("worker") ── stop ──> children finish what they hold
//!      ├── task "link"          ── kill ──> futures are dropped at their next await
//!      └── Scope("jobs") ── task "job" ...
//! ```

mod cancel;
mod scope;

pub use cancel::Cancel;
pub use scope::{JoinOutcome, OnError, Scope, TaskError};
