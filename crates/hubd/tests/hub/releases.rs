//! Releases of projects, and which of them callers get.

use anyhow::{Context as _, Result, ensure};
use gen_worker_hub::{
    BearerToken, HubRef,
    api::{Promotion, Rollback, TagChange},
    client::{HubClient, HubClientOptions, HubError},
    names::{ReleaseId, Slug, Tag},
    token::{Area, ByteLimits, Right, Role, RoleClaims},
};
use gen_worker_hubd::{Visibility, signing::role_signer};
use serde_json::{Value, json};

use crate::server::{OPERATOR, SECRET, Server, adding};

/// What is asked for, of the project `paint` of `acme`.
struct Scene {
    server: Server,
    _directory: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let server = Server::start(directory.path(), Visibility::Private).await?;
        Ok(Self { server, _directory: directory })
    }

    fn role(&self, name: &str, tenant: &str, roles: &[Role]) -> Result<BearerToken> {
        let iat = self.server.clock.now_s();
        let claims =
            RoleClaims { sub: name.to_owned(), tenant: tenant.to_owned(), roles: roles.to_vec(), iat, exp: iat + 3600 };
        Ok(role_signer(&SECRET)?.sign_role(&claims)?)
    }

    fn request(&self, token: &str, method: &str, path: &str) -> Result<reqwest::RequestBuilder> {
        let url = format!("{}/api/v1/projects/acme/paint{path}", self.server.url);
        let request = self.server.http.request(method.parse()?, url);
        Ok(if token.is_empty() { request } else { request.bearer_auth(token) })
    }

    async fn call(&self, token: &str, method: &str, path: &str, body: Value) -> Result<(u16, Value)> {
        let mut request = self.request(token, method, path)?;
        if !body.is_null() {
            request = request.body(body.to_string());
        }
        told(request.send().await?).await
    }

    /// What the operator gets.
    async fn get(&self, path: &str) -> Result<Value> {
        let (status, reply) = self.call(OPERATOR, "GET", path, Value::Null).await?;
        ensure!(status == 200, "{path}: {status} {reply}");
        Ok(reply)
    }

    async fn publish(&self, functions: &[&str]) -> Result<ReleaseId> {
        let (status, reply) = self.call(OPERATOR, "POST", "/releases", of(functions)).await?;
        ensure!(status == 201, "{status} {reply}");
        Ok(reply["release_id"].as_str().context("an id")?.parse()?)
    }

    fn client(&self, token: &BearerToken) -> Result<HubClient> {
        let (base_url, token) = (self.server.url.clone(), Some(token.clone()));
        Ok(HubClient::new(HubClientOptions { base_url, token, ..HubClientOptions::default() })?)
    }

    /// What the client of a promoter does to `prod` of `draw`.
    async fn point(&self, release: &ReleaseId, expected: Option<&str>) -> Result<u64, HubError> {
        let client = self.client(&OPERATOR.parse().expect("a token")).expect("a client");
        let change = TagChange {
            release_id: release.clone(),
            expected_release_id: expected.map(str::to_owned),
            reason: Some("why".to_owned()),
        };
        client
            .set_endpoint_tag("acme", &slug("paint"), &slug("draw"), &prod(), &change)
            .await
            .map(|done| done.generation)
    }

    async fn roll_back(&self, to: Option<&ReleaseId>) -> Result<ReleaseId, HubError> {
        let client = self.client(&OPERATOR.parse().expect("a token")).expect("a client");
        let rollback = Rollback { to_release_id: to.cloned(), reason: None };
        let done = client.roll_back("acme", &slug("paint"), &slug("draw"), &prod(), &rollback).await;
        done.map(|done| done.release_id)
    }
}

async fn told(reply: reqwest::Response) -> Result<(u16, Value)> {
    let status = reply.status().as_u16();
    Ok((status, serde_json::from_slice(&reply.bytes().await?).unwrap_or_default()))
}

fn of(functions: &[&str]) -> Value {
    let functions: Vec<_> = functions.iter().map(|name| json!({"name": name, "kind": "inference"})).collect();
    json!({"manifest": {"functions": functions}})
}

fn slug(text: &str) -> Slug {
    text.parse().expect("a slug")
}

fn prod() -> Tag {
    "prod".parse().expect("a tag")
}

