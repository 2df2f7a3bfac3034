use super::*;

#[test]
fn h3_13_an_address_has_so_many_calls_in_a_minute() {
    let limiter = Limiter::new(2);
    let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
    assert_eq!(limiter.take(one, 60), Ok(()));
    assert_eq!(limiter.take(one, 61), Ok(()));
    assert_eq!(limiter.take(one, 70), Err(50));
    assert_eq!(limiter.take(other, 70), Ok(()));
    assert_eq!(limiter.take(one, 120), Ok(()));
}

#[test]
fn h3_13_a_network_of_ipv6_counts_as_one_address() {
    let limiter = Limiter::new(1);
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    assert_eq!(limiter.take(address("2001:db8::1"), 60), Ok(()));
    assert!(limiter.take(address("2001:db8::2"), 60).is_err());
    assert_eq!(limiter.take(address("2001:db8:0:1::1"), 60), Ok(()));
    assert_eq!(limiter.take(address("10.0.0.1"), 60), Ok(()));
    assert!(limiter.take(address("::ffff:10.0.0.1"), 60).is_err());
}
