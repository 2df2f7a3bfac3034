use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::secret::BearerToken;

const NOW_S: u64 = 1_800_000_000;

fn claims() -> CapabilityClaims {
    CapabilityClaims {
        sub: "worker-1".into(),
        tenant: "acme".into(),
        request_id: "r1".into(),
        attempt: 2,
        kind: Workload::Inference,
        grants: vec!["media:write:Acme/*".parse().unwrap(), "repo:read:acme/paint".parse().unwrap()],
        limits: ByteLimits { total: Some(100), per_file: None },
        iat: NOW_S,
        exp: NOW_S + 3600,
    }
}

fn signer(seed: u8) -> TokenSigner {
    TokenSigner::from_seed(&[seed; 32]).unwrap()
}

fn unsigned(claims: &serde_json::Value) -> BearerToken {
    format!("{}.{}.x", encode(HEADER.as_bytes()), encode(claims.to_string().as_bytes())).parse().unwrap()
}

#[test]
fn h9_7_what_is_signed_is_read() {
    let token = signer(1).sign(&claims()).unwrap();
    assert_eq!(signer(1).check().verify(&token, NOW_S), Ok(claims()));
    // Several keys, while one replaces the other.
    let both = TokenCheck::new(&[&[2; 32], &[1; 32]]).unwrap();
    assert_eq!(both.verify(&token, NOW_S), Ok(claims()));
    assert_eq!(signer(2).check().verify(&token, NOW_S), Err(TokenError::Signature));
    assert!(TokenCheck::new(&[]).is_err() && TokenCheck::new(&[b"short"]).is_err());
}

#[test]
fn h9_7_no_header_chooses_the_algorithm() {
    let token = signer(1).sign(&claims()).unwrap();
    let rest = token.reveal().split_once('.').unwrap().1;
    for header in [r#"{"alg":"none"}"#, r#"{"alg":"EdDSA"}"#, r#"{"alg":"HS256","crit":["b64"]}"#] {
        let forged: BearerToken = format!("{}.{rest}", encode(header.as_bytes())).parse().unwrap();
        assert_eq!(signer(1).check().verify(&forged, NOW_S), Err(TokenError::Algorithm));
    }
    for text in ["a", "a.b", "a.b.c", "..", &format!("{}.e30.", encode(HEADER.as_bytes()))] {
        let found = signer(1).check().verify(&text.parse().unwrap(), NOW_S);
        assert!(matches!(found, Err(TokenError::Form | TokenError::Signature)), "{text}");
    }
}

#[test]
fn h9_2_lifetimes_by_workload() {
    let hours = |kind: Workload| kind.ttl().as_secs() / 3600;
    assert_eq!([Workload::Inference, Workload::Conversion, Workload::Training].map(hours), [1, 24, 168]);
}

#[test]
fn h9_4_an_old_token_can_be_renewed_for_five_minutes() {
    let check = signer(1).check();
    let token = signer(1).sign(&claims()).unwrap();
    let end = claims().exp;
    assert!(check.verify(&token, end - 1).is_ok());
    assert_eq!(check.verify(&token, end), Err(TokenError::Expired));
    assert!(check.verify_for_renewal(&token, end + 299).is_ok());
    assert_eq!(check.verify_for_renewal(&token, end + 300), Err(TokenError::Expired));
    assert!(check.verify(&token, NOW_S - 60).is_ok());
    assert_eq!(check.verify(&token, NOW_S - 61), Err(TokenError::NotYet));
}

#[test]
fn h9_5_tokens_are_renewed_after_four_fifths() {
    let wait = |now_s| renewal_wait(NOW_S, NOW_S + 3600, now_s).as_secs();
    assert_eq!([wait(NOW_S), wait(NOW_S + 2000), wait(NOW_S + 2880), wait(NOW_S + 9000)], [2880, 880, 1, 1]);
    // A clock that is behind, and claims that are nonsense.
    assert_eq!([wait(NOW_S - 9), renewal_wait(9, 3, 5).as_secs()], [2880, 1]);
    assert!(renewal_wait(0, u64::MAX, 0) > std::time::Duration::from_secs(1));
}

