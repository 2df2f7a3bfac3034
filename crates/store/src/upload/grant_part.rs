//! The bytes of one part for a bucket: whole in memory, because their hash is part of the signature. Owns no state.

use bytes::{Bytes, BytesMut};
use gen_worker_hub::api::PartRange;
use object_store::PutPayload;

use super::{
    content::{Source, read_at},
    error::UploadError,
    part_body::{PIECE_BYTES, part_of},
};

/// The ranges of a file of `size_bytes` in parts of `part_bytes`.
pub(super) fn ranges(size_bytes: u64, part_bytes: u64) -> impl Iterator<Item = PartRange> {
    let part_bytes = part_bytes.max(1);
    (1..=size_bytes.div_ceil(part_bytes)).map_while(move |number| {
        let offset = (number - 1).saturating_mul(part_bytes);
        let length = part_bytes.min(size_bytes.saturating_sub(offset));
        Some(PartRange { number: u32::try_from(number).ok()?, offset, length })
    })
}

/// Reads `range`, in pieces that are sent one by one. A file is opened anew. Blocks.
pub(super) fn read(source: &Source, range: PartRange) -> Result<PutPayload, UploadError> {
    let lengths = ranges(range.length, PIECE_BYTES);
    match source {
        Source::Bytes(bytes) => {
            let mut part = part_of(bytes, range);
            Ok(lengths.map(|piece| part.split_to(part.len().min(piece.length as usize))).collect())
        }
        Source::File { path, .. } => {
            let file = source.open(path)?;
            let read = |piece: PartRange| -> Result<Bytes, UploadError> {
                let mut bytes = BytesMut::zeroed(piece.length as usize);
                read_at(&file, path, &mut bytes, range.offset.saturating_add(piece.offset))?;
                Ok(bytes.freeze())
            };
            lengths.map(read).collect::<Result<Vec<_>, _>>().map(PutPayload::from_iter)
        }
    }
}

#[cfg(test)]
mod tests;
