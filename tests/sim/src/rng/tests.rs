use super::Rng;

#[test]
fn the_numbers_are_those_of_splitmix64() {
    // The reference implementation, seed 1234567.
    let mut rng = Rng::new(1_234_567);
    let want = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
    assert_eq!([rng.next(), rng.next(), rng.next()], want);
}

#[test]
fn ranges_hold_both_ends() {
    let mut rng = Rng::new(1);
    let drawn: std::collections::BTreeSet<u64> = (0..200).map(|_| rng.within(3, 6)).collect();
    assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [3, 4, 5, 6]);
    assert!((0..100).all(|_| rng.percent(100) && !rng.percent(0)));
}
