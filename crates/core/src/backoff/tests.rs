//! The wait is bounded by the ceiling, grows, is capped, and resets only after a long life.
use std::time::Duration;

use proptest::prelude::*;

use super::{Backoff, BackoffOptions, random_unit};

#[test]
fn c21_the_first_wait_is_at_most_a_second_and_none_is_above_thirty() {
    let mut backoff = Backoff::new(BackoffOptions::default());
    let ceilings: Vec<_> = (0..8).map(|_| backoff.next(1.0).as_secs()).collect();
    assert_eq!(ceilings, [1, 2, 4, 8, 16, 30, 30, 30]);
    assert_eq!(backoff.next(0.0), Duration::ZERO);
}

#[test]
fn only_a_long_life_resets_the_count() {
    let mut backoff = Backoff::new(BackoffOptions::default());
    backoff.next(1.0);
    backoff.connection_ended(Duration::from_secs(59));
    assert_eq!(backoff.next(1.0), Duration::from_secs(2));
    backoff.connection_ended(Duration::from_secs(60));
    assert_eq!(backoff.next(1.0), Duration::from_secs(1));
}

proptest! {
    #[test]
    fn every_wait_lies_under_its_ceiling(units in proptest::collection::vec(0.0f64..=1.0, 1..80)) {
        let mut backoff = Backoff::new(BackoffOptions::default());
        for (n, unit) in units.into_iter().enumerate() {
            let ceiling = (1u64 << n.min(10)).min(30);
            prop_assert!(backoff.next(unit) <= Duration::from_secs(ceiling));
        }
    }
}

#[test]
fn random_numbers_lie_in_the_unit_interval_and_differ() {
    let drawn: Vec<_> = (0..32).map(|_| random_unit()).collect();
    assert!(drawn.iter().all(|unit| (0.0..1.0).contains(unit)));
    assert!(drawn.windows(2).any(|pair| pair.first() != pair.last()));
}
