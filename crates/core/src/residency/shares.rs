//! How much of an instance each of its models is, and how much room a load asks for (model contract, 9.12). Pure.

use std::collections::BTreeMap;

/// What each model of an instance takes of `total`. A slot whose model the worker loaded takes what that was measured to
/// take; what handlers loaded themselves shares the remainder equally. All together they are `total`. A ref that several
/// slots name is one model.
pub(crate) fn shares(slots: &[(String, Option<u64>)], total: u64) -> BTreeMap<String, u64> {
    let mut shares = BTreeMap::new();
    let mut left = total;
    for (reference, measured) in slots {
        // What else went on meanwhile may have been measured, too.
        let own = measured.unwrap_or(0).min(left);
        left -= own;
        let share: &mut u64 = shares.entry(reference.clone()).or_default();
        *share += own;
    }
    let unmeasured = slots.iter().filter(|(_, measured)| measured.is_none()).count();
    // Without anybody else the remainder is activations and slack of all.
    let sharing: Vec<_> = slots.iter().filter(|(_, measured)| unmeasured == 0 || measured.is_none()).collect();
    let mut heirs = u64::try_from(sharing.len()).unwrap_or(u64::MAX);
    for (reference, _) in sharing {
        let part = left / heirs;
        (left, heirs) = (left - part, heirs - 1);
        *shares.entry(reference.clone()).or_default() += part;
    }
    shares
}

/// What room is made for before a load: what its models were measured to take, if all of them were; else what the function
/// declares; else what they take on disk.
pub(crate) fn load_size(hints: impl IntoIterator<Item = Option<u64>>, declared: Option<u64>, on_disk: u64) -> u64 {
    let hinted = hints.into_iter().try_fold(0_u64, |sum, hint| Some(sum.saturating_add(hint?)));
    hinted.filter(|bytes| *bytes > 0).or(declared).unwrap_or(on_disk)
}

#[cfg(test)]
mod tests {
    //! Who takes how much.
    use super::*;

    fn of(slots: &[(&str, Option<u64>)], total: u64) -> Vec<(String, u64)> {
        let slots: Vec<_> = slots.iter().map(|(name, measured)| ((*name).to_owned(), *measured)).collect();
        shares(&slots, total).into_iter().collect()
    }

    fn named(shares: &[(&str, u64)]) -> Vec<(String, u64)> {
        shares.iter().map(|(name, share)| ((*name).to_owned(), *share)).collect()
    }

    #[test]
    fn m9_12_what_was_measured_is_booked_and_the_rest_is_shared_equally() {
        assert_eq!(of(&[("a", None)], 7), named(&[("a", 7)]));
        assert_eq!(of(&[("a", Some(4)), ("b", None), ("c", None)], 11), named(&[("a", 4), ("b", 3), ("c", 4)]));
        assert_eq!(of(&[("a", Some(4)), ("b", Some(2))], 10), named(&[("a", 6), ("b", 4)]), "slack is everybody's");
        assert_eq!(of(&[("a", Some(9)), ("b", Some(2))], 10), named(&[("a", 9), ("b", 1)]), "never more than there is");
        assert_eq!(of(&[("a", Some(4)), ("a", None)], 10), named(&[("a", 10)]), "two slots, one model");
        assert_eq!(of(&[], 10), []);
    }

    #[test]
    fn m9_12_room_is_made_for_hints_then_for_what_is_declared() {
        assert_eq!(load_size([Some(3), Some(4)], Some(20), 9), 7);
        assert_eq!(load_size([Some(3), None], Some(20), 9), 20, "a part says nothing of the whole");
        assert_eq!(load_size([Some(3), None], None, 9), 9);
        assert_eq!(load_size([None], None, 9), 9);
        assert_eq!(load_size([Some(0)], Some(20), 9), 20, "nothing was measured");
    }
}
