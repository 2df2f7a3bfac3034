use super::timestamp;

#[test]
fn timestamps_have_three_forms() {
    let text = |data: &[u8]| timestamp(data);
    assert_eq!(text(&1_700_000_000_u32.to_be_bytes()).unwrap(), "2023-11-14T22:13:20Z");
    let nanos_and_seconds = (500_000_000_u64 << 34) | 1_700_000_000;
    assert_eq!(text(&nanos_and_seconds.to_be_bytes()).unwrap(), "2023-11-14T22:13:20.5Z");
    let early = [&500_000_000_u32.to_be_bytes()[..], &(-1_i64).to_be_bytes()].concat();
    assert_eq!(text(&early).unwrap(), "1969-12-31T23:59:59.5Z");
}

#[test]
fn broken_timestamps_are_no_timestamps() {
    assert_eq!(timestamp(&[]), None);
    assert_eq!(timestamp(&[1, 2, 3]), None);
    assert_eq!(timestamp(&[0xff; 8]), None);
    assert_eq!(timestamp(&[0xff; 12]), None);
}
