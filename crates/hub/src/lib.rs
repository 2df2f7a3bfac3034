//! The Hub contract: what models are called, how their bytes are named, and what is said over HTTP.
//!
//! ```text
//! binding (what an author declares) ──> model_ref (what it means) ──resolve──> snapshot files with digests and addresses
//! ```
//! Everything here but the client is values: no I/O, no clock, no tasks. What comes from outside is parsed once into types
//! that cannot hold nonsense: a [`RepoPath`] never leaves its directory, a [`Blake3Hash`] is 32 bytes, a [`ServerId`] needs no
//! encoding. The bytes themselves belong to the store, the server to `hubd`.

pub mod api;
pub mod binding;
#[cfg(feature = "client")]
pub mod client;
pub mod digest;
pub mod model_ref;
pub mod names;
mod redact;
pub mod repo_path;
pub mod secret;
pub mod snapshot;
pub mod token;

pub use digest::{Blake3Hash, Digest};
pub use model_ref::{HubRef, ModelRef};
pub use names::ServerId;
pub use redact::{REDACTED_CHARS_MAX, redact};
pub use repo_path::RepoPath;
pub use secret::{BearerToken, SignedUrl};
pub use snapshot::Snapshot;
