//! Requests of clients that are newer than the hub.

use anyhow::{Context as _, Result};
use gen_worker_hub::{
    Blake3Hash,
    token::{Area, ByteLimits, Right},
};
use gen_worker_hubd::Visibility;
use serde_json::{Value, json};

use crate::server::{OPERATOR, Server};

/// The same request with fields that no hub knows, at its top and in its first operation.
fn newer(mut body: Value) -> Value {
    let unknown = json!({"nested": [1, {"deep": null}]});
    for place in ["", "/operations/0", "/schema/features", "/manifest"] {
        if let Some(object) = body.pointer_mut(place).and_then(Value::as_object_mut) {
            object.insert("x_from_the_future".to_owned(), unknown.clone());
        }
    }
    body
}

#[tokio::test]
async fn h1_12_fields_that_the_hub_does_not_know_change_nothing() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let grants = [Area::Repo, Area::Media, Area::Dataset].map(|area| (area, Right::Write, "acme"));
    let token = server.token("acme", &grants, ByteLimits::default())?;
    let call = async |token: &str, method: &str, path: &str, body: &Value| -> Result<(u16, Value)> {
        let request = server.http.request(method.parse()?, format!("{}{path}", server.url)).bearer_auth(token);
        let reply = request.header("x-cozy-owner", "acme").body(body.to_string()).send().await?;
        let status = reply.status().as_u16();
        Ok((status, serde_json::from_slice(&reply.bytes().await?).unwrap_or_default()))
    };
    let hash = Blake3Hash::of(b"1");
    let (repo, own) = ("/api/v1/repos/acme/model", token.reveal());
    let session = call(own, "POST", &format!("{repo}/revisions"), &newer(json!({"job_id": "j1"}))).await?;
    let session = session.1["session_id"].as_str().context("a session")?.to_owned();
    let (add, of_path) = (
        json!({"operations": [{"type": "add", "path": "a", "blake3": hash, "size_bytes": 1}], "mode": "replace"}),
        format!("{repo}/revisions/{session}/uploads"),
    );
    let cases = [
        (own, "POST", format!("{repo}/commits"), add, 201),
        (own, "POST", of_path, json!({"path": "a", "blake3": hash, "size_bytes": 1}), 200),
        (own, "POST", format!("{repo}/revisions/{session}/finalize"), json!({}), 200),
        (
            own,
            "POST",
            "/api/v1/media/acme/uploads".to_owned(),
            json!({"ref": "a", "blake3": hash, "size_bytes": 1}),
            200,
        ),
        (own, "POST", "/api/v1/media/urls".to_owned(), json!({"refs": ["a"]}), 200),
        (own, "PUT", format!("{repo}/metadata"), json!({"metadata": {"a": 1}}), 200),
        (
            own,
            "POST",
            "/api/v1/datasets".to_owned(),
            json!({"owner": "acme", "name": "d", "schema": {"features": {}}}),
            201,
        ),
        (OPERATOR, "PUT", format!("{repo}/visibility"), json!({"visibility": "public"}), 200),
        (OPERATOR, "POST", "/api/v1/endpoints/acme/paint/env".to_owned(), json!({"name": "A", "value": "b"}), 201),
        (
            OPERATOR,
            "POST",
            "/api/v1/projects/acme/paint/releases".to_owned(),
            json!({"manifest": {"functions": []}}),
            201,
        ),
        (own, "POST", format!("{repo}/resolve"), json!({"tag": "none"}), 404),
    ];
    for (token, method, path, body, expected) in cases {
        let (status, reply) = call(token, method, &path, &newer(body)).await?;
        assert_eq!(status, expected, "{path}: {reply}");
    }
    let (status, found) = call(own, "GET", &format!("{repo}/metadata?x_from_the_future=1"), &Value::Null).await?;
    assert_eq!((status, &found["metadata"]), (200, &json!({"a": 1})), "what is known is as it was said");
    Ok(())
}
