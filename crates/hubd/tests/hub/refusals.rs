//! Refusals have one shape, and addresses of media are for those who run the hub as well.

use anyhow::{Context as _, Result};
use gen_worker_hub::token::{Area, ByteLimits, Right};
use gen_worker_hubd::Visibility;
use serde_json::{Value, json};

use crate::server::{Server, announced};

#[tokio::test]
async fn h1_9_every_refusal_is_an_envelope() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let cases = [
        ("GET", "/nothing", 404, "not_found"),
        ("DELETE", "/api/v1/repos/a/b/resolve", 405, "method_not_allowed"),
        // The number of a part is no number; a parameter is given twice; a path is no text.
        ("PUT", "/api/v1/parts/u1/first?expires=1&signature=0", 400, "invalid_request"),
        ("GET", "/api/v1/repos/a/b/resolve?tag=a&tag=b", 400, "invalid_request"),
        ("GET", "/api/v1/repos/%ff/b/resolve", 400, "invalid_request"),
        ("GET", "/api/v1/blobs/what/content", 404, "not_found"),
        ("POST", "/api/v1/media/acme/uploads", 401, "unauthenticated"),
    ];
    for (method, path, status, code) in cases {
        let method = reqwest::Method::from_bytes(method.as_bytes())?;
        let reply = server.http.request(method, format!("{}{path}", server.url)).send().await?;
        let kind = reply.headers().get("content-type").context(path)?.to_str()?.to_owned();
        assert_eq!((reply.status().as_u16(), kind.as_str()), (status, "application/json"), "{path}");
        if status == 405 {
            assert!(reply.headers().contains_key("allow"));
        }
        let body: Value = serde_json::from_slice(&reply.bytes().await?)?;
        assert_eq!(body["error"]["code"], code, "{path}");
        assert!(body["error"]["message"].is_string(), "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn h9_8_addresses_of_media_are_for_the_operator_and_for_the_job_itself() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let (client, target) =
        (server.writer("acme")?, gen_worker_hub::client::UploadTarget::Media { owner: "acme".to_owned() });
    let (create, local) = announced("a.txt", b"one")?;
    let started = client.create_upload(&target, &create, &local).await?;
    let gen_worker_hub::api::UploadStart::Transfer { upload_id, source } = started else { anyhow::bail!("wanted") };
    let gen_worker_hub::api::UploadSource::Parts(urls) = source else { anyhow::bail!("parts") };
    let request = server.put_parts(&urls, b"one").await?;
    client.complete_upload(&target, &upload_id, &request, &local).await?;
    let ask = async |token: Option<gen_worker_hub::BearerToken>, owner: Option<&str>| {
        let call = server.http.post(format!("{}/api/v1/media/urls", server.url));
        let call = call.body(json!({"refs": ["a.txt", "b.txt"]}).to_string());
        let call = token.iter().fold(call, |call, token| call.bearer_auth(token.reveal()));
        let reply = owner.iter().fold(call, |call, owner| call.header("x-cozy-owner", *owner)).send().await?;
        let status = reply.status().as_u16();
        anyhow::Ok((status, serde_json::from_slice::<Value>(&reply.bytes().await?)?))
    };
    let job = server.token("acme", &[(Area::Media, Right::Read, "acme")], ByteLimits::default())?;
    let eve = server.token("eve", &[(Area::Media, Right::Read, "eve")], ByteLimits::default())?;
    for (token, owner) in [(server.operator(), Some("Acme")), (job.clone(), None), (job, Some("acme"))] {
        let (status, reply) = ask(Some(token), owner).await?;
        assert_eq!((status, &reply["missing"]), (200, &json!(["b.txt"])), "{reply}");
        let url = reply["urls"]["a.txt"]["url"].as_str().context("an address")?;
        assert_eq!(&*server.http.get(url).send().await?.error_for_status()?.bytes().await?, b"one");
    }
    let (status, reply) = ask(Some(eve), Some("acme")).await?;
    assert_eq!((status, &reply["missing"]), (200, &json!(["a.txt", "b.txt"])), "to others it is not there");
    assert_eq!(ask(Some(server.operator()), None).await?.0, 422);
    assert_eq!(ask(None, Some("acme")).await?.0, 401);
    Ok(())
}

#[tokio::test]
async fn h9_8_a_text_that_is_no_ref_is_missing_and_the_others_are_told() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let send = async |method: reqwest::Method, path: &str, body: String| {
        let call = server.http.request(method, format!("{}/api/v1/{path}", server.url)).body(body);
        let reply = call.bearer_auth(server.operator().reveal()).header("x-cozy-owner", "acme").send().await?;
        anyhow::Ok((reply.status().as_u16(), serde_json::from_slice::<Value>(&reply.bytes().await?)?))
    };
    send(reqwest::Method::PUT, "file/a.txt", "one".to_owned()).await?;
    let none = json!(["../a.txt", "", "/a.txt", "a\\b", "a\u{0}b", "x".repeat(2_000)]);
    let mut refs = none.clone();
    refs.as_array_mut().context("a list")?.push("a.txt".into());
    let (status, reply) = send(reqwest::Method::POST, "media/urls", json!({"refs": refs}).to_string()).await?;
    assert_eq!((status, &reply["missing"]), (200, &none), "{reply}");
    assert!(reply["urls"]["a.txt"]["url"].is_string(), "{reply}");
    let many = json!({"refs": vec!["../a"; 1_001]}).to_string();
    assert_eq!(send(reqwest::Method::POST, "media/urls", many).await?.0, 422, "they count as well");
    Ok(())
}

#[tokio::test]
async fn h1_9_texts_that_not_every_store_keeps_are_refused() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let send = async |method: reqwest::Method, path: &str, body: Value| {
        let call = server.http.request(method, format!("{}/api/v1/{path}", server.url)).body(body.to_string());
        let reply = call.bearer_auth(server.operator().reveal()).send().await?;
        anyhow::Ok((reply.status().as_u16(), serde_json::from_slice::<Value>(&reply.bytes().await?)?))
    };
    let (_, session) = send(reqwest::Method::POST, "repos/acme/model/revisions", json!({})).await?;
    let session = format!("repos/acme/model/revisions/{}/uploads", session["session_id"].as_str().context("an id")?);
    for kind in ["text/plain\u{0}".to_owned(), "text/\u{e9}".to_owned(), "x".repeat(513)] {
        for (path, name) in [("media/acme/uploads", "ref"), (&session, "path")] {
            let body = json!({"blake3": gen_worker_hub::Blake3Hash::of(b"a"), "size_bytes": 1, "content_type": kind, name: "a"});
            let (status, reply) = send(reqwest::Method::POST, path, body).await?;
            assert_eq!((status, &reply["error"]["code"]), (422, &json!("invalid_content_type")), "{path} {reply}");
        }
    }
    let release = format!("r_{}", "a".repeat(26));
    let body = json!({"release_id": release, "reason": "a\u{0}b"});
    for path in ["endpoints/draw/tags/prod", "promote"] {
        let method = if path == "promote" { reqwest::Method::POST } else { reqwest::Method::PUT };
        let (status, reply) = send(method, &format!("projects/acme/paint/{path}"), body.clone()).await?;
        assert_eq!((status, &reply["error"]["code"]), (422, &json!("invalid_text")), "{path} {reply}");
    }
    Ok(())
}
