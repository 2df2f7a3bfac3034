//! A BLAKE3 hash of parts that are hashed apart, on several threads: the hash is a tree, and this is its trunk. Pure functions.

use std::ops::Range;

use blake3::hazmat::{
    ChainingValue, HasherExt as _, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root,
};

use super::Blake3Hash;

/// One content that is hashed in parts.
#[derive(Clone, Debug)]
pub struct Subtrees {
    parts: Vec<Range<u64>>,
}

/// The hash of one part.
#[derive(Clone, Debug)]
pub struct SubtreeHash(State);

#[derive(Clone, Debug)]
enum State {
    /// The part is all of the content.
    Whole(Blake3Hash),
    Part(ChainingValue),
}

/// Hashes one part.
pub struct SubtreeHasher {
    hasher: Box<blake3::Hasher>,
    /// Bytes that were not given yet; none when too many were.
    missing: Option<u64>,
    whole: bool,
}

impl Subtrees {
    /// Cuts a content of `len` bytes into parts of at most `part_bytes`, which is 1024 at least: the tree has no smaller parts.
    #[must_use]
    pub fn of(len: u64, part_bytes: u64) -> Self {
        let (mut parts, mut open) = (Vec::new(), Vec::new());
        open.push(0..len);
        while let Some(part) = open.pop() {
            let bytes = part.end - part.start;
            if bytes <= part_bytes.max(blake3::CHUNK_LEN as u64) {
                parts.push(part);
            } else {
                let middle = part.start + left_subtree_len(bytes);
                open.extend([middle..part.end, part.start..middle]);
            }
        }
        Self { parts }
    }

    /// The parts, in the order of the content.
    #[must_use]
    pub fn parts(&self) -> &[Range<u64>] {
        &self.parts
    }

    /// A hasher of the part `at`; none when there is no such part.
    #[must_use]
    pub fn hasher(&self, at: usize) -> Option<SubtreeHasher> {
        let part = self.parts.get(at)?;
        let mut hasher = Box::<blake3::Hasher>::default();
        hasher.set_input_offset(part.start);
        Some(SubtreeHasher { hasher, missing: Some(part.end - part.start), whole: self.parts.len() == 1 })
    }

    /// The hash of all, whose parts have `hashes`; none when they are not as many.
    #[must_use]
    pub fn join(&self, hashes: &[SubtreeHash]) -> Option<Blake3Hash> {
        if hashes.len() != self.parts.len() {
            return None;
        }
        if let [SubtreeHash(State::Whole(hash))] = hashes {
            return Some(*hash);
        }
        let (left, right) = halves(&self.parts, hashes)?;
        Some(Blake3Hash(*merge_subtrees_root(&left, &right, Mode::Hash).as_bytes()))
    }
}

/// The hashes of both halves of the tree that has these parts.
fn halves(parts: &[Range<u64>], hashes: &[SubtreeHash]) -> Option<(ChainingValue, ChainingValue)> {
    let (first, last) = (parts.first()?, parts.last()?);
    let middle = first.start + left_subtree_len(last.end - first.start);
    let cut = parts.iter().position(|part| part.start == middle)?;
    let half = |range: Range<usize>| match hashes.get(range.clone())? {
        [SubtreeHash(State::Part(value))] => Some(*value),
        hashes => {
            let (left, right) = halves(parts.get(range)?, hashes)?;
            Some(merge_subtrees_non_root(&left, &right, Mode::Hash))
        }
    };
    Some((half(0..cut)?, half(cut..parts.len())?))
}

impl SubtreeHasher {
    /// Hashes the next bytes of the part.
    pub fn update(&mut self, bytes: &[u8]) {
        self.missing = self.missing.and_then(|missing| missing.checked_sub(bytes.len() as u64));
        if self.missing.is_some() {
            self.hasher.update(bytes);
        }
    }

    /// The hash of the part; none when the bytes that were given are not as many as it has.
    #[must_use]
    pub fn finish(self) -> Option<SubtreeHash> {
        let hash = match (self.missing?, self.whole) {
            (0, true) => State::Whole(Blake3Hash(*self.hasher.finalize().as_bytes())),
            (0, false) => State::Part(self.hasher.finalize_non_root()),
            _ => return None,
        };
        Some(SubtreeHash(hash))
    }
}

impl std::fmt::Debug for SubtreeHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SubtreeHasher")
    }
}

#[cfg(test)]
mod tests;
