//! Verified, resumable downloads of single files (model contract, 6a).
//!
//! ```text
//! socket ──pieces──> pump ──batches (bounded)──> writer: file + hash ──> synced, renamed
//!            │ stall, overlong                        │ full disk
//!            └──────────────> tries: again? how soon? <┘
//! ```
//! The pump runs on the runtime, the writer on a thread for blocking work; between them are at most
//! twice [`pump::BATCHES_WAITING_MAX`] batches, so a killed process loses less than one chunk of the contract (4 MiB) for each file, and
//! a fast server cannot fill the memory. Owns the connections and the tasks of transfers; the store owns the files.

mod batch;
mod downloader;
mod options;
mod pump;
mod reply;
mod transport;
mod tries;

pub(crate) use downloader::{Downloader, Failure, Job};
pub use options::TransferOptions;
pub use pump::PACE_BYTES;
pub(crate) use tries::random_unit;
