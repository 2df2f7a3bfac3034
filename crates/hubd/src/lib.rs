//! The embedded Hub: repositories of checkpoints, uploads and blobs, over the HTTP of `gen-worker-hub`.
//!
//! ```text
//! request ─> api (who asks, what is meant) ─> metadata (one transaction each) ─┐
//!               └── bytes ─> blobs (hash while they come) ─> object store      ├─> reply
//!                                     keys ────────────────────────────────────┘
//! ```
//! Two stores hold everything: [`metadata::Metadata`] knows names, trees and which object holds which bytes; the object store
//! holds the bytes. An object is written before the metadata names it, under a key that is used once, and deleted after the
//! metadata has forgotten it. So a crash leaves at most objects that nobody names, which [`Hub::tidy`] removes, and the
//! collection of an old blob cannot touch the bytes of a new upload of the same content.
//!
//! Jobs are none of this crate's business: it never imports the orchestrator.

mod api;
pub mod blobs;
pub mod clock;
mod content_kind;
mod disk;
mod grants;
mod hub;
mod limiter;
pub mod metadata;
mod patience;
mod renewal;
mod safetensors;
mod selection;
mod server;
pub mod signing;
mod sigv4;
mod tree;
mod vault;

pub use api::{OperatorToken, router};
pub use content_kind::{ContentKind, NoKind};
pub use hub::{
    Asker, Direct, Hub, HubOptions, HubSetupError, JoinError, Seen, TIDY_EVERY, TidyError, UNUSED_GRACE, Visibility,
};
pub use renewal::{NotRunning, RunningJobs};
pub use server::serve;
