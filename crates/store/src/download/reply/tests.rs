use super::*;

fn verdict(status: u16, range: Option<&str>, from: u64) -> Verdict {
    Head { status, content_range: range, content_length: None }.verdict(from, Size::Exactly(10))
}

#[test]
fn m6_3_only_the_range_that_was_asked_for_is_taken() {
    assert_eq!(verdict(200, None, 0), Verdict::Take);
    assert_eq!(verdict(200, None, 4), Verdict::Restart);
    for good in ["bytes 4-9/10", "bytes 4-9/*", "bytes 4-6/10", " bytes 4-9/10 "] {
        assert_eq!(verdict(206, Some(good), 4), Verdict::Take, "{good}");
    }
    let bad =
        ["bytes 0-9/10", "bytes 5-9/10", "bytes 4-9/11", "bytes 4-3/10", "bytes 4-12/10", "bytes */10", "4-9/10", ""];
    for bad in bad.map(Some).into_iter().chain([None]) {
        assert_eq!(verdict(206, bad, 4), Verdict::Restart, "{bad:?}");
    }
    assert_eq!(verdict(206, Some("bytes 0-9/10"), 0), Verdict::Again);
}

#[test]
fn m6_4_what_the_client_is_blamed_for_is_final() {
    for status in [400, 401, 403, 404, 410, 451, 499] {
        assert_eq!(verdict(status, None, 4), Verdict::Expired);
    }
    for status in [408, 429, 500, 502, 503, 204, 302] {
        assert_eq!(verdict(status, None, 4), Verdict::Again);
    }
}

#[test]
fn m6_5_a_range_that_cannot_be_given_starts_again_once() {
    assert_eq!(verdict(416, None, 4), Verdict::Restart);
    assert_eq!(verdict(416, None, 0), Verdict::Expired);
}

#[test]
fn m6_6_a_length_that_is_promised_wrong_is_wrong_before_it_comes() {
    let head = |length| Head { status: 200, content_range: None, content_length: Some(length) };
    assert_eq!(head(10).verdict(0, Size::Exactly(10)), Verdict::Take);
    assert_eq!(head(9).verdict(0, Size::Exactly(10)), Verdict::Wrong);
    assert_eq!(head(11).verdict(0, Size::Exactly(10)), Verdict::Wrong);
    assert_eq!(head(11).verdict(0, Size::Unknown), Verdict::Take);
}
