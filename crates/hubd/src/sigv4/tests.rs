use axum::http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::{canonical::encoded, *};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// 2013-05-24T00:00:00Z.
const SIGNED_S: u64 = 1_369_353_600;

/// One of the examples that are published with the signature.
struct Example {
    method: &'static str,
    path: &'static str,
    query: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    signature: &'static str,
}

fn headers(of: &[(&'static str, &'static str)], authorization: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in of {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.insert("authorization", authorization.parse().unwrap());
    headers
}

impl Example {
    fn headers(&self) -> HeaderMap {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| *name).collect();
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders={},Signature={}",
            names.join(";"),
            self.signature
        );
        headers(&self.headers, &authorization)
    }

    fn check(&self, headers: &HeaderMap, secret: &str, now_s: u64) -> Result<Payload, SignatureError> {
        let incoming = Incoming { method: self.method, path: self.path, query: self.query, headers };
        Authorization::read(headers)?.check(secret, incoming, now_s)
    }
}

fn get(path: &'static str, query: &'static str, signature: &'static str) -> Example {
    let headers = vec![
        ("host", "examplebucket.s3.amazonaws.com"),
        ("x-amz-content-sha256", EMPTY),
        ("x-amz-date", "20130524T000000Z"),
    ];
    Example { method: "GET", path, query, headers, signature }
}

fn ranged() -> Example {
    let signature = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";
    let mut example = get("/test.txt", "", signature);
    example.headers.insert(1, ("range", "bytes=0-9"));
    example
}

fn put() -> Example {
    Example {
        method: "PUT",
        path: "/test$file.text",
        query: "",
        headers: vec![
            ("date", "Fri, 24 May 2013 00:00:00 GMT"),
            ("host", "examplebucket.s3.amazonaws.com"),
            ("x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"),
            ("x-amz-date", "20130524T000000Z"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ],
        signature: "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    }
}

fn examples() -> Vec<Example> {
    vec![
        ranged(),
        put(),
        get("/", "lifecycle", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        get("/", "prefix=J&max-keys=2", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ]
}

#[test]
fn h4_27_the_published_examples_are_signed_right() {
    for example in examples() {
        let payload = example.check(&example.headers(), SECRET, SIGNED_S);
        let expected = example.headers.iter().find(|(name, _)| *name == "x-amz-content-sha256").unwrap().1;
        assert_eq!(payload, Ok(Payload::Sha256(sha256_of_hex(expected).unwrap())), "{}", example.path);
    }
}

#[test]
fn h4_27_a_change_of_anything_that_is_signed_is_seen() {
    let example = put();
    let good = example.headers();
    assert_eq!(example.check(&good, "another", SIGNED_S), Err(SignatureError::Wrong));
    for (name, value) in [("host", "other"), ("x-amz-storage-class", "STANDARD"), ("x-amz-content-sha256", EMPTY)] {
        let mut changed = good.clone();
        changed.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        assert_eq!(example.check(&changed, SECRET, SIGNED_S), Err(SignatureError::Wrong), "{name}");
    }
    let mut more = good.clone();
    more.insert("x-amz-acl", HeaderValue::from_static("public-read"));
    assert_eq!(example.check(&more, SECRET, SIGNED_S), Err(SignatureError::Unsigned));
    let mut less = good.clone();
    less.remove("date");
    assert_eq!(example.check(&less, SECRET, SIGNED_S), Err(SignatureError::Wrong));
    let others = [
        Example { method: "GET", ..put() },
        Example { path: "/test$file.texu", ..put() },
        Example { query: "acl", ..put() },
    ];
    for other in others {
        assert_eq!(other.check(&good, SECRET, SIGNED_S), Err(SignatureError::Wrong));
    }
    // The same path, encoded.
    let same = Example { path: "/test%24file.text", ..put() };
    assert!(same.check(&good, SECRET, SIGNED_S).is_ok());
}

#[test]
fn h4_27_clocks_may_be_off_by_a_quarter_of_an_hour() {
    let example = ranged();
    for now_s in [SIGNED_S - 900, SIGNED_S + 900] {
        assert!(example.check(&example.headers(), SECRET, now_s).is_ok());
    }
    for now_s in [SIGNED_S - 901, SIGNED_S + 901, 0, u64::MAX] {
        assert_eq!(example.check(&example.headers(), SECRET, now_s), Err(SignatureError::Skewed));
    }
    for time in ["", "yesterday", "20130525T000000Z", "20130524T250000Z", "20130524T000000"] {
        let mut headers = example.headers();
        headers.insert("x-amz-date", HeaderValue::from_str(time).unwrap());
        let refused = example.check(&headers, SECRET, SIGNED_S);
        assert!(matches!(refused, Err(SignatureError::Time)), "{time}: {refused:?}");
    }
}

#[test]
fn h4_29_payloads_are_hashed_unsigned_or_refused() {
    assert_eq!(payload_of("UNSIGNED-PAYLOAD"), Ok(Payload::Unsigned));
    assert_eq!(payload_of("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), Err(SignatureError::Streaming));
    assert_eq!(payload_of("STREAMING-UNSIGNED-PAYLOAD-TRAILER"), Err(SignatureError::Streaming));
    for none in ["", "unsigned-payload", "e3b0", &"g".repeat(64)] {
        assert_eq!(payload_of(none), Err(SignatureError::Payload), "{none}");
    }
    let mut headers = ranged().headers();
    headers.remove("x-amz-content-sha256");
    assert_eq!(ranged().check(&headers, SECRET, SIGNED_S), Err(SignatureError::Payload));
}

#[test]
fn h4_27_what_is_no_authorization_is_refused() {
    let signature = "0".repeat(64);
    let with = |credential: &str, signed: &str, signature: &str| {
        Authorization::parse(&format!(
            "AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={signed}, Signature={signature}"
        ))
    };
    let scope = "id/20130524/auto/s3/aws4_request";
    assert!(with(scope, "host;x-amz-date", &signature).is_some());
    for credential in
        ["id", "id/20130524/auto/sqs/aws4_request", "id/20130524/auto/s3/aws4", "i/d/20130524/auto/s3/aws4_request"]
    {
        assert!(with(credential, "host", &signature).is_none(), "{credential}");
    }
    for signed in ["", "Host", "x-amz-date;host", "host;host", "host;"] {
        assert!(with(scope, signed, &signature).is_none(), "{signed}");
    }
    assert!(with(scope, "host", "00").is_none());
    assert!(Authorization::parse("AWS4-HMAC-SHA256").is_none());
    assert!(Authorization::parse("Bearer abc").is_none());
    assert_eq!(Authorization::read(&HeaderMap::new()).unwrap_err(), SignatureError::Absent);
    let mut twice = ranged().headers();
    twice.append("authorization", HeaderValue::from_static("x"));
    assert_eq!(Authorization::read(&twice).unwrap_err(), SignatureError::Absent);
}

proptest! {
    #[test]
    fn nothing_that_comes_in_a_header_panics(text in "\\PC{0,80}", query in "\\PC{0,40}") {
        drop(Authorization::parse(&text));
        drop(Authorization::parse(&format!("AWS4-HMAC-SHA256 {text}")));
        let once = encoded(&query, true);
        prop_assert_eq!(encoded(&once, true), once);
    }
}
