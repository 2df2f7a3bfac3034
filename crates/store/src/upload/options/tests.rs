use std::time::Duration;

use super::*;

#[test]
fn h4_24_the_numbers_of_transfers_by_grant_are_those_of_the_contract() {
    let grant = GrantOptions::default();
    let waits: Vec<_> = (1..=4).map(|failures| grant.retry.wait(failures, None, 0.7)).collect();
    assert_eq!(
        waits,
        [1, 2, 4].map(|wait| Some(Duration::from_secs(wait))).into_iter().chain([None]).collect::<Vec<_>>()
    );
    assert_eq!((0..4).map(|failures| grant.at_once(failures)).collect::<Vec<_>>(), [10, 5, 1, 1]);
    assert_eq!((grant.files, grant.part_bytes), (2, 64 << 20));
    assert_eq!(grant.request_retry.attempts, 11, "4.27");
}

#[test]
fn h4_24_something_is_sent_whatever_the_numbers_are() {
    let counts = |parts_at_once| GrantOptions { parts_at_once, ..GrantOptions::default() }.at_once(3);
    assert_eq!((counts(vec![]), counts(vec![0]), counts(vec![9, 8])), (1, 1, 8));
}

#[test]
fn h15_so_much_goes_on_at_once_and_a_file_is_no_larger() {
    let options = UploadOptions::default();
    assert_eq!((options.parts_per_file, options.parts, options.files), (4, 8, 4));
    assert_eq!((options.file_bytes_max, PART_SIZE_DEFAULT), (20 << 30, 64 << 20));
    assert_eq!(options.part_retry, RetryPolicy::PART);
}
