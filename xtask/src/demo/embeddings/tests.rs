use serde_json::json;

use super::*;

#[test]
fn the_nearest_pair_comes_first_whatever_the_length_of_its_vectors() {
    let vectors = vectors(&json!({"embeddings": [[1.0, 0.0], [0.0, 3.0], [0.1, 20.0]]}), 3).unwrap();
    let pairs = nearest(&vectors);
    assert_eq!(pairs.iter().map(|pair| (pair.1, pair.2)).collect::<Vec<_>>(), [(1, 2), (0, 2), (0, 1)]);
    assert!(pairs[0].0 > 0.9999 && pairs[2].0.abs() < 1e-9, "{pairs:?}");
}

#[test]
fn a_missing_vector_is_noticed() {
    assert!(vectors(&json!({"embeddings": [[1.0]]}), 2).is_err());
    assert!(vectors(&json!({"vectors": []}), 0).is_err());
}
