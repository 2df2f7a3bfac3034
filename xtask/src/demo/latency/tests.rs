use super::*;

#[test]
fn percentiles_are_samples_by_nearest_rank() {
    let mut samples: Vec<f64> = (1..=200).rev().map(f64::from).collect();
    assert_eq!(describe(&mut samples), "p50 100.00 ms, p99 198.00 ms");
    assert_eq!(describe(&mut [7.0]), "p50 7.00 ms, p99 7.00 ms");
    assert_eq!(describe(&mut []), "not measured");
}
