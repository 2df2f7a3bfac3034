//! Addresses, headers, and what errors show.

use gen_worker_hub::{
    Blake3Hash, HubRef,
    api::{
        CommitCreate, CommitMode, CommitOperation, CompleteRequest, LocalFile, SessionOpen, UploadCreate, UploadPlace,
    },
    client::{HubClient, HubClientOptions, HubError, HubFailure, UploadTarget},
};
use serde_json::{Map, json};

use crate::server::{Answer, Server, http};

fn reference() -> HubRef {
    HubRef::parse("o/r").unwrap()
}

/// The error with everything below it, and its debug form.
fn all_of(error: &HubError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text = format!("{text} {error} {error:?}");
        source = error.source();
    }
    text
}

#[tokio::test]
async fn h1_1_a_base_may_have_a_path_and_a_slash() {
    let server = Server::start(vec![Answer::Json(404, json!({}))]).await;
    for end in ["", "/", "/hub/v2", "/hub/v2//"] {
        let client =
            HubClient::new(HubClientOptions { base_url: format!("{}{end}", server.base), ..server.options() }).unwrap();
        client.resolve(&reference()).await.unwrap_err();
    }
    let path = "/api/v1/repos/o/r/resolve?tag=latest";
    let lines = [format!("GET {path}"), format!("GET /hub/v2{path}")];
    assert_eq!(server.lines(), [&lines[0], &lines[0], &lines[1], &lines[1]].map(String::clone));
}

#[tokio::test]
async fn h1_2_no_base_fails_before_anything_is_sent() {
    for blank in ["", "  ", "/"] {
        let error = HubClient::new(HubClientOptions { base_url: blank.into(), ..HubClientOptions::default() });
        assert!(error.unwrap_err().to_string().contains("TENSORHUB_URL"));
    }
    for bad in ["hub.example", "ftp://hub", "http://user:pw@hub", "http://hub?x=1", "http://hub#x", "http://hub/a b"] {
        let error =
            HubClient::new(HubClientOptions { base_url: bad.into(), ..HubClientOptions::default() }).unwrap_err();
        assert!(matches!(error, HubError::BaseUrl(_)) && error.class() == HubFailure::Fatal, "{bad}");
    }
    let roots = Some(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec());
    let options =
        HubClientOptions { base_url: "https://hub".into(), extra_roots: roots, ..HubClientOptions::default() };
    assert!(matches!(HubClient::new(options), Err(HubError::Roots(_))));
}

#[tokio::test]
async fn h1_3_the_token_is_a_bearer_or_there_is_no_header() {
    let server = Server::start(vec![Answer::Json(404, json!({}))]).await;
    let client = server.client();
    client.resolve(&reference()).await.unwrap_err();
    client.with_token(None).resolve(&reference()).await.unwrap_err();
    client.with_token(Some("other".parse().unwrap())).resolve(&reference()).await.unwrap_err();
    let tokens: Vec<_> = server.seen().iter().map(|seen| seen.header("authorization").map(str::to_owned)).collect();
    assert_eq!(tokens, [Some("Bearer tok-hush".to_owned()), None, Some("Bearer other".to_owned())]);
}

#[tokio::test]
async fn h1_4_a_resolve_names_no_owner() {
    let server = Server::start(vec![Answer::Json(404, json!({}))]).await;
    server.client().resolve(&reference()).await.unwrap_err();
    assert_eq!(server.seen()[0].header("x-cozy-owner"), None);
}

#[tokio::test]
async fn h1_10_errors_quote_only_so_much() {
    let long = Answer::Raw(http(418, "", "é".repeat(5000).as_bytes()));
    let server = Server::start(vec![long]).await;
    for (chars, name, error) in refused(&server.client()).await {
        let Some(HubError::Status { status: 418, detail, .. }) = error else { panic!("{name}: {error:?}") };
        assert_eq!(detail.chars().count(), chars, "{name}");
        assert_eq!(detail, "é".repeat(chars), "{name}");
    }
}

/// Calls that are refused, and how much of the refusal each may quote.
async fn refused(client: &HubClient) -> Vec<(usize, &'static str, Option<HubError>)> {
    let (repo, id, hash) = ("o/r".parse().unwrap(), "u1".parse().unwrap(), Blake3Hash::of(b"{}"));
    let media = UploadTarget::Media { owner: "acme".into() };
    let local = LocalFile { reference: "a".into(), size_bytes: 2, blake3: hash, mime_type: "x/y".into() };
    let upload = UploadCreate {
        blake3: hash,
        size_bytes: 2,
        request_id: None,
        job_id: None,
        content_type: None,
        create: false,
        place: UploadPlace::media("a").unwrap(),
    };
    let add = CommitOperation::Add { path: "a".parse().unwrap(), blake3: hash, size_bytes: 2 };
    let (commit, parts) = (CommitCreate::new(CommitMode::Merge, vec![add]), CompleteRequest::default());
    vec![
        (256, "resolve", client.resolve(&reference()).await.err()),
        (300, "create of an upload", client.create_upload(&media, &upload, &local).await.err()),
        (300, "complete of an upload", client.complete_upload(&media, &id, &parts, &local).await.err()),
        (256, "open of a session", client.open_session(&repo, &SessionOpen::default()).await.err()),
        (256, "finalize of a session", client.finalize_session(&repo, &id).await.err()),
        (256, "read of metadata", client.metadata(&repo).await.err()),
        (256, "change of metadata", client.put_metadata(&repo, &Map::new()).await.err()),
        (256, "list of datasets", client.datasets("o").await.err()),
        (256, "read of a blob", client.blob(&hash.into(), 10).await.err()),
        (800, "create of a commit", client.create_commit(&repo, &commit).await.err()),
        (500, "complete of a commit", client.complete_commit_upload(&repo, &id, &id, &parts).await.err()),
        (800, "finalize of a commit", client.finalize_commit(&repo, &id).await.err()),
    ]
}

#[tokio::test]
async fn h1_13_redirects_are_not_followed() {
    let there = Server::start(vec![Answer::Json(200, json!({}))]).await;
    let to: &'static str = Box::leak(format!("{}/x", there.base).into_boxed_str());
    let here = Server::start(vec![Answer::With(307, "Location", to)]).await;
    let error = here.client().resolve(&reference()).await.unwrap_err();
    assert!(matches!(error, HubError::Status { status: 307, .. }));
    assert!(there.lines().is_empty());
}

#[tokio::test]
async fn h1_14_no_token_and_no_address_is_in_an_error() {
    let said = "denied: Bearer tok-hush for http://h/a?X-Amz-Signature=hush";
    for answer in [
        Answer::Raw(http(403, "", said.as_bytes())),
        Answer::Raw(http(500, "", said.as_bytes())),
        Answer::Raw(http(200, "", format!("{{\"snapshot_digest\":\"{said}\"}}").as_bytes())),
        Answer::Hangup,
    ] {
        let server = Server::start(vec![answer]).await;
        let error = server.client().resolve(&reference()).await.unwrap_err();
        let text = all_of(&error);
        assert!(!text.contains("hush") && !text.contains("tag=latest"), "{text}");
    }
    let server = Server::start(vec![Answer::Hangup]).await;
    assert!(!format!("{:?} {:?}", server.client(), server.options()).contains("hush"));
}
