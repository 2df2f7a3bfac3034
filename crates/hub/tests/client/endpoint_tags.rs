//! Tags of section 13.

use gen_worker_hub::{
    api::{Promotion, Rollback, TagChange},
    client::{HubError, HubFailure},
    names::{ReleaseId, Slug, Tag},
};
use serde_json::{Value, json};

use crate::server::{Answer, Server};

const PATH: &str = "/api/v1/projects/ac%20me/paint";

fn release(letter: char) -> ReleaseId {
    format!("r_{}", letter.to_string().repeat(26)).parse().unwrap()
}

fn slug(text: &str) -> Slug {
    text.parse().unwrap()
}

fn prod() -> Tag {
    "prod".parse().unwrap()
}

fn moved() -> Value {
    json!({"tag": "prod", "release_id": release('b'), "previous_release_id": release('a'), "generation": 2})
}

#[tokio::test]
async fn h13_tags_are_listed_moved_and_taken_away() {
    let listed = json!([{"tag": "prod", "release_id": release('a'), "generation": 1, "updated_at": "now"}]);
    let server = Server::start(vec![
        Answer::Json(200, listed),
        Answer::Json(200, moved()),
        Answer::Json(200, json!([moved()])),
        Answer::Json(200, moved()),
        Answer::Json(204, json!({})),
    ])
    .await;
    let (client, project, endpoint) = (server.client(), slug("paint"), slug("draw"));
    let tags = client.endpoint_tags("ac me", &project, &endpoint).await.unwrap();
    assert_eq!((tags[0].release_id.clone(), tags[0].generation), (release('a'), 1));
    let change =
        TagChange { release_id: release('b'), expected_release_id: Some(release('a').to_string()), reason: None };
    let now = client.set_endpoint_tag("ac me", &project, &endpoint, &prod(), &change).await.unwrap();
    assert_eq!((now.release_id, now.previous_release_id), (release('b'), Some(release('a'))));
    let promotion =
        Promotion { release_id: release('b'), tag: None, endpoints: Some(vec![endpoint.clone()]), reason: None };
    assert_eq!(client.promote("ac me", &project, &promotion).await.unwrap().len(), 1);
    client.roll_back("ac me", &project, &endpoint, &prod(), &Rollback::default()).await.unwrap();
    client.delete_endpoint_tag("ac me", &project, &endpoint, &prod()).await.unwrap();
    assert_eq!(
        server.lines(),
        [
            format!("GET {PATH}/endpoints/draw/tags"),
            format!("PUT {PATH}/endpoints/draw/tags/prod"),
            format!("POST {PATH}/promote"),
            format!("POST {PATH}/endpoints/draw/tags/prod/rollback"),
            format!("DELETE {PATH}/endpoints/draw/tags/prod"),
        ]
    );
    let bodies: Vec<Value> = server.seen()[1..4].iter().map(|seen| seen.json()).collect();
    assert_eq!(
        bodies,
        [
            json!({"release_id": release('b'), "expected_release_id": release('a')}),
            json!({"release_id": release('b'), "endpoints": ["draw"]}),
            json!({}),
        ]
    );
}

#[tokio::test]
async fn h13_4_a_conflict_names_itself_and_nothing_is_repeated() {
    let conflict = json!({"error": {"code": "tag_conflict", "message": "m", "current": release('c')}});
    let server = Server::start(vec![Answer::Json(409, conflict), Answer::Json(503, json!({}))]).await;
    let (client, project) = (server.client(), slug("paint"));
    let promotion = Promotion { release_id: release('b'), tag: Some(prod()), endpoints: None, reason: None };
    let error = client.promote("acme", &project, &promotion).await.unwrap_err();
    assert_eq!((error.code(), error.class()), (Some("tag_conflict"), HubFailure::Invalid));
    let error = client.promote("acme", &project, &promotion).await.unwrap_err();
    assert_eq!((error.class(), server.lines().len()), (HubFailure::Retryable, 2));
    assert!(matches!(client.promote("..", &project, &promotion).await, Err(HubError::Refused { .. })));
}