#[tokio::test]
async fn h13_1_a_repeated_publish_with_one_key_is_one_release_and_without_a_key_two() -> Result<()> {
    let scene = Scene::new().await?;
    let (one, other) = (scene.publish(&["draw"]).await?, scene.publish(&["draw"]).await?);
    assert_ne!(one, other, "identical content");
    let publish = async |key: &str, functions: &[&str]| {
        let request = scene.request(OPERATOR, "POST", "/releases")?.header("idempotency-key", key);
        told(request.body(of(functions).to_string()).send().await?).await
    };
    let (status, first) = publish("k1", &["draw"]).await?;
    assert_eq!((status, &first["seq"], &first["endpoints"]), (201, &json!(3), &json!(["draw"])));
    let again = publish("k1", &["erase"]).await?;
    assert_eq!(again, (200, first), "the first one, as it was");
    assert_eq!(publish(&"k".repeat(129), &["draw"]).await?.0, 422);
    scene.server.clock.advance(24 * 60 * 60);
    assert_eq!(publish("k1", &["erase"]).await?.0, 201, "after a day it is another one");
    Ok(())
}

#[tokio::test]
async fn h13_2_a_release_does_not_change_and_its_manifest_is_kept_byte_by_byte() -> Result<()> {
    let scene = Scene::new().await?;
    let manifest = "{ \"functions\" : [{\"name\":\"medasr_transcribe\"} ], \"x\":1.50,\"x\":2 }";
    let image = json!({"ref": "registry/paint:1"});
    let body =
        format!("{{\"manifest\":{manifest},\"image\":{image},\"notes\":\"first\",\"compatibility_version\":\"2\"}}");
    let reply = scene.request(OPERATOR, "POST", "/releases")?.body(body).send().await?;
    let (status, published) = told(reply).await?;
    assert_eq!((status, &published["endpoints"]), (201, &json!(["medasr-transcribe"])), "{published}");
    assert_eq!(published["manifest_digest"], format!("blake3:{}", blake3::hash(manifest.as_bytes())));
    assert_eq!(published["warnings"].as_array().map(Vec::len), Some(1), "no digest of the image: {published}");
    let path = format!("/releases/{}", published["release_id"].as_str().context("an id")?);
    let text = scene.request(OPERATOR, "GET", &path)?.send().await?.text().await?;
    assert!(text.contains(manifest), "{text}");
    let shown: Value = serde_json::from_str(&text)?;
    assert_eq!((&shown["image"], &shown["notes"], &shown["created_by"]), (&image, &json!("first"), &json!("operator")));
    for method in ["PUT", "PATCH", "POST"] {
        assert_eq!(scene.call(OPERATOR, method, &path, of(&["other"])).await?.0, 405, "{method}");
    }
    assert_eq!(scene.call(OPERATOR, "GET", &format!("/releases/r_{}", "a".repeat(26)), Value::Null).await?.0, 404);
    Ok(())
}

#[tokio::test]
async fn h13_3_a_publish_moves_no_tag_and_lists_go_page_by_page() -> Result<()> {
    let scene = Scene::new().await?;
    let mut ids = Vec::new();
    for functions in [&["draw", "erase"][..], &["draw"], &[]] {
        ids.push(scene.publish(functions).await?);
    }
    assert_eq!(scene.get("/endpoints/draw/tags").await?, json!([]));
    let first = scene.get("/releases?limit=2").await?;
    let rows = first["items"].as_array().context("rows")?;
    assert_eq!([&rows[0]["release_id"], &rows[1]["release_id"]], [&json!(ids[2]), &json!(ids[1])]);
    let path = format!("/releases?limit=2&cursor={}", first["next_cursor"].as_str().context("a cursor")?);
    let second = scene.get(&path).await?;
    assert_eq!((&second["items"][0]["release_id"], &second["next_cursor"]), (&json!(ids[0]), &Value::Null));
    scene.point(&ids[1], None).await?;
    let endpoints = scene.get("/endpoints").await?;
    let named: Vec<_> = endpoints["items"].as_array().context("rows")?.iter().map(|row| &row["endpoint"]).collect();
    assert_eq!(named, [&json!("draw"), &json!("erase")]);
    assert_eq!(endpoints["items"][0]["tags"][0]["release_id"], json!(ids[1]));
    assert_eq!(scene.call(OPERATOR, "GET", "/releases?cursor=x", Value::Null).await?.0, 422);
    Ok(())
}