#[test]
fn h9_5_failures_that_may_pass_are_tried_thrice_again() {
    let again = |failures| match after_failed_renewal(failures, Some(503)) {
        AfterFailure::Again(wait) => wait.as_secs(),
        AfterFailure::Stop => 0,
    };
    assert_eq!([1, 2, 3, 4].map(again), [5, 10, 15, 0]);
    assert_eq!(after_failed_renewal(1, None), AfterFailure::Again(std::time::Duration::from_secs(5)));
    for status in [401, 403, 404, 409] {
        assert_eq!(after_failed_renewal(1, Some(status)), AfterFailure::Stop);
    }
}

#[test]
fn h9_1_limits_are_read_without_a_key() {
    let read = ByteLimits::read_unverified;
    assert_eq!(read(&signer(1).sign(&claims()).unwrap()), claims().limits);
    let both = json!({"max_total_bytes": 7, "max_bytes_per_file": "8"});
    assert_eq!(read(&unsigned(&both)), ByteLimits { total: Some(7), per_file: Some(8) });
    for none in
        [json!({}), json!({"max_total_bytes": 0, "max_bytes_per_file": -4}), json!({"max_total_bytes": null}), json!(3)]
    {
        assert_eq!(read(&unsigned(&none)), ByteLimits::default(), "{none}");
    }
    assert_eq!(read(&"opaque".parse().unwrap()), ByteLimits::default());
}

#[test]
fn h1_5_grants_cover_what_they_name() {
    let claims = claims();
    assert!(claims.allows(Area::Media, Right::Write, "ACME", "anything"));
    assert!(claims.allows(Area::Media, Right::Read, "acme", "x"));
    assert!(claims.allows(Area::Repo, Right::Read, "acme", "Paint"));
    assert!(!claims.allows(Area::Repo, Right::Write, "acme", "paint"));
    assert!(!claims.allows(Area::Repo, Right::Read, "acme", "other"));
    assert!(!claims.allows(Area::Media, Right::Read, "other", "x"));
    assert!(!claims.allows(Area::Dataset, Right::Read, "acme", "x"));
}

#[test]
fn h9_7_what_is_no_grant_is_refused() {
    for text in
        ["", "repo", "repo:read", "repo:read:acme", "repo:read:*/x", "repo:all:a/b", "x:read:a/b", "repo:read:a/b/c"]
    {
        assert_eq!(text.parse::<Grant>(), Err(GrantError), "{text}");
    }
    assert_eq!("repo:write:A/B".parse::<Grant>().unwrap().to_string(), "repo:write:a/b");
}

proptest! {
    #[test]
    fn a_changed_token_is_refused(at in 0usize..400, to in "[A-Za-z0-9_.-]") {
        let token = signer(1).sign(&claims()).unwrap();
        let mut text = token.reveal().to_owned();
        let at = at % text.len();
        prop_assume!(text.get(at..=at) != Some(to.as_str()));
        text.replace_range(at..=at, &to);
        let changed: BearerToken = text.parse().unwrap();
        prop_assert!(signer(1).check().verify(&changed, NOW_S).is_err());
    }
}

#[test]
fn h13_10_a_role_is_for_one_tenant_and_its_token_for_a_time() {
    let claims = RoleClaims {
        sub: "ann".into(),
        tenant: "Acme".into(),
        roles: vec![Role::Publisher],
        iat: NOW_S,
        exp: NOW_S + 60,
    };
    assert!(claims.has(Role::Publisher, "acme") && !claims.has(Role::Promoter, "acme"));
    assert!(!claims.has(Role::Publisher, "other") && !claims.is_of("other"));
    let (token, check) = (signer(1).sign_role(&claims).unwrap(), signer(1).check());
    assert_eq!(check.verify_role(&token, NOW_S), Ok(claims));
    assert_eq!(check.verify_role(&token, NOW_S + 60), Err(TokenError::Expired));
    assert_eq!(check.verify_role(&token, NOW_S - 61), Err(TokenError::NotYet));
    assert_eq!(signer(2).check().verify_role(&token, NOW_S), Err(TokenError::Signature));
    // Even with one key neither kind is the other.
    assert_eq!(check.verify(&token, NOW_S), Err(TokenError::Form));
    let capability = signer(1).sign(&self::claims()).unwrap();
    assert_eq!(check.verify_role(&capability, NOW_S), Err(TokenError::Form));
}
