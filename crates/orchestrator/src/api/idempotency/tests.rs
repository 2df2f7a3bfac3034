use axum::http::{HeaderMap, HeaderValue};

use super::{Key, PERIOD_MS, UnixMs};

fn key<'a>(headers: &'a HeaderMap, tenant: &'a str, now: i64) -> Key<'a> {
    Key::read(headers, tenant, UnixMs(now)).unwrap().unwrap()
}

#[test]
fn p2_the_id_follows_from_tenant_key_and_day() {
    let headers = |text| HeaderMap::from_iter([("idempotency-key".parse().unwrap(), HeaderValue::from_static(text))]);
    let (k, other) = (headers("k"), headers("l"));
    let id = key(&k, "dev", 1).id();
    assert_eq!(id.as_str().len(), 36);
    assert_eq!(key(&k, "dev", PERIOD_MS - 1).id(), id);
    assert_ne!(key(&k, "dev", PERIOD_MS).id(), id);
    assert_ne!(key(&k, "tenant", 1).id(), id);
    assert_ne!(key(&other, "dev", 1).id(), id);
    let later = key(&k, "dev", PERIOD_MS);
    assert_eq!(later.id_in(later.period - 1), id);
}

#[test]
fn keys_are_bounded() {
    let long = "k".repeat(256);
    let headers = HeaderMap::from_iter([("idempotency-key".parse().unwrap(), long.parse().unwrap())]);
    assert!(Key::read(&headers, "dev", UnixMs(0)).is_err());
    assert!(Key::read(&HeaderMap::new(), "dev", UnixMs(0)).unwrap().is_none());
}
