//! Processes that are killed while they download, build and evict, again and again.

use std::fs;

use gen_worker_hub::api::Resolved;

use crate::{
    child::{BUDGET, Child, order},
    pool::{Place, assert_verified, bytes, fetch, files},
};

/// Kills, each after the child has said another number of things.
const KILLS: usize = 24;

/// What each of them may hold: two of the four models at a time.
const DISK_BYTES: u64 = 700_000;

/// What is in the files of model `id`: a part of it is in all.
fn content(id: usize) -> [(&'static str, Vec<u8>); 3] {
    let own = |salt: u8, len| -> Vec<u8> { bytes(len).into_iter().map(|byte| byte ^ salt).collect() };
    let salt = u8::try_from(id + 1).unwrap();
    [("a/large", own(salt, 200_000)), ("b", own(salt, 1_000)), ("shared", bytes(90_000))]
}

fn model(place: &Place, id: usize) -> Resolved {
    let content = content(id);
    place.tree(&format!("m{id}"), &content.each_ref().map(|(path, bytes)| (*path, bytes.as_slice())))
}

/// What is true after a crash at any moment: what is in a final place is complete and right.
fn assert_invariants(place: &Place) {
    assert_verified(&place.layout());
    let index: serde_json::Value = match fs::read(place.layout().index()) {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap(),
        Err(_) => serde_json::json!({}),
    };
    assert!(index.is_object());
    for entry in fs::read_dir(place.layout().snapshots()).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let Some(id) = name.strip_prefix('m').filter(|_| !name.contains(".building.")) else { continue };
        let found = files(&path);
        for (file, bytes) in content(id.parse().unwrap()) {
            assert_eq!(found.get(&path.join(file)), Some(&bytes), "{name}/{file}");
        }
        assert_eq!(found.len(), 3);
    }
}

#[tokio::test]
async fn m6_15_kills_at_any_moment_leave_what_is_complete_and_what_is_gone_on_with() {
    let place = Place::new().await;
    let models: Vec<_> = (0..4).map(|id| model(&place, id)).collect();
    order(place.dir.path(), &models.iter().collect::<Vec<_>>());
    fs::write(place.dir.path().join(BUDGET), DISK_BYTES.to_string()).unwrap();
    for kill in 0..KILLS {
        // Two at a time: what one leaves, the other may be at.
        let (mut one, mut two) = (Child::start(&place), Child::start(&place));
        one.said(3 + kill * 2).await;
        one.killed().await;
        assert_verified(&place.layout());
        two.said(3 + kill).await;
        two.killed().await;
        assert_invariants(&place);
    }
    let store = place.store().await;
    place.assert_sound();
    for model in &models {
        fetch(&store, model).await.unwrap();
    }
    assert_invariants(&place);
}