#[tokio::test]
async fn h13_4_a_tag_moves_only_to_what_has_the_endpoint_and_from_where_it_is_expected() -> Result<()> {
    let scene = Scene::new().await?;
    let (one, other) = (scene.publish(&["draw", "erase"]).await?, scene.publish(&["draw"]).await?);
    let gone: ReleaseId = format!("r_{}", "a".repeat(26)).parse()?;
    let code = |error: HubError| error.code().unwrap_or_default().to_owned();
    assert!(matches!(scene.point(&gone, None).await, Err(HubError::NotFound { .. })));
    assert_eq!(scene.point(&one, Some("")).await?, 1, "it must not exist");
    assert_eq!(code(scene.point(&one, Some("")).await.unwrap_err()), "tag_conflict");
    let body = json!({"release_id": one, "expected_release_id": other});
    let (status, reply) = scene.call(OPERATOR, "PUT", "/endpoints/draw/tags/prod", body).await?;
    assert_eq!((status, &reply["error"]["current_release_id"]), (409, &json!(one)), "{reply}");
    assert_eq!(scene.point(&other, Some(one.as_str())).await?, 2);
    // All or nothing.
    let client = scene.client(&OPERATOR.parse()?)?;
    let promotion = |release: &ReleaseId, endpoints: Option<&[&str]>| Promotion {
        release_id: release.clone(),
        tag: None,
        endpoints: endpoints.map(|names| names.iter().map(|name| slug(name)).collect()),
        reason: None,
    };
    let refused = client.promote("acme", &slug("paint"), &promotion(&other, Some(&["draw", "erase"]))).await;
    assert_eq!(code(refused.unwrap_err()), "endpoint_not_in_release");
    assert_eq!(scene.get("/endpoints/erase/tags").await?, json!([]));
    let moved = client.promote("acme", &slug("paint"), &promotion(&one, None)).await?;
    let told: Vec<_> = moved.iter().map(|moved| (moved.endpoint.clone(), moved.generation)).collect();
    assert_eq!(told, [(Some(slug("draw")), 3), (Some(slug("erase")), 1)]);
    Ok(())
}

#[tokio::test]
async fn h13_5_a_change_of_tags_is_seen_whole_or_not_at_all() -> Result<()> {
    const CHANGES: u64 = 20;
    let scene = Scene::new().await?;
    let (one, other) = (scene.publish(&["draw", "erase"]).await?, scene.publish(&["draw", "erase"]).await?);
    let client = scene.client(&OPERATOR.parse()?)?;
    let promote = async |release: &ReleaseId| {
        let promotion = Promotion { release_id: release.clone(), tag: None, endpoints: None, reason: None };
        client.promote("acme", &slug("paint"), &promotion).await
    };
    promote(&one).await?;
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let writes = async {
        for generation in 2..2 + CHANGES {
            let moved = promote(if generation % 2 == 0 { &other } else { &one }).await?;
            let generations: Vec<u64> = moved.iter().map(|moved| moved.generation).collect();
            ensure!(generations == [generation, generation], "one more with each change: {generations:?}");
        }
        is_over.store(true, std::sync::atomic::Ordering::SeqCst);
        Ok(())
    };
    let reads = async {
        let mut last = 0;
        while !is_over.load(std::sync::atomic::Ordering::SeqCst) {
            let found = scene.get("/endpoints").await?;
            let tags: Vec<_> =
                ["/items/0/tags/0", "/items/1/tags/0"].iter().filter_map(|at| found.pointer(at)).collect();
            let [draw, erase] = tags[..] else { anyhow::bail!("two endpoints: {found}") };
            for name in ["release_id", "generation"] {
                ensure!(draw[name] == erase[name], "of two changes: {found}");
            }
            let generation = draw["generation"].as_u64().context("a number")?;
            ensure!(generation >= last, "an older one after a newer one: {found}");
            last = generation;
        }
        Ok(())
    };
    tokio::try_join!(writes, reads)?;
    Ok(())
}

#[tokio::test]
async fn h13_9_endpoints_mean_prod_and_models_latest_when_nothing_is_named() -> Result<()> {
    let scene = Scene::new().await?;
    let one = scene.publish(&["draw"]).await?;
    let client = scene.client(&OPERATOR.parse()?)?;
    let promotion = Promotion { release_id: one, tag: None, endpoints: None, reason: None };
    client.promote("acme", &slug("paint"), &promotion).await?;
    let tags = client.endpoint_tags("acme", &slug("paint"), &slug("draw")).await?;
    assert_eq!(tags.iter().map(|tag| tag.tag.as_str()).collect::<Vec<_>>(), ["prod"]);
    let commit = adding(gen_worker_hub::api::CommitMode::Replace, &[("a", b"1")])?;
    scene.server.commit(&scene.server.writer("acme")?, &"acme/draw".parse()?, &commit, &[b"1"]).await?;
    assert!(client.resolve(&HubRef::parse("acme/draw")?).await.is_ok());
    let prod = client.resolve(&HubRef::parse("acme/draw:prod")?).await;
    assert!(matches!(prod, Err(HubError::NotFound { .. })), "the tag of an endpoint is none of a model: {prod:?}");
    Ok(())
}

