//! One measured value, as `cargo xtask bench` reads it.

use serde::Serialize;

/// A measured value beside its reference, printed as one line of JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figure {
    /// What ran.
    pub bench: String,
    /// What was measured.
    pub metric: String,
    /// Of `ours` and `reference`.
    pub unit: String,
    /// Our value.
    pub ours: f64,
    /// The other side in the same run.
    pub reference: Option<f64>,
    /// What the other side is.
    pub reference_name: Option<String>,
    /// How the two compare, the way `bar` counts.
    pub ratio: Option<f64>,
    /// What we want, in words.
    pub bar: Option<String>,
    /// Whether we have it.
    pub met: Option<bool>,
}

impl Figure {
    /// A value without anything to compare it with.
    #[must_use]
    pub fn of(bench: &str, metric: &str, unit: &str, ours: f64) -> Self {
        Self { bench: bench.to_owned(), metric: metric.to_owned(), unit: unit.to_owned(), ours, ..Self::default() }
    }

    /// The same, wanted to be at least `bar`.
    #[must_use]
    pub fn at_least(self, bar: f64) -> Self {
        let met = self.ours >= bar;
        Self { bar: Some(format!(">= {bar} {}", self.unit)), met: Some(met), ..self }
    }

    /// The same, wanted to be at most `bar`.
    #[must_use]
    pub fn at_most(self, bar: f64) -> Self {
        let met = self.ours <= bar;
        Self { bar: Some(format!("<= {bar} {}", self.unit)), met: Some(met), ..self }
    }

    /// Prints it.
    pub fn print(&self) {
        println!("{}", serde_json::to_string(self).unwrap_or_default());
    }
}

/// The value that `percent` of `samples` do not exceed (nearest rank); sorts them. 0 without samples.
#[must_use]
pub fn percentile(samples: &mut [f64], percent: usize) -> f64 {
    samples.sort_by(f64::total_cmp);
    let rank = (samples.len() * percent).div_ceil(100);
    samples.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_judged_in_their_direction() {
        let figure = Figure::of("b", "m", "ms", 5.0);
        assert_eq!(figure.clone().at_most(5.0).met, Some(true));
        assert_eq!(figure.clone().at_least(5.5).met, Some(false));
        assert_eq!(figure.met, None);
    }

    #[test]
    fn percentiles_are_samples() {
        let mut samples = [4.0, 1.0, 3.0, 2.0];
        assert_eq!([percentile(&mut samples, 50), percentile(&mut samples, 99)], [2.0, 4.0]);
        assert_eq!(percentile(&mut [], 50), 0.0);
    }
}
