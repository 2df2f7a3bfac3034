//! The space that a store leaves free when nobody says another number (rules 6.14, 8.3).

use std::{path::Path, sync::Arc};

use gen_worker_hub::api::Resolved;
use gen_worker_store::{DiskSpace, FetchError, HeldModel, Store, StoreOptions};
use gen_worker_tasks::Cancel;

use crate::pool::{Place, bytes, fetch};

const GIB: u64 = 1 << 30;

/// Bytes of the model.
const LEN: u64 = 1000;

/// A disk on which always so much is free.
struct Free(u64);

impl DiskSpace for Free {
    fn available_bytes(&self, _path: &Path) -> std::io::Result<u64> {
        Ok(self.0)
    }
}

/// How a download of the model goes with the defaults, but for `change`, where so much is free.
async fn with_free(
    free: u64,
    change: fn(StoreOptions) -> StoreOptions,
    told: fn(Resolved) -> Resolved,
) -> Result<HeldModel, FetchError> {
    let place = Place::new().await;
    let tree = told(place.one(&bytes(LEN as usize)));
    let options = StoreOptions { space: Arc::new(Free(free)), ..StoreOptions::new(place.dir.path()) };
    let store = Store::open(change(options), &Cancel::new()).await.unwrap();
    let fetched = fetch(&store, &tree).await;
    place.assert_sound();
    fetched
}

/// What was short: bytes that were needed, and those that were there.
fn short(fetched: Result<HeldModel, FetchError>) -> Option<(u64, u64)> {
    match fetched.unwrap_err() {
        FetchError::InsufficientDisk { required_bytes, available_bytes, .. } => Some((required_bytes, available_bytes)),
        _ => None,
    }
}

#[tokio::test]
async fn m8_3_two_gib_stay_free_beside_a_download() {
    let enough = LEN + 2 * GIB;
    with_free(enough, |options| options, |tree| tree).await.unwrap();
    let fetched = with_free(enough - 1, |options| options, |tree| tree).await;
    assert_eq!(short(fetched), Some((enough, enough - 1)));
}

#[tokio::test]
async fn m6_14_one_gib_stays_free_where_no_more_is_asked_for() {
    let bare = |options| StoreOptions { headroom_bytes: 0, ..options };
    let enough = LEN + GIB;
    with_free(enough, bare, |tree| tree).await.unwrap();
    assert_eq!(short(with_free(enough - 1, bare, |tree| tree).await), Some((enough, enough - 1)));
}

#[tokio::test]
async fn m6_14_a_file_of_unknown_size_leaves_one_gib() {
    let unsaid = |mut tree: Resolved| {
        tree.files[0].size_bytes = 0;
        tree
    };
    with_free(LEN + GIB, |options| options, unsaid).await.unwrap();
    // The file may have what is beyond the reserve, and one byte of it is too much.
    let fetched = with_free(LEN + GIB - 1, |options| options, unsaid).await;
    assert_eq!(short(fetched), Some((LEN, LEN - 1)));
}
