//! The OpenAPI document against the routes, and against the copy in `docs/`.

use std::path::Path;

use axum::{
    body::Body,
    http::{Method, StatusCode},
};
use serde_json::Value;

use super::harness::{Service, request};

const METHODS: [&str; 7] = ["get", "put", "post", "delete", "patch", "options", "trace"];

fn document() -> Value {
    serde_json::from_str(&crate::api::document()).unwrap()
}

/// Registered and described are the same thing by construction; this holds it to that from outside: every described
/// operation is served, and no other method of its path is.
#[tokio::test]
async fn every_described_operation_is_served_and_no_other() {
    let service = Service::start().await;
    for (path, item) in document()["paths"].as_object().unwrap() {
        let path = path.replace("{id}", "x").replace("{name}", "x").replace("{function}", "x");
        for method in METHODS {
            let name = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let reply = service.send(request(name, &path, &[], Body::empty())).await;
            let served = reply.status != StatusCode::METHOD_NOT_ALLOWED
                && !(reply.status == StatusCode::NOT_FOUND && reply.message() == "there is no such route");
            assert_eq!(served, item.get(method).is_some(), "{method} {path}: {}", reply.status);
        }
    }
}

/// The other way round: routes come from `described` alone, whose entries are all described.
#[test]
fn no_route_is_registered_without_its_description() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api");
    let mut files = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api.rs")];
    files.extend(std::fs::read_dir(sources).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()));
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for way in [".route(", ".route_service(", ".nest(", ".nest_service("] {
            assert!(!text.contains(way), "{} uses {way}", file.display());
        }
    }
    let described = include_str!("../../api.rs").matches("routes!(").count();
    assert_eq!(described, document()["paths"].as_object().unwrap().len());
}

#[test]
fn the_document_is_complete() {
    let document = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let place = format!("{method} {path}");
            assert!(operation["summary"].is_string(), "{place}");
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.keys().any(|status| status.starts_with('2')), "{place}");
            let open = path == "/healthz" || path == "/readyz";
            assert_eq!(responses.contains_key("401"), !open, "{place}");
        }
    }
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for name in ["RequestObject", "SubmitBody", "RequestOptions", "ErrorBody", "FunctionObject"] {
        assert!(schemas[name]["example"].is_object() || schemas[name]["examples"].is_array(), "{name} has no example");
    }
}

#[tokio::test]
async fn the_document_is_served() {
    let reply = Service::start().await.get("/openapi.json").await;
    assert_eq!((reply.status, reply.text()), (StatusCode::OK, crate::api::document().as_str()));
}

/// Readers of the repository see what the server serves. Run with `UPDATE_SNAPSHOTS=1` to write the copy anew.
#[test]
#[expect(clippy::disallowed_methods, reason = "the switch that rewrites a checked-in file belongs to the test alone")]
fn the_copy_in_docs_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, crate::api::document()).unwrap();
    }
    let copy = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(copy == crate::api::document(), "docs/openapi.json differs; run this test with UPDATE_SNAPSHOTS=1");
}
