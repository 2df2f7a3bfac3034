//! Bytes that come with a grant: as one object, or in parts of any size (Hub contract, 4d).

use gen_worker_hub::ServerId;

use super::{Answer, Part};

/// The part of the seam for uploads by grant. An upload has one transfer at most: another one takes its place.
pub trait Transfers {
    /// Begins a transfer in parts. What came before is doomed. False when the upload is not open.
    fn begin_transfer(&self, upload: ServerId, transfer: ServerId, now_s: u64) -> Answer<'_, bool>;

    /// Records a part whose object is written; an earlier object of the same part is doomed. Without a transfer it is the whole
    /// content, in place of everything that came before. False, with the new object doomed, when the upload is not open, when it
    /// has another transfer or a sealed one, or when its parts would have more bytes than were announced.
    fn put_transferred(&self, upload: ServerId, transfer: Option<ServerId>, part: Part, now_s: u64)
    -> Answer<'_, bool>;

    /// Ends a transfer: the objects with `keys` are its parts, others are doomed. The same again answers the same.
    ///
    /// # Errors
    /// [`super::MetadataError::Closed`] when the upload is not open or has another transfer;
    /// [`super::MetadataError::Changed`] when one of `keys` is no part of it.
    fn seal_transfer(&self, upload: ServerId, transfer: ServerId, keys: Vec<String>, now_s: u64) -> Answer<'_, ()>;

    /// Gives a transfer up; its objects are doomed. False when the upload has another one, or a sealed one.
    fn abort_transfer(&self, upload: ServerId, transfer: ServerId) -> Answer<'_, bool>;

    /// The transfer of an open upload that takes parts.
    fn transfer(&self, upload: ServerId) -> Answer<'_, Option<ServerId>>;
}
