//! Files that a job's input names by their address on the web (Hub contract, section 14).
//!
//! ```text
//! address ──scheme, literal──> client ──resolver: all addresses public──> connection ──> capped file in the job's directory
//!                                └──redirect──┘
//! ```
//! Whoever sends a job chooses these addresses, so they may not lead into the network of the worker: names are checked where
//! they are resolved, and a connection goes to an address that was checked, also after a redirect. Owns the connections; the
//! directory and its end are the caller's.

mod error;
mod fetcher;
mod mime;
mod picture;
mod public_address;
mod storage;
mod web;

pub use error::InputError;
pub use fetcher::{InputAsset, InputFetcher, InputOptions, InputRequest};
pub use mime::MimeList;
pub use picture::PictureLimits;
pub use public_address::{AddressRule, is_public};
pub use storage::{NoStorage, StorageBase};
pub(crate) use web::{CheckedNames, checked, refused};
