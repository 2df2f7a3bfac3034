//! Files of the media of a tenant (Hub contract, sections 4 and 11).

use gen_worker_hub::Blake3Hash;

use super::Answer;

/// A file under a ref.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaFile {
    /// Its content.
    pub blake3: Blake3Hash,
    /// Its size.
    pub size_bytes: u64,
    /// SHA-256, where it is known.
    pub sha256: Option<String>,
    /// Kind of content.
    pub mime_type: String,
}

/// The part of the seam for files of media.
pub trait MediaFiles {
    /// The file under a ref.
    fn media_file(&self, owner: String, reference: String) -> Answer<'_, Option<MediaFile>>;
}
