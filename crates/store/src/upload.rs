//! Uploads to a hub: files of any size and bytes in memory (Hub contract, section 4), and files of commits (section 6).
//!
//! ```text
//! content ──hash──> create ──> dedup ───────────────────────────────> the hub has it
//!                     ├─> parts: reader ──pieces (bounded)──> PUT … ──> complete ──┘
//!                     │             └ failed or dropped: the upload is given up at the hub
//!                     └─> grant: object store ──────────────────────> complete
//! ```
//! An upload that is dropped ends its requests, and a task of the uploader's scope tells the hub. Nothing is visible under
//! its name before the hub has verified all of it. Owns the connections of transfers and the readers of files; tokens,
//! calls and their answers are the hub client's.

mod bucket;
mod bucket_http;
mod commit_file;
mod content;
mod delivery;
mod error;
mod forsake;
mod grant;
mod grant_part;
mod options;
mod pace;
mod part;
mod part_body;
mod part_connections;
mod parts;
mod uploader;

pub use commit_file::{CommitFile, CommitSender};
pub use content::UploadContent;
pub use delivery::{Delivered, Destination};
pub use error::{UploadError, UploadFailure, UploadPhase};
pub use options::{GrantOptions, UploadOptions};
pub use uploader::{Upload, Uploader};
