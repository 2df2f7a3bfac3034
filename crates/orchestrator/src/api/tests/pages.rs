//! Lists (P-20).

use std::collections::HashSet;

use serde_json::Value;

use super::harness::Service;

fn ids(page: &Value) -> Vec<String> {
    page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn p20_requests_are_paged_newest_first_and_stable_under_inserts() {
    let service = Service::start().await;
    let mut submitted = Vec::new();
    for _ in 0..7 {
        submitted.push(service.submit("embed").await);
    }
    submitted.reverse();
    let mut seen = Vec::new();
    let mut path = "/v1/requests?limit=3".to_owned();
    loop {
        let page = service.get(&path).await.json();
        seen.extend(ids(&page));
        service.submit("embed").await;
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/v1/requests?limit=3&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, submitted);
}

#[tokio::test]
async fn p20_requests_are_filtered() {
    let service = Service::with_worker().await;
    let queued = service.submit("embed").await;
    let done = service.post("/v1/run/echo", "{}").await.json();
    let list = async |query: &str| ids(&service.get(&format!("/v1/requests?{query}")).await.json());
    assert_eq!(list("state=queued").await, [queued.as_str()]);
    assert_eq!(list("state=succeeded&function=Echo").await, [done["id"].as_str().unwrap()]);
    assert!(list("since=2999-01-01T00:00:00Z").await.is_empty());
    assert_eq!(list("tenant=dev&since=2020-01-01T00:00:00Z").await.len(), 2);
    let other = service.get("/v1/requests?tenant=other").await;
    assert_eq!(other.error(), (403, "forbidden".to_owned()));
    for bad in ["state=lost", "since=yesterday", "cursor=*", "cursor=bm9wZQ", "limit=0", "limit=501"] {
        assert_eq!(service.get(&format!("/v1/requests?{bad}")).await.error(), (400, "invalid".to_owned()), "{bad}");
    }
}

#[tokio::test]
async fn p20_functions_are_paged() {
    let service = Service::with_worker().await;
    let mut names = HashSet::new();
    let mut path = "/v1/functions?limit=4".to_owned();
    loop {
        let page = service.get(&path).await.json();
        for item in page["items"].as_array().unwrap() {
            assert!(names.insert(item["name"].as_str().unwrap().to_owned()), "{item}");
        }
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/v1/functions?limit=4&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(names.len(), super::harness::FUNCTIONS.len() + super::harness::KNOWN.len());
}
