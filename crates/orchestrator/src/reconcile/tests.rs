use gen_worker_proto::Pair;
use proptest::prelude::*;

use super::{Reconciled, Standing, reconcile};

fn pair(id: &str, attempt: i64) -> Pair {
    Pair::parse(id, attempt).expect("valid id")
}

#[test]
fn o9_each_listed_pair_gets_the_verdict_of_its_standing() {
    let listed = [pair("kept", 1), pair("stale", 1), pair("unknown", 3), pair("adopted", 2), pair("settling", 1)];
    let held = [pair("kept", 1), pair("gone", 1)];
    let plan = reconcile(&listed, &held, |pair| match pair.request_id.as_str() {
        "kept" => Standing::Current,
        "adopted" => Standing::Adoptable,
        "settling" => Standing::Settling,
        _ => Standing::Stale,
    });
    let expected = Reconciled {
        keep: vec![pair("kept", 1)],
        adopt: vec![pair("adopted", 2)],
        cancel: vec![pair("stale", 1), pair("unknown", 3)],
        lost: vec![pair("gone", 1)],
    };
    assert_eq!(plan, expected);
}

#[test]
fn o9_a_listed_older_attempt_does_not_save_the_current_one() {
    let plan = reconcile(&[pair("r", 1)], &[pair("r", 2)], |_| Standing::Stale);
    assert_eq!(plan.cancel, [pair("r", 1)]);
    assert_eq!(plan.lost, [pair("r", 2)]);
}

proptest! {
    /// Every listed pair gets at most one verdict and none is forgotten; what is held is either listed or lost.
    #[test]
    fn o9_nothing_is_forgotten(
        listed in proptest::collection::vec((0_u8..6, 1_i64..4, 0_u8..4), 0..20),
        held in proptest::collection::btree_set((0_u8..6, 1_i64..4), 0..10),
    ) {
        let names: Vec<Pair> = listed.iter().map(|(id, attempt, _)| pair(&id.to_string(), *attempt)).collect();
        let held: Vec<Pair> = held.iter().map(|(id, attempt)| pair(&id.to_string(), *attempt)).collect();
        let plan = reconcile(&names, &held, |pair| match (pair.request_id.as_str().len() + usize::try_from(pair.attempt.0).unwrap_or(0)) % 3 {
            0 => Standing::Current,
            1 => Standing::Adoptable,
            _ => Standing::Stale,
        });
        let unique: std::collections::HashSet<&Pair> = names.iter().collect();
        prop_assert_eq!(plan.keep.len() + plan.adopt.len() + plan.cancel.len(), unique.len());
        for pair in &held {
            prop_assert_eq!(plan.lost.contains(pair), !unique.contains(pair));
        }
    }
}
