use super::*;

#[test]
fn h7_4_ranges_are_read_as_browsers_write_them() {
    let range = |text| parse_range(text, 10);
    assert_eq!(range("bytes=0-3"), Some(Ok(0..4)));
    assert_eq!(range("bytes=4-"), Some(Ok(4..10)));
    assert_eq!(range("bytes=9-100"), Some(Ok(9..10)));
    assert_eq!(range("bytes=-3"), Some(Ok(7..10)));
    assert_eq!(range("bytes=-100"), Some(Ok(0..10)));
    assert_eq!(range("bytes=10-"), Some(Err(Unsatisfiable)));
    assert_eq!(range("bytes=-0"), Some(Err(Unsatisfiable)));
    for whole in ["", "bytes=", "bytes=3-1", "bytes=0-1,3-4", "lines=0-3", "bytes=a-b", "bytes=0-99999999999999999999"]
    {
        assert_eq!(range(whole), None, "{whole}");
    }
    assert_eq!(parse_range("bytes=0-", 0), Some(Err(Unsatisfiable)));
}
