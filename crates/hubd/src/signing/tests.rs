use super::*;

const PATH: &str = "/api/v1/parts/u1/1";

fn signer(fill: u8) -> UrlSigner {
    UrlSigner::new(&[fill; SECRET_BYTES], "http://hub.test/base/")
}

fn query_of(url: &SignedUrl) -> String {
    url.reveal().split_once('?').unwrap().1.to_owned()
}

#[test]
fn h3_9_an_address_counts_for_its_method_path_and_time_only() {
    let url = signer(1).sign(Use::Write, PATH, 100).unwrap();
    assert_eq!(url.without_query(), "http://hub.test/base/api/v1/parts/u1/1");
    let query = query_of(&url);
    let check = |right, path, now_s| signer(1).check(right, path, &query, now_s);
    assert_eq!(check(Use::Write, PATH, 99), Ok(None));
    assert_eq!(check(Use::Write, PATH, 100), Err(SignatureError::Expired));
    assert_eq!(check(Use::Read, PATH, 99), Err(SignatureError::Wrong));
    assert_eq!(check(Use::Write, "/api/v1/parts/u1/2", 99), Err(SignatureError::Wrong));
    assert_eq!(signer(2).check(Use::Write, PATH, &query, 99), Err(SignatureError::Wrong));
}

#[test]
fn h3_9_a_later_end_is_not_signed() {
    let query = query_of(&signer(1).sign(Use::Read, PATH, 100).unwrap()).replace("expires=100", "expires=900");
    assert_eq!(signer(1).check(Use::Read, PATH, &query, 99), Err(SignatureError::Wrong));
    for bad in ["", "expires=900", "expires=900&signature=00", "expires=x&signature=", "signature=é"] {
        assert_eq!(signer(1).check(Use::Read, PATH, bad, 99), Err(SignatureError::Wrong));
    }
}

#[test]
fn h3_9_an_address_tells_the_kind_that_was_signed_with_it_and_no_other() {
    let kind: ContentKind = "image/svg+xml".parse().unwrap();
    let check = |right, query: &str| signer(1).check(right, PATH, query, 99);
    let typed = query_of(&signer(1).sign_content(PATH, Some(&kind), 100).unwrap());
    assert_eq!(check(Use::Read, &typed), Ok(Some(kind.clone())));
    assert_eq!(check(Use::Write, &typed), Err(SignatureError::Wrong));
    let plain = query_of(&signer(1).sign_content(PATH, None, 100).unwrap());
    assert_eq!(plain, query_of(&signer(1).sign(Use::Read, PATH, 100).unwrap()), "as addresses were before");
    for forged in [
        format!("{plain}&type=text%2Fhtml"),
        format!("{typed}&type=text%2Fhtml"),
        format!("{typed}&type=nonsense"),
        typed.replace("svg", "png"),
        typed.replace("&type=image%2Fsvg%2Bxml", ""),
        plain.replace("expires=100", "expires=100%0Aimage%2Fpng"),
    ] {
        assert_eq!(check(Use::Read, &forged), Err(SignatureError::Wrong), "{forged}");
    }
}
