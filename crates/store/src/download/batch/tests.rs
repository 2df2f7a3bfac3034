use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::*;

/// What a socket was read into; counts how many of them are kept.
struct Buffer(Vec<u8>, Arc<AtomicUsize>);

impl Buffer {
    fn bytes(content: Vec<u8>, kept: &Arc<AtomicUsize>) -> Bytes {
        kept.fetch_add(1, Ordering::Relaxed);
        Bytes::from_owner(Self(content, Arc::clone(kept)))
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::Relaxed);
    }
}

#[test]
fn m6_6_single_bytes_are_one_piece_and_keep_no_buffers() {
    let (mut batch, kept) = (Batch::default(), Arc::default());
    let mut sent = Vec::new();
    while !batch.is_full() {
        let byte = sent.len().to_le_bytes()[0];
        batch.push(Buffer::bytes(vec![byte; 1024], &kept).slice(..1));
        sent.push(byte);
        assert_eq!(kept.load(Ordering::Relaxed), 0);
    }
    let pieces = batch.take();
    assert_eq!((pieces.len(), sent.len()), (1, BATCH_BYTES));
    assert_eq!(pieces[0], sent);
    assert!(batch.take().is_empty() && !batch.is_full());
}

#[test]
fn m6_6_pieces_of_any_size_keep_their_order_and_large_ones_are_not_copied() {
    let (mut batch, kept) = (Batch::default(), Arc::default());
    let sizes = [3, COPIED_BELOW, 1, 2, COPIED_BELOW + 5, 7];
    let mut sent = Vec::new();
    for (at, size) in sizes.into_iter().enumerate() {
        let content = vec![at.to_le_bytes()[0]; size];
        sent.extend_from_slice(&content);
        batch.push(Buffer::bytes(content, &kept));
    }
    assert_eq!(kept.load(Ordering::Relaxed), 2);
    let pieces = batch.take();
    assert_eq!((pieces.len(), pieces.concat()), (5, sent));
}
