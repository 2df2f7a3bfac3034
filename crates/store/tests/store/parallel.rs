//! How many files come at once (section 7), seen from the server: those that may come do, and no other does before one has ended.

use std::{collections::HashMap, sync::Arc};

use gen_worker_hub::{Blake3Hash, api::Resolved};
use gen_worker_store::{FetchError, HeldModel};
use tokio::sync::Notify;

use crate::{
    pool::{Place, bytes, fetch},
    server::Answer,
};

/// Files that come only once the test lets each of them.
#[derive(Default)]
struct Gates(HashMap<String, Arc<Notify>>);

impl Gates {
    /// A tree of `count` files that no other has, behind gates.
    fn tree(&mut self, place: &Place, id: &str, count: u8) -> Resolved {
        let named: Vec<_> =
            (0..count).map(|n| (format!("f{n}"), [id.as_bytes(), &bytes(1000), &[n]].concat())).collect();
        for (_, content) in &named {
            let (name, go) = (Blake3Hash::of(content).to_string(), Arc::new(Notify::new()));
            place.server.script(&name, [Answer::Wait(Arc::clone(&go))]);
            self.0.insert(name, go);
        }
        place.tree(id, &named.iter().map(|(path, content)| (path.as_str(), content.as_slice())).collect::<Vec<_>>())
    }

    /// Lets all files through, one after the other: at any time `at_once` are asked for, as long as there are so many.
    async fn pass(&self, place: &Place, at_once: usize) {
        let all = self.0.len();
        for ended in 0..all {
            let open = (ended + at_once).min(all);
            place.server.arrivals(open).await;
            time_for_others_to_come().await;
            let seen = place.server.seen();
            assert_eq!(seen.len() - ended, open - ended, "files at once after {ended} have come");
            self.0[&seen[ended].path].notify_one();
        }
    }
}

/// Whatever this thread still had to do for another request has been done when this has ended: it is a whole download.
async fn time_for_others_to_come() {
    let elsewhere = Place::new().await;
    fetch(&elsewhere.store().await, &elsewhere.one(b"content")).await.unwrap();
}

fn all_came(fetched: Vec<Result<HeldModel, FetchError>>) {
    for held in fetched {
        assert!(held.unwrap().dir().is_dir());
    }
}

#[tokio::test]
async fn m6_12_four_files_of_a_tree_come_at_once_and_never_a_fifth() {
    let (place, mut gates) = (Place::new().await, Gates::default());
    let tree = gates.tree(&place, "t", 10);
    let store = place.store().await;
    let (fetched, ()) = tokio::join!(fetch(&store, &tree), gates.pass(&place, 4));
    all_came(vec![fetched]);
    place.assert_sound();
}

#[tokio::test]
async fn m7_eight_files_of_all_trees_come_at_once_and_never_a_ninth() {
    let (place, mut gates) = (Place::new().await, Gates::default());
    let trees = ["t", "u", "v"].map(|id| gates.tree(&place, id, 4));
    let store = place.store().await;
    let fetches = futures::future::join_all(trees.iter().map(|tree| fetch(&store, tree)));
    let (fetched, ()) = tokio::join!(fetches, gates.pass(&place, 8));
    all_came(fetched);
    place.assert_sound();
}
