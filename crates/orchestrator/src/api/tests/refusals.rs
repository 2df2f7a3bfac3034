//! Everything that is refused, in one shape (P-3, P-4, P-17, P-19).

use axum::{
    body::Body,
    http::{Method, StatusCode},
};

use super::harness::{Service, dev, request};
use crate::api::{Access, Options, Token};

#[tokio::test]
async fn p17_unknown_routes_and_methods_have_error_bodies_too() {
    let service = Service::start().await;
    let reply = service.get("/v1/nothing").await;
    assert_eq!(reply.error(), (404, "not_found".to_owned()));
    assert_eq!(reply.header("x-request-id").len(), 36);
    assert_eq!(reply.header("content-type"), "application/json");
    let reply = service.put("/v1/functions", "").await;
    assert_eq!(reply.error(), (405, "method_not_allowed".to_owned()));
    assert!(reply.headers.contains_key("x-request-id"));
    assert!(reply.header("allow").contains("GET"));
    assert_eq!(service.get("/v1/requests/%ff").await.error(), (404, "not_found".to_owned()));
    assert_eq!(service.get("/v1/requests/nobody").await.error(), (404, "not_found".to_owned()));
    for route in ["events", "stream", "output"] {
        let reply = service.get(&format!("/v1/requests/nobody/{route}")).await;
        assert_eq!(reply.error(), (404, "not_found".to_owned()));
    }
}

