use proptest::prelude::*;

use super::*;

fn secs(seconds: f64) -> Option<Duration> {
    Some(Duration::from_secs_f64(seconds))
}

#[test]
fn h6_5_control_calls_double_up_to_thirty_seconds() {
    let policy = RetryPolicy { attempts: 9, ..RetryPolicy::CONTROL };
    let waits: Vec<_> = (1..9).map(|failures| policy.wait(failures, None, 0.0).unwrap().as_secs()).collect();
    assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
    assert_eq!(policy.wait(1, None, 1.0), secs(1.1));
    assert_eq!(policy.wait(9, None, 0.0), None);
    assert_eq!(RetryPolicy::CONTROL.wait(4, None, 0.0), secs(8.0));
    assert_eq!(RetryPolicy::CONTROL.wait(5, None, 0.0), None);
}

#[test]
fn h6_5_retry_after_replaces_the_wait() {
    let policy = RetryPolicy::CONTROL;
    assert_eq!(policy.wait(1, secs(7.0), 1.0), secs(7.0));
    assert_eq!(policy.wait(1, secs(100.0), 1.0), secs(30.0));
    assert_eq!(policy.wait(1, secs(0.0), 0.0), secs(1.0));
    assert_eq!(policy.wait(5, secs(7.0), 1.0), None);
}

#[test]
fn h4_10_parts_wait_at_random() {
    let bounds: Vec<_> = (1..5)
        .map(|failures| [0.0, 1.0].map(|unit| RetryPolicy::PART.wait(failures, secs(9.0), unit).unwrap().as_millis()))
        .collect();
    assert_eq!(bounds, [[500, 1500], [500, 4500], [500, 13_500], [500, 20_000]]);
    assert_eq!(RetryPolicy::PART.wait(5, None, 0.5), None);
}

#[test]
fn h4_17_a_complete_is_repeated_after_half_a_second() {
    for failures in 1..5 {
        assert_eq!(RetryPolicy::COMPLETE.wait(failures, secs(9.0), 1.0), secs(0.5));
    }
    assert_eq!(RetryPolicy::COMPLETE.wait(5, None, 0.0), None);
}

#[test]
fn h4_18_and_6_6_a_complete_that_runs_is_asked_for_every_five_seconds() {
    for (policy, limit) in [(PollPolicy::UPLOAD_COMPLETE, 600), (PollPolicy::COMMIT_COMPLETE, 1800)] {
        assert_eq!(policy.wait(0, Duration::ZERO), secs(5.0));
        assert_eq!(policy.wait(100, Duration::from_secs(limit - 5)), secs(5.0));
        assert_eq!(policy.wait(100, Duration::from_secs(limit - 4)), None);
    }
}

#[test]
fn h6_8_a_finalize_is_asked_for_less_and_less_often() {
    let waits: Vec<_> =
        (0..8).map(|polls| PollPolicy::FINALIZE.wait(polls, Duration::ZERO).unwrap().as_millis()).collect();
    assert_eq!(waits, [2000, 3000, 4500, 6750, 10_125, 15_000, 15_000, 15_000]);
    assert_eq!(PollPolicy::FINALIZE.wait(7, Duration::from_secs(1786)), None);
}

proptest! {
    #[test]
    fn waits_are_bounded(failures: u32, polls in 0u32..10_000, unit in -1.0f64..2.0, asked: u32) {
        for policy in [RetryPolicy::CONTROL, RetryPolicy::PART, RetryPolicy::COMPLETE] {
            let wait = policy.wait(failures, Some(Duration::from_secs(asked.into())), unit);
            prop_assert_eq!(wait.is_some(), (1..policy.attempts).contains(&failures));
            prop_assert!(wait.unwrap_or_default() <= Duration::from_secs(33));
        }
        let wait = PollPolicy::FINALIZE.wait(polls, Duration::ZERO).unwrap();
        prop_assert!(wait >= PollPolicy::FINALIZE.first && wait <= PollPolicy::FINALIZE.cap);
    }
}
