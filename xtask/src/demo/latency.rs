//! Percentiles of measured times.

/// `p50 1.23 ms, p99 4.56 ms`; sorts the samples.
pub(super) fn describe(samples_ms: &mut [f64]) -> String {
    samples_ms.sort_by(f64::total_cmp);
    match (percentile(samples_ms, 50), percentile(samples_ms, 99)) {
        (Some(median), Some(tail)) => format!("p50 {median:.2} ms, p99 {tail:.2} ms"),
        _ => "not measured".to_owned(),
    }
}

/// The smallest sample that at least `percent` of all do not exceed (nearest rank). The samples are sorted.
fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests;
