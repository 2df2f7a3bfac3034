use super::*;

fn sequence(length: usize) -> TokenSequence {
    TokenSequence { ids: (0..length as u32).collect(), segments: vec![0; length] }
}

#[test]
fn rows_know_their_sequence_and_position() {
    let batch = PackedBatch::new(&[sequence(2), sequence(0), sequence(3)]);
    assert_eq!((batch.rows(), batch.sequences()), (5, 3));
    assert_eq!(batch.sequence(1), 2..2);
    let tokens: Vec<_> = batch.tokens(1..4).collect();
    assert_eq!(tokens, [(1, 0, 1), (0, 0, 0), (1, 0, 1)]);
}

#[test]
fn overlaps_cut_sequences_at_the_block() {
    let batch = PackedBatch::new(&[sequence(4), sequence(0), sequence(3), sequence(2)]);
    assert_eq!(batch.overlaps(2..6).collect::<Vec<_>>(), [(0..4, 2..4), (4..7, 4..6)]);
    assert_eq!(batch.overlaps(7..9).collect::<Vec<_>>(), [(7..9, 7..9)]);
    assert_eq!(PackedBatch::new(&[]).overlaps(0..0).count(), 0);
}

#[test]
fn passes_keep_order_and_budget() {
    assert_eq!(passes(&[3, 3, 3, 9, 1], 6), [0..2, 2..3, 3..4, 4..5]);
    assert_eq!(passes(&[0, 0, 0], 1).len(), 1);
    assert_eq!(passes(&[], 6), Vec::<Range<usize>>::new());
}
