use super::*;

#[test]
fn a_clock_that_follows_another_tells_its_time_and_all_its_clones_do() {
    let (right, wrong) = (Clock::system(), Clock::system_ahead(3_600));
    let clone = wrong.clone();
    let by = wrong.follow(right.now_s());
    assert!((-3_601..=-3_599).contains(&by), "{by}");
    assert!(clone.now_s().abs_diff(right.now_s()) <= 1);
    let again = clone.follow(right.now_s() + 100);
    assert!((99..=101).contains(&again), "{again}");
    assert!(wrong.now_s().abs_diff(right.now_s() + 100) <= 1);
    let standing = Clock::standing(7);
    assert_eq!((standing.follow(9_000), standing.now_s()), (0, 7));
}
