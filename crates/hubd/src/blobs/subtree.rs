//! The hash of a content from the hashes of its parts. BLAKE3 is a tree: parts of one size, a power of two, are subtrees of it.

use blake3::hazmat::{ChainingValue, Mode, merge_subtrees_non_root, merge_subtrees_root};
use gen_worker_hub::Blake3Hash;

/// The hash of a content whose parts, all of one size that is a power of two but for the last, have these chaining values. None
/// for no parts; of one part its own value, which then is the hash already.
#[must_use]
pub fn merge(parts: &[Blake3Hash]) -> Option<Blake3Hash> {
    match parts {
        [] => None,
        [only] => Some(*only),
        _ => {
            let (left, right) = split(parts);
            let root = merge_subtrees_root(&chain(left)?, &chain(right)?, Mode::Hash);
            Some(Blake3Hash::from_bytes(*root.as_bytes()))
        }
    }
}

fn chain(parts: &[Blake3Hash]) -> Option<ChainingValue> {
    match parts {
        [] => None,
        [only] => Some(*only.as_bytes()),
        _ => {
            let (left, right) = split(parts);
            Some(merge_subtrees_non_root(&chain(left)?, &chain(right)?, Mode::Hash))
        }
    }
}

/// The left subtree is the largest full one that leaves something to the right.
fn split(parts: &[Blake3Hash]) -> (&[Blake3Hash], &[Blake3Hash]) {
    parts.split_at(parts.len().div_ceil(2).next_power_of_two().min(parts.len()))
}
