use super::*;

#[test]
fn m6_6_pieces_of_any_size_fill_batches_of_one_size_in_their_order() {
    let sent: Vec<u8> = (0u32..400_000).flat_map(u32::to_le_bytes).collect();
    let sizes = [1, 3, BATCH_BYTES, 7, BATCH_BYTES * 2 + 5, BATCH_BYTES - 1, 1].into_iter().cycle();
    let (mut rest, mut batch, mut got) = (Bytes::from(sent.clone()), Batch::new(u64::MAX), Vec::new());
    for size in sizes {
        let mut piece = rest.split_to(size.min(rest.len()));
        while !piece.is_empty() {
            batch.fill(&mut piece);
            if batch.is_full() {
                assert_eq!(batch.bytes().len(), BATCH_BYTES);
                got.extend_from_slice(batch.bytes());
                batch = batch.emptied();
            }
        }
        if rest.is_empty() {
            break;
        }
    }
    got.extend_from_slice(batch.bytes());
    assert!(got == sent);
}

#[test]
fn m6_6_a_batch_keeps_no_piece_and_no_more_memory_than_its_own() {
    let mut batch = Batch::new(u64::MAX);
    let mut buffer = Bytes::from(vec![7; BATCH_BYTES * 2]);
    batch.fill(&mut buffer);
    batch.fill(&mut buffer);
    assert_eq!((batch.bytes().len(), buffer.len()), (BATCH_BYTES, BATCH_BYTES));
    assert!(buffer.is_unique());
    assert_eq!(batch.emptied().0.capacity(), BATCH_BYTES);
}