#[tokio::test]
async fn unknown_fields_are_refused_by_name() {
    let service = Service::start().await;
    for (body, path) in [
        (r#"{"function":"embed","payload":{},"prioritty":1}"#, "$.prioritty"),
        (r#"{"function":"embed","payload":{},"options":{"retries":1}}"#, "$.options.retries"),
        (
            r#"{"function":"embed","payload":{},"options":{"models":{"u":{"ref":"a/b","loras":[{"ref":"x","w":1}]}}}}"#,
            "$.options.models.u.loras[0].w",
        ),
    ] {
        let reply = service.post("/v1/requests", body).await;
        assert_eq!(reply.error(), (400, "unknown_field".to_owned()), "{}", reply.text());
        assert_eq!(reply.message(), format!("unknown field `{path}`"));
    }
    for path in ["/v1/requests?stat=queued", "/v1/functions?x=1", "/v1/requests/nobody?wait=1"] {
        let reply = service.get(path).await;
        assert_eq!(reply.error(), (400, "unknown_field".to_owned()));
    }
    assert_eq!(service.post("/v1/run/embed?prio=1", "{}").await.error(), (400, "unknown_field".to_owned()));
    assert_eq!(service.post("/v1/requests?x=1", "{}").await.error(), (400, "unknown_field".to_owned()));
}

#[tokio::test]
async fn wrong_options_are_refused_with_field_and_range() {
    let service = Service::start().await;
    for (options, message) in [
        (r#"{"priority":101}"#, "`priority` is 101, expected -100 to 100"),
        (r#"{"max_attempts":0}"#, "`max_attempts` is 0, expected 1 to 10"),
        (r#"{"wait_ms":60001}"#, "`wait_ms` is 60001, expected 0 to 60000"),
        (r#"{"deadline_ms":0}"#, "`deadline_ms` is 0, expected 1 to 2592000000"),
        (
            r#"{"models":{"u":{"ref":"a","loras":[{"ref":"l","weight":5}]}}}"#,
            "`models` has an adapter weight beyond 4 at slot `u`",
        ),
        (r#"{"models":{"u":""}}"#, "`models` has an empty name or ref at slot `u`"),
    ] {
        let body = format!(r#"{{"function":"embed","payload":{{}},"options":{options}}}"#);
        let reply = service.post("/v1/requests", body).await;
        assert_eq!(reply.error(), (400, "invalid".to_owned()));
        assert_eq!(reply.message(), message);
    }
    let reply =
        service.post("/v1/requests", r#"{"function":"embed","payload":{},"options":{"priority":"high"}}"#).await;
    assert!(reply.message().ends_with("at `$.options.priority`"), "{}", reply.message());
    let reply = service.post("/v1/requests", r#"{"function":"embed"}"#).await;
    assert_eq!(reply.message(), "missing field - at `$.payload`");
    let reply = service.post("/v1/requests", r#"{"function":"embed","payload":[1]}"#).await;
    assert_eq!(reply.message(), "expected an object - at `$.payload`");
    let reply = service.post("/v1/run/embed?priority=high", "{}").await;
    assert_eq!(reply.message(), "expected a whole number - at `query parameter priority`");
    let reply = service.post_with("/v1/run/embed", &[("x-timeout-ms", "soon")], "{}").await;
    assert_eq!(reply.message(), "header `x-timeout-ms` has no usable value");
    for id in ["a%20b", "a.b", &"x".repeat(65)] {
        let reply = service.put(&format!("/v1/requests/{id}"), r#"{"function":"embed","payload":{}}"#).await;
        assert_eq!(reply.error(), (400, "invalid".to_owned()));
    }
}

#[tokio::test]
async fn p4_malformed_json_is_refused_with_its_place() {
    let service = Service::start().await;
    for (body, message) in [
        (
            "",
            "the body is empty, expected a JSON object (`{}` when there are no arguments) - at `$` (line 1, column 1)",
        ),
        ("{\"a\": nope}", "malformed JSON: expected a value - at `$.a` (line 1, column 7)"),
        ("[]", "expected a JSON object - at `$` (line 1, column 1)"),
        ("{\"a\":1,\"a\":2}", "duplicate key `a` - at `$` (line 1, column 8)"),
    ] {
        let reply = service.post("/v1/run/embed", body).await;
        assert_eq!(reply.error(), (400, "invalid".to_owned()));
        assert_eq!(reply.message(), message);
    }
    let reply = service.post("/v1/requests", r#"{"function":"embed","payload":{"a":[1,18446744073709551616]}}"#).await;
    assert_eq!(reply.json()["error"]["details"]["path"], "$.payload.a[1]");
}

#[tokio::test]
async fn p3_a_body_over_the_limit_is_refused_naming_the_limit() {
    let service = Service::with(Options { body_bytes_max: 1_000, ..dev() }).await;
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(2_000));
    let announced = service.post_with("/v1/run/embed", &[("content-length", "2008")], large.clone()).await;
    assert_eq!(announced.error(), (413, "payload_too_large".to_owned()));
    assert!(announced.message().contains("1000 bytes"));
    assert_eq!(announced.json()["error"]["details"]["limit_bytes"], 1_000);
    let pieces = large.into_bytes().chunks(100).map(<[u8]>::to_vec).map(Ok::<_, std::io::Error>).collect::<Vec<_>>();
    let unannounced = service.post("/v1/run/embed", Body::from_stream(futures::stream::iter(pieces))).await;
    assert_eq!(unannounced.error(), (413, "payload_too_large".to_owned()));
    let small = b"{\"a\":1}".map(|byte| Ok::<_, std::io::Error>(vec![byte]));
    let reply = service.post("/v1/run/embed?wait_ms=0", Body::from_stream(futures::stream::iter(small))).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn large_metadata_is_refused() {
    let service = Service::start().await;
    let body = serde_json::json!({"function": "embed", "payload": {}, "metadata": "x".repeat(70_000)});
    let reply = service.post("/v1/requests", body.to_string()).await;
    assert_eq!(reply.error(), (413, "payload_too_large".to_owned()));
}

#[tokio::test]
async fn p19_without_dev_every_documented_route_but_the_probes_wants_a_token() {
    let service = Service::with(Options::default()).await;
    let document: serde_json::Value = serde_json::from_str(&crate::api::document()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let path = path.replace("{id}", "x").replace("{name}", "x").replace("{function}", "embed");
            let reply = service.send(request(method, &path, &[("authorization", "Bearer x")], Body::empty())).await;
            let open = path == "/healthz" || path == "/readyz";
            assert_eq!(reply.status == StatusCode::UNAUTHORIZED, !open, "{path} {}", reply.status);
        }
    }
    assert_eq!(service.get("/v1/nothing").await.error(), (401, "unauthenticated".to_owned()));
}

#[tokio::test]
async fn p19_without_tokens_no_web_page_of_another_origin_comes_in() {
    let service = Service::with(dev()).await;
    let body = r#"{"function":"embed","payload":{}}"#;
    for page in
        [[("host", "127.0.0.1:80"), ("origin", "http://example.org")], [("host", "example.org"), ("accept", "*/*")]]
    {
        assert_eq!(service.post_with("/v1/requests", &page, body).await.error(), (403, "forbidden".to_owned()));
        assert_eq!(service.get_with("/v1/requests", &page).await.error(), (403, "forbidden".to_owned()));
    }
    assert_eq!(
        service.get_with("/v1/requests", &[("host", "127.0.0.1:80")]).await.json()["items"],
        serde_json::json!([])
    );
    // With tokens the token decides: no page can know it.
    let service =
        Service::with(Options { access: Access::Tokens(vec![Token::new("s3cret", "a")]), ..Options::default() }).await;
    let page = [("host", "pool.example.org"), ("origin", "http://example.org"), ("authorization", "Bearer s3cret")];
    assert_eq!(service.get_with("/v1/requests", &page).await.status, StatusCode::OK);
}

#[tokio::test]
async fn p19_a_token_stands_for_its_tenant_and_sees_no_other() {
    let tokens = vec![Token::new("s3cret-a", "a"), Token::new("s3cret-b", "b")];
    let service = Service::with(Options { access: Access::Tokens(tokens), ..Options::default() }).await;
    let (a, b) = ([("authorization", "Bearer s3cret-a")], [("authorization", "bearer s3cret-b")]);
    let body = r#"{"function":"embed","payload":{}}"#;
    let reply = service.post_with("/v1/requests", &a, body).await;
    assert_eq!((reply.status, &reply.json()["tenant"]), (StatusCode::ACCEPTED, &"a".into()));
    let path = format!("/v1/requests/{}", reply.json()["id"].as_str().unwrap());
    assert_eq!(service.get_with(&path, &a).await.status, StatusCode::OK);
    assert_eq!(service.get_with(&path, &b).await.error(), (404, "not_found".to_owned()));
    let cancel = service.post_with(&format!("{path}/cancel"), &b, "").await;
    assert_eq!(cancel.error(), (404, "not_found".to_owned()));
    assert_eq!(service.get_with("/v1/requests", &b).await.json()["items"].as_array().unwrap().len(), 0);
    let wrong = service.get_with(&path, &[("authorization", "Bearer s3cret-c")]).await;
    assert_eq!(wrong.error(), (401, "unauthenticated".to_owned()));
    assert!(!wrong.text().contains("s3cret"));
    // The same idempotency key of two tenants names two requests.
    let key = |auth: [(&'static str, &'static str); 1]| [auth[0], ("idempotency-key", "k")];
    let one = service.post_with("/v1/requests", &key(a), body).await.json();
    let other = service.post_with("/v1/requests", &key(b), body).await.json();
    assert_ne!(one["id"], other["id"]);
}
