use super::*;

#[test]
fn m6_6_thirty_tries_and_waits_that_double_to_half_a_minute() {
    let options = TransferOptions::default();
    let mut tries = Tries::default();
    let waits: Vec<_> = std::iter::from_fn(|| tries.after(Fault::Passing, Duration::ZERO, 1.0, &options)).collect();
    assert_eq!(waits.len(), 29);
    let seconds: Vec<_> = waits.iter().take(6).map(Duration::as_secs).collect();
    assert_eq!(seconds, [2, 4, 8, 16, 30, 30]);
    let half = Tries::default().after(Fault::Passing, Duration::ZERO, 0.0, &options);
    assert_eq!(half, Some(Duration::from_secs(1)));
}

#[test]
fn m6_6_wrong_bytes_are_tried_three_times() {
    let options = TransferOptions::default();
    let mut tries = Tries::default();
    let mut after = |fault| tries.after(fault, Duration::ZERO, 0.5, &options).is_some();
    assert!(after(Fault::Wrong) && after(Fault::Passing) && after(Fault::Wrong));
    assert!(!after(Fault::Wrong));
}

#[test]
fn m6_6_no_try_starts_after_an_hour() {
    let options = TransferOptions::default();
    let after = |seconds| Tries::default().after(Fault::Passing, Duration::from_secs(seconds), 1.0, &options);
    assert!(after(3598).is_some() && after(3599).is_none());
}

#[test]
fn random_units_differ_and_stay_in_range() {
    let units: Vec<_> = (0..64).map(|_| random_unit()).collect();
    assert!(units.iter().all(|unit| (0.0..1.0).contains(unit)));
    assert!(units.iter().any(|unit| *unit != units[0]));
}