#[tokio::test]
async fn h13_6_to_promote_what_is_current_changes_nothing() -> Result<()> {
    let scene = Scene::new().await?;
    let one = scene.publish(&["draw"]).await?;
    for _ in 0..2 {
        assert_eq!(scene.point(&one, None).await?, 1);
    }
    let history = scene.get("/endpoints/draw/tags/prod/history").await?;
    assert_eq!(history["items"].as_array().map(Vec::len), Some(1));
    Ok(())
}

#[tokio::test]
async fn h13_7_to_roll_back_twice_goes_further_back() -> Result<()> {
    let scene = Scene::new().await?;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(scene.publish(&["draw"]).await?);
        scene.point(&ids[ids.len() - 1], None).await?;
    }
    assert_eq!(scene.roll_back(None).await?, ids[1]);
    assert_eq!(scene.roll_back(None).await?, ids[0]);
    assert_eq!(scene.roll_back(None).await.unwrap_err().code(), Some("no_previous_release"));
    scene.point(&ids[2], None).await?;
    assert_eq!(scene.roll_back(Some(&ids[0])).await?, ids[0]);
    let history = scene.get("/endpoints/draw/tags/prod/history?limit=2").await?;
    let (last, before) = (&history["items"][0], &history["items"][1]);
    let expected = json!({
        "action": "rollback", "from_release_id": ids[2], "to_release_id": ids[0], "generation": 7, "by": "operator",
        "at": last["at"], "reason": null,
    });
    assert_eq!((last, &before["action"], &before["reason"]), (&expected, &json!("promote"), &json!("why")));
    let path = format!("/endpoints/draw/tags/prod/history?cursor={}", history["next_cursor"].as_str().context("one")?);
    assert_eq!(scene.get(&path).await?["items"].as_array().map(Vec::len), Some(5));
    // In use, and `prod`: neither goes.
    let (status, reply) = scene.call(OPERATOR, "DELETE", &format!("/releases/{}", ids[0]), Value::Null).await?;
    assert_eq!((status, &reply["error"]["code"]), (409, &json!("release_in_use")));
    assert_eq!(scene.call(OPERATOR, "DELETE", &format!("/releases/{}", ids[1]), Value::Null).await?.0, 204);
    assert_eq!(scene.call(OPERATOR, "DELETE", "/endpoints/draw/tags/prod", Value::Null).await?.0, 409);
    let beta = json!({"release_id": ids[0]});
    assert_eq!(scene.call(OPERATOR, "PUT", "/endpoints/draw/tags/beta", beta).await?.0, 200);
    for status in [204, 404] {
        assert_eq!(scene.call(OPERATOR, "DELETE", "/endpoints/draw/tags/beta", Value::Null).await?.0, status);
    }
    Ok(())
}

#[tokio::test]
async fn h13_8_names_become_slugs_and_two_functions_may_not_share_one() -> Result<()> {
    let scene = Scene::new().await?;
    let (status, reply) = scene.call(OPERATOR, "POST", "/releases", of(&["draw_it", "Draw-It"])).await?;
    assert_eq!((status, &reply["error"]["code"]), (422, &json!("slug_collision")), "{reply}");
    for manifest in [json!(null), json!({"functions": [{}]}), json!({"functions": [{"name": "--"}]}), json!("text")] {
        let (status, reply) = scene.call(OPERATOR, "POST", "/releases", json!({"manifest": manifest})).await?;
        assert_eq!((status, &reply["error"]["code"]), (422, &json!("invalid_manifest")), "{manifest}");
    }
    let one = scene.publish(&["draw_it"]).await?;
    let body = json!({"release_id": one});
    // People write the name of the function.
    assert_eq!(scene.call(OPERATOR, "PUT", "/endpoints/Draw_It/tags/prod", body.clone()).await?.0, 200);
    assert_eq!(scene.get("/endpoints/draw-it/tags").await?[0]["release_id"], json!(one));
    assert_eq!(scene.call(OPERATOR, "PUT", "/endpoints/draw-it/tags/-x", body).await?.0, 422);
    for project in ["ab", "1paint", "%20", &"p".repeat(64)] {
        let url = format!("{}/api/v1/projects/acme/{project}/releases", scene.server.url);
        let reply = scene.server.http.get(url).bearer_auth(OPERATOR).send().await?;
        assert_eq!(reply.status().as_u16(), 422, "{project}");
    }
    Ok(())
}

