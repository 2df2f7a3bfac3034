mod issuer;
mod server;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;
use serde_json::{Value, json};

use self::{
    issuer::{NOW_S, Signer, claims, claims_with, document, encoded},
    server::{Answer, Server},
};
use super::*;
use crate::exit::chain;

fn check_of(server: &Server) -> JwksCheck {
    check_with(server, Duration::from_secs(3600), Fetch::new(None))
}

fn check_with(server: &Server, ttl: Duration, fetch: Fetch) -> JwksCheck {
    let expected = Expected { issuer: Some("https://issuer".into()), audience: Some("workers".into()) };
    JwksCheck::new(KeySource::parse(&server.url).unwrap(), fetch, ttl, expected)
}

/// How `token` fares against `keys`.
async fn judged(keys: &[Value], token: &str) -> Result<(), CheckError> {
    let server = Server::start(vec![Answer::Document(document(keys))]).await;
    let verdict = check_of(&server).verify_at(token, NOW_S).await;
    if let Err(error) = &verdict {
        let text = chain(error);
        let leaks = token.split('.').any(|part| part.len() > 8 && text.contains(part));
        assert!(!leaks && !text.contains("signature=secret"), "{text}");
    }
    verdict
}

#[tokio::test]
async fn good_tokens_of_every_algorithm_pass() {
    let signers = [Signer::rsa(), Signer::p256(), Signer::ed25519()];
    let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk(signer.algorithm())).collect();
    for signer in &signers {
        let verdict = judged(&keys, &signer.token(signer.algorithm(), &claims())).await;
        assert!(verdict.is_ok(), "{}: {verdict:?}", signer.algorithm());
        let nameless = signer.token_with(&json!({"alg": signer.algorithm()}), &claims());
        judged(&keys, &nameless).await.expect("the one key of its algorithm");
    }
}

#[tokio::test]
async fn a_token_of_another_key_fails() {
    for (published, other) in [(Signer::p256(), Signer::p256()), (Signer::ed25519(), Signer::ed25519())] {
        let verdict = judged(&[published.jwk("k")], &other.token("k", &claims())).await;
        assert!(matches!(verdict, Err(CheckError::Signature)), "{verdict:?}");
    }
    let signer = Signer::rsa();
    let token = signer.token("k", &claims());
    let (signed, _) = token.rsplit_once('.').unwrap();
    for signature in ["", "AAAA", &encoded([1; 256])] {
        let verdict = judged(&[signer.jwk("k")], &format!("{signed}.{signature}")).await;
        assert!(matches!(verdict, Err(CheckError::Signature)), "{verdict:?}");
    }
    let changed = token.replace(&encoded(claims().to_string()), &encoded(claims_with("sub", json!("w-2")).to_string()));
    assert!(matches!(judged(&[signer.jwk("k")], &changed).await, Err(CheckError::Signature)));
}

#[tokio::test]
async fn an_unknown_key_is_asked_for_once_more() {
    let (old, new) = (Signer::ed25519(), Signer::ed25519());
    let answers = vec![Answer::Document(document(&[old.jwk("old")])), Answer::Document(document(&[new.jwk("new")]))];
    let server = Server::start(answers).await;
    let check = check_of(&server);
    check.verify_at(&old.token("old", &claims()), NOW_S).await.unwrap();
    check.verify_at(&new.token("new", &claims()), NOW_S).await.expect("the key was published meanwhile");
    assert_eq!(server.answered(), 2);
    for _ in 0..3 {
        let verdict = check.verify_at(&new.token("made-up", &claims()), NOW_S).await;
        assert!(matches!(verdict, Err(CheckError::UnknownKey)), "{verdict:?}");
    }
    assert_eq!(server.answered(), 2, "made-up keys are no reason to ask all the time");
    let server = Server::start(vec![Answer::Document(document(&[old.jwk("old")]))]).await;
    let verdict = check_of(&server).verify_at(&new.token("new", &claims()), NOW_S).await;
    assert!(matches!(verdict, Err(CheckError::UnknownKey)), "{verdict:?}");
    assert_eq!(server.answered(), 2, "one fetch and one more");
}

#[tokio::test]
async fn times_count_with_a_minute_of_skew() {
    let signer = Signer::ed25519();
    let keys = [signer.jwk("k")];
    for (name, value, good) in [
        ("exp", json!(NOW_S - 59), true),
        ("exp", json!(NOW_S - 60), false),
        ("exp", json!(NOW_S as f64 + 0.5), true),
        ("exp", Value::Null, false),
        ("exp", json!((NOW_S + 3600).to_string()), false),
        ("nbf", json!(NOW_S + 60), true),
        ("nbf", json!(NOW_S + 61), false),
        ("nbf", json!("soon"), false),
        ("nbf", Value::Null, true),
    ] {
        let verdict = judged(&keys, &signer.token("k", &claims_with(name, value.clone()))).await;
        assert_eq!(verdict.is_ok(), good, "{name} {value}: {verdict:?}");
    }
}

