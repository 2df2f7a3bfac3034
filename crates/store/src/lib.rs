//! Bytes on disk: models arrive once, verified, and are where the job is.
//!
//! ```text
//! resolved ref ──> Store::fetch ──> tree: make room, one builder ──> blobs: one download each ──> snapshot directory
//!                                      │ evict: who leaves               │ part, hash, retry         (hard links, atomic)
//!                                      └─ ref index                      └─ locks between processes
//! ```
//! The directory is the state; any number of processes share it, and any of them may be killed at any time. What is in a
//! final place (`blobs/`, `snapshots/<id>`) was hashed, synced and renamed there, so it is complete. What is unfinished has
//! another name, is gone on with by the next who wants it, and is never loaded.
//!
//! Files that a job brings by their address on the web are fetched here too, into the directory of the job and never into
//! the store.
//!
//! Knows nothing of accelerators, tensors or jobs. What is loaded where is the worker's business.

mod assemble;
mod blob;
mod blobs;
mod bucket_object;
mod build;
mod builds;
mod bytes_on_disk;
mod checkpoint;
mod collect;
mod disk_pool;
mod disk_space;
mod download;
mod durable;
mod evict;
mod fetch_error;
mod flight;
mod format_gate;
mod input;
mod integrity;
mod layout;
mod leaving;
mod lock;
mod manifest;
mod merge;
mod parallel_hash;
mod part;
mod progress;
mod providers;
mod quarantine;
mod ref_index;
mod remembered;
mod room;
mod safetensors;
mod snapshots;
mod store;
mod sweep;
mod tree;
mod unfinished;
mod upload;
mod verify;
mod wanted;

pub use disk_space::{DiskSpace, FileSystemSpace};
pub use download::{PACE_BYTES, TransferOptions};
pub use evict::{Candidate, plan};
pub use fetch_error::{FetchError, FetchFailure};
pub use format_gate::{FormatError, check_headers, check_names};
pub use input::{
    AddressRule, InputAsset, InputError, InputFetcher, InputOptions, InputRequest, MimeList, NoStorage, PictureLimits,
    StorageBase, is_public,
};
pub use layout::Layout;
pub use progress::{Progress, Transferred, Unheard};
pub use providers::{
    CivitaiOptions, Classified, HuggingFaceOptions, Ingest, LegacySelection, ModelRequest, ModelScopeOptions,
    ProviderError, ProviderOptions, Reach, Refusal, RefusalReason, SelectError, Strategy, classify,
};
pub use ref_index::StoredModel;
pub use safetensors::{HeaderError, check_header, check_safetensors, header_metadata, tensor_dtypes, tensor_names};
pub use store::{
    DiskUsage, Evictable, FormatGate, HeldModel, Store, StoreObserver, StoreOptions, Unobserved, Verified,
};
pub use tree::TreeError;
pub use upload::{
    CommitFile, CommitSender, Delivered, Destination, GrantOptions, Upload, UploadContent, UploadError, UploadFailure,
    UploadOptions, UploadPhase, Uploader,
};
pub use wanted::{Expected, GitBlobId, SIZE_SLACK_BYTES, Size};