#[tokio::test]
async fn h13_10_publishers_publish_promoters_promote_and_jobs_do_neither() -> Result<()> {
    let scene = Scene::new().await?;
    let publisher = scene.role("ann", "acme", &[Role::Publisher])?;
    let promoter = scene.role("bob", "acme", &[Role::Promoter])?;
    let other = scene.role("eve", "other", &[Role::Publisher, Role::Promoter])?;
    let job = scene.server.token("acme", &[(Area::Repo, Right::Write, "acme")], ByteLimits::default())?;
    let (status, published) = scene.call(publisher.reveal(), "POST", "/releases", of(&["draw"])).await?;
    assert_eq!(status, 201, "{published}");
    let body = json!({"release_id": published["release_id"], "reason": "because"});
    let path = "/endpoints/draw/tags/prod";
    for (token, status) in [(&promoter, 403), (&other, 403), (&job, 403)] {
        assert_eq!(scene.call(token.reveal(), "POST", "/releases", of(&["draw"])).await?.0, status);
    }
    for (token, status) in [(publisher.reveal(), 403), (other.reveal(), 403), (job.reveal(), 403), ("", 401)] {
        assert_eq!(scene.call(token, "PUT", path, body.clone()).await?.0, status);
        assert_eq!(scene.call(token, "POST", &format!("{path}/rollback"), Value::Null).await?.0, status);
        assert_eq!(scene.call(token, "POST", "/promote", body.clone()).await?.0, status);
        assert_eq!(scene.call(token, "DELETE", path, Value::Null).await?.0, status);
    }
    assert_eq!(scene.call(promoter.reveal(), "PUT", path, body).await?.0, 200);
    // Who did it is written down; whoever belongs to the tenant may look.
    for (token, status) in [(publisher.reveal(), 200), (job.reveal(), 200), (other.reveal(), 404), ("", 401)] {
        let (told, history) = scene.call(token, "GET", &format!("{path}/history"), Value::Null).await?;
        assert_eq!(told, status);
        assert!(status != 200 || history["items"][0]["by"] == "bob", "{history}");
    }
    scene.server.clock.advance(3600);
    assert_eq!(scene.call(publisher.reveal(), "GET", "/releases", Value::Null).await?.0, 401, "it has expired");
    Ok(())
}

#[tokio::test]
async fn h16_7_of_two_writers_who_expect_the_same_one_wins() -> Result<()> {
    let scene = Scene::new().await?;
    let ids = [scene.publish(&["draw"]).await?, scene.publish(&["draw"]).await?, scene.publish(&["draw"]).await?];
    let mut current = ids[0].clone();
    scene.point(&current, Some("")).await?;
    for generation in 2..30 {
        let others: Vec<_> = ids.iter().filter(|id| **id != current).collect();
        let expected = Some(current.as_str());
        let (one, other) = tokio::join!(scene.point(others[0], expected), scene.point(others[1], expected));
        let (winner, won, lost) = match (one, other) {
            (Ok(won), Err(lost)) => (others[0], won, lost),
            (Err(lost), Ok(won)) => (others[1], won, lost),
            both => anyhow::bail!("one of the two wins: {both:?}"),
        };
        assert_eq!((won, lost.code()), (generation, Some("tag_conflict")));
        current = winner.clone();
    }
    // Without an expectation both happen, one after the other, and a rollback among them finds what was there.
    let (one, other, back) =
        tokio::join!(scene.point(&ids[0], None), scene.point(&ids[1], None), scene.roll_back(None));
    let changes = [one?, other?].into_iter().max().unwrap_or_default();
    back?;
    let history = scene.get("/endpoints/draw/tags/prod/history?limit=200").await?;
    let items = history["items"].as_array().context("rows")?;
    let generations: Vec<_> = items.iter().rev().filter_map(|item| item["generation"].as_u64()).collect();
    assert!(generations.iter().copied().eq(1..=items.len() as u64), "each once: {generations:?}, {changes}");
    for pair in items.windows(2) {
        assert_eq!(pair[0]["from_release_id"], pair[1]["to_release_id"], "none is lost");
    }
    let tags = scene.get("/endpoints/draw/tags").await?;
    assert_eq!(tags[0]["release_id"], items[0]["to_release_id"]);
    Ok(())
}
