use super::*;
use crate::packing::TokenSequence;

const HIDDEN: [f32; 6] = [1.0, -2.0, 3.0, 4.0, 5.0, -6.0];

fn pooled(pooling: Pooling, normalize: bool) -> Vec<f32> {
    let sequence = |length| TokenSequence { ids: vec![0; length], segments: vec![0; length] };
    let batch = PackedBatch::new(&[sequence(2), sequence(0), sequence(1)]);
    let mut vectors = Vec::new();
    pool(pooling, normalize, &batch, &HIDDEN, 2, &mut vectors);
    vectors
}

#[test]
fn each_mode_pools_the_rows_of_its_text() {
    assert_eq!(pooled(Pooling::Mean, false), [2.0, 1.0, 0.0, 0.0, 5.0, -6.0]);
    assert_eq!(pooled(Pooling::Cls, false), [1.0, -2.0, 0.0, 0.0, 5.0, -6.0]);
    assert_eq!(pooled(Pooling::Max, false), [3.0, 4.0, 0.0, 0.0, 5.0, -6.0]);
    let root = 1.0 / 2.0_f32.sqrt();
    assert_eq!(pooled(Pooling::MeanSqrtLen, false), [4.0 * root, 2.0 * root, 0.0, 0.0, 5.0, -6.0]);
}

#[test]
fn normalized_vectors_have_length_one_and_zero_stays_zero() {
    let vectors = pooled(Pooling::Max, true);
    assert_eq!(vectors[..4], [0.6, 0.8, 0.0, 0.0]);
}
