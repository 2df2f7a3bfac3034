use super::*;

const NOW_S: u64 = 1_000_000;

fn grants() -> Grants {
    Grants::new(&[1; SECRET_BYTES], "https://hub.example/base/")
}

#[test]
fn h4_29_credentials_last_an_hour_and_are_for_one_object() {
    for access in [Access::Write("u_1-x".parse().unwrap()), Access::Read(Blake3Hash::of(b"a"))] {
        let grant = grants().grant(&access, NOW_S).unwrap();
        let read = grants().read(grant.session_token.as_deref().unwrap()).unwrap();
        assert_eq!((read.access, read.expires_s), (access, NOW_S + 3600));
        assert_eq!((read.access_key_id, read.secret), (grant.access_key_id, grant.secret_access_key));
        assert_eq!(grant.endpoint_url.reveal(), "https://hub.example/base/s3");
        assert_eq!(grant.expires_at.as_deref(), Some("1970-01-12T14:46:40Z"));
    }
    assert_eq!(grants().path_prefix(), "/base");
    assert_eq!(Grants::new(&[1; SECRET_BYTES], "http://hub:1").path_prefix(), "");
}

#[test]
fn h4_29_a_token_that_was_changed_has_another_secret() {
    let grant = grants().grant(&Access::Write("u1".parse().unwrap()), NOW_S).unwrap();
    let token = grant.session_token.unwrap();
    for changed in
        [token.replace("u1", "u2"), token.replace("1003600", "9003600"), token.replace(".1003600", ".01003600")]
    {
        assert_ne!(grants().read(&changed).unwrap().secret, grant.secret_access_key, "{changed}");
    }
    let other = Grants::new(&[2; SECRET_BYTES], "http://hub").read(&token).unwrap();
    assert_ne!(other.secret, grant.secret_access_key);
    for none in [
        "",
        "v1",
        "v2.uploads.u1.1",
        "v1.secrets.u1.1",
        "v1.uploads.u/1.1",
        "v1.blobs.u1.1",
        "v1.uploads.u1.x",
        "v1.uploads.u1.1.1",
    ] {
        assert_eq!(grants().read(none), None, "{none}");
    }
}
