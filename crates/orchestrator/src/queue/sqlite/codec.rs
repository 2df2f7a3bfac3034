//! Structured columns: MessagePack maps, so that fields can be added, and every float comes back as it was.

use serde::{Serialize, de::DeserializeOwned};

use crate::queue::QueueError;

/// Encodes a value of ours.
///
/// # Errors
/// When the value has no encoding; none of the record types is such a value.
pub(super) fn pack<T: Serialize>(value: &T) -> Result<Vec<u8>, QueueError> {
    rmp_serde::to_vec_named(value)
        .map_err(|error| QueueError::Unavailable { operation: "encode a record", source: Box::new(error) })
}

/// Decodes what [`pack`] wrote.
///
/// # Errors
/// When the bytes are not such a value.
pub(super) fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, rmp_serde::decode::Error> {
    rmp_serde::from_slice(bytes)
}