#[tokio::test]
async fn issuer_and_audience_count_where_they_are_expected() {
    let signer = Signer::ed25519();
    let keys = [signer.jwk("k")];
    for (name, value, good) in [
        ("iss", json!("https://other"), false),
        ("iss", Value::Null, false),
        ("iss", json!(["https://issuer"]), false),
        ("aud", json!("workers"), true),
        ("aud", json!("others"), false),
        ("aud", json!(["others"]), false),
        ("aud", json!([]), false),
        ("aud", Value::Null, false),
    ] {
        let verdict = judged(&keys, &signer.token("k", &claims_with(name, value.clone()))).await;
        assert_eq!(verdict.is_ok(), good, "{name} {value}: {verdict:?}");
    }
    let server = Server::start(vec![Answer::Document(document(&keys))]).await;
    let (source, ttl) = (KeySource::parse(&server.url).unwrap(), Duration::ZERO);
    let check = JwksCheck::new(source, Fetch::new(None), ttl, Expected::default());
    check.verify_at(&signer.token("k", &json!({"exp": NOW_S + 1})), NOW_S).await.expect("nothing is expected");
}

#[tokio::test]
async fn no_header_chooses_a_weaker_algorithm() {
    let signer = Signer::rsa();
    let rsa = signer.jwk("k");
    let secret = json!({"kty": "oct", "kid": "k", "alg": "HS256", "k": encoded("secret")});
    let keys = [rsa.clone(), secret];
    for alg in ["none", "None", "HS256", "HS512", "RS512", "PS256", ""] {
        let header = json!({"alg": alg, "kid": "k"});
        let verdict = judged(&keys, &signer.token_with(&header, &claims())).await;
        assert!(matches!(verdict, Err(CheckError::Token(TokenError::Algorithm))), "{alg}: {verdict:?}");
    }
    let unsigned = format!("{}.{}.", encoded(r#"{"alg":"none"}"#), encoded(claims().to_string()));
    assert!(matches!(judged(&keys, &unsigned).await, Err(CheckError::Token(TokenError::Algorithm))));
    // The public key as the secret, and the secret that somebody published.
    let modulus = URL_SAFE_NO_PAD.decode(rsa["n"].as_str().unwrap()).unwrap();
    for secret in [modulus.as_slice(), b"secret"] {
        let signed = format!("{}.{}", encoded(r#"{"alg":"HS256","kid":"k"}"#), encoded(claims().to_string()));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
        let verdict = judged(&keys, &format!("{signed}.{}", encoded(tag))).await;
        assert!(matches!(verdict, Err(CheckError::Token(TokenError::Algorithm))), "{verdict:?}");
    }
    // An algorithm that is trusted, of a key that is for another one.
    let verdict = judged(&keys, &Signer::ed25519().token("k", &claims())).await;
    assert!(matches!(verdict, Err(CheckError::UnknownKey)), "{verdict:?}");
}

#[tokio::test]
async fn keys_that_are_not_for_this_are_left_out() {
    let signer = Signer::p256();
    for (name, value) in [
        ("use", json!("enc")),
        ("key_ops", json!(["encrypt"])),
        ("alg", json!("ES384")),
        ("crv", json!("P-384")),
        ("x", json!("AAAA")),
        ("kty", json!(7)),
    ] {
        let mut key = signer.jwk("k");
        key[name] = value;
        let verdict = judged(&[key, json!("nonsense")], &signer.token("k", &claims())).await;
        assert!(matches!(verdict, Err(CheckError::UnknownKey)), "{name}: {verdict:?}");
    }
}

#[tokio::test]
async fn texts_that_are_no_tokens_fail_before_anything_is_fetched() {
    let server = Server::start(vec![Answer::Silence]).await;
    let check = check_of(&server);
    let critical = Signer::ed25519().token_with(&json!({"alg": "EdDSA", "crit": ["exp"]}), &claims());
    for text in ["", "a.b", "a.b.c", "!.!.!", "e30.e30.e30", &"x".repeat(1 << 20), critical.as_str()] {
        assert!(matches!(check.verify_at(text, NOW_S).await, Err(CheckError::Token(_))));
    }
    assert_eq!(server.answered(), 0);
}

#[tokio::test]
async fn bad_documents_and_answers_are_refused() {
    let token = Signer::ed25519().token("k", &claims());
    let many = document(&vec![json!({}); 257]);
    for (answer, part) in [
        (Answer::Document("{".into()), "not a JSON object"),
        (Answer::Document("[]".into()), "not a JSON object"),
        (Answer::Document(r#"{"keys":{}}"#.into()), "not a JSON object"),
        (Answer::Document(many), "more than 256 keys"),
        (Answer::Document(" ".repeat(1024 * 1024 + 1)), "larger than 1048576 bytes"),
        (Answer::Endless, "larger than 1048576 bytes"),
        (Answer::Status(500), "status 500"),
        (Answer::Status(204), "status 204"),
        (Answer::Redirect("https://127.0.0.1:1/".into()), "may not lead"),
        (Answer::Redirect("file:///etc/passwd".into()), "may not lead"),
        (Answer::Redirect("/again".into()), "may not lead"),
    ] {
        let server = Server::start(vec![answer]).await;
        let error = check_of(&server).verify_at(&token, NOW_S).await.unwrap_err();
        let text = chain(&error);
        assert!(text.contains(part) && text.contains("/keys") && !text.contains("secret"), "{text}");
    }
}

#[tokio::test]
async fn a_redirect_of_the_same_scheme_is_followed() {
    let signer = Signer::ed25519();
    let keys = Server::start(vec![Answer::Document(document(&[signer.jwk("k")]))]).await;
    let server = Server::start(vec![Answer::Redirect("/moved".into()), Answer::Redirect(keys.url.clone())]).await;
    check_of(&server).verify_at(&signer.token("k", &claims()), NOW_S).await.unwrap();
}

#[tokio::test]
async fn a_server_that_never_answers_costs_the_time_limit_only() {
    let server = Server::start(vec![Answer::Silence]).await;
    let check = check_with(&server, Duration::ZERO, Fetch::new(None).within(Duration::from_millis(20)));
    let error = check.verify_at(&Signer::ed25519().token("k", &claims()), NOW_S).await.unwrap_err();
    assert!(chain(&error).contains("no answer within 0.02 s"), "{error}");
}

#[tokio::test]
async fn keys_are_kept_for_their_time_and_while_there_are_no_others() {
    let signer = Signer::ed25519();
    let (token, keys) = (signer.token("k", &claims()), Answer::Document(document(&[signer.jwk("k")])));
    let server = Server::start(vec![keys.clone()]).await;
    let check = check_of(&server);
    for _ in 0..3 {
        check.verify_at(&token, NOW_S).await.unwrap();
    }
    assert_eq!(server.answered(), 1);
    let server = Server::start(vec![keys, Answer::Status(503)]).await;
    let check = check_with(&server, Duration::ZERO, Fetch::new(None));
    for fetches in 1..4 {
        check.verify_at(&token, NOW_S).await.expect("the former keys still hold");
        assert_eq!(server.answered(), fetches);
    }
}

#[tokio::test]
async fn keys_come_over_tls_from_trusted_servers_only() {
    use tokio_rustls::rustls::{ServerConfig, crypto::ring::default_provider, pki_types::pem::PemObject as _};
    let (chain_pem, key) =
        (include_bytes!("../../../../tests/tls/server.pem"), include_bytes!("../../../../tests/tls/server.key"));
    let certificates = tokio_rustls::rustls::pki_types::CertificateDer::pem_slice_iter(chain_pem);
    let key = tokio_rustls::rustls::pki_types::PrivateKeyDer::from_pem_slice(key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates.collect::<Result<_, _>>().unwrap(), key)
        .unwrap();
    let signer = Signer::p256();
    let keys = Answer::Document(document(&[signer.jwk("k")]));
    let server = Server::start_tls(vec![keys], Arc::new(config).into()).await;
    let token = signer.token("k", &claims());
    let error = check_of(&server).verify_at(&token, NOW_S).await.unwrap_err();
    assert!(chain(&error).contains("no trusted connection"), "{error}");
    let root = include_bytes!("../../../../tests/tls/ca.pem").to_vec();
    check_with(&server, Duration::ZERO, Fetch::new(Some(root))).verify_at(&token, NOW_S).await.unwrap();
}

#[tokio::test]
async fn pushed_tokens_are_checked_at_the_present_time() {
    let signer = Signer::ed25519();
    let server = Server::start(vec![Answer::Document(document(&[signer.jwk("k")]))]).await;
    let pushed = PushedTokens(Arc::new(check_of(&server)));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut good = claims_with("nbf", Value::Null);
    good["exp"] = json!(now + 600);
    pushed.check(signer.token("k", &good)).await.unwrap();
    good["exp"] = json!(now - 600);
    let refused = pushed.check(signer.token("k", &good)).await.unwrap_err();
    assert_eq!(chain(&refused), "the token is refused: it has expired");
}

#[test]
fn sources_are_web_addresses_without_users() {
    for bad in ["", "keys", "ftp://x/", "file:///x", "https://", "https://user:pass@host/", "//host/x"] {
        assert!(KeySource::parse(bad).is_err(), "{bad}");
    }
    let source = KeySource::parse("HTTPS://[::1]:8443/keys?token=secret").unwrap();
    assert_eq!((source.host(), source.port(), source.tls()), ("::1", 8443, true));
    assert_eq!(source.to_string(), "https://[::1]:8443/keys");
    let port = |text| KeySource::parse(text).unwrap().port();
    assert_eq!((port("https://h/x"), port("http://h")), (443, 80));
    let open = |text| KeySource::parse(text).unwrap().is_open();
    assert!(open("http://keys.example/") && !open("http://127.0.0.1:1/") && !open("https://keys.example/"));
}
