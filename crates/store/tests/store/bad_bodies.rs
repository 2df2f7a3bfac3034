//! Answers that are wrong in any order: what comes of them is the right file or an error that says why, and never anything else.

use std::{
    fs,
    process::{Command, Stdio},
    sync::LazyLock,
    time::Duration,
};

use gen_worker_hub::Blake3Hash;
use gen_worker_store::{FetchError, Store, StoreOptions, TransferOptions};
use gen_worker_tasks::Cancel;
use proptest::{
    prelude::*,
    test_runner::{FileFailurePersistence, RngSeed},
};

use crate::{
    pool::{Place, bytes, fetch, files},
    server::Answer,
};

/// More than is written at a time, so that some of it is on disk when the rest does not come.
const LEN: usize = 400_000;

/// Times that wrong bytes are taken as a mistake on the way (rule 6.6).
const WRONG_MAX: usize = 3;

static CONTENT: LazyLock<Vec<u8>> = LazyLock::new(|| bytes(LEN));

/// A store that leaves a server soon which stalls.
async fn impatient(place: &Place) -> Store {
    let transfer = TransferOptions { stall: Duration::from_millis(50), ..place.options().transfer };
    Store::open(StoreOptions { transfer, ..place.options() }, &Cancel::new()).await.unwrap()
}

fn answers() -> impl Strategy<Value = Vec<Answer>> {
    let last = LEN - 1;
    let ranges =
        [format!("bytes 1-{last}/{LEN}"), format!("bytes 0-{last}/{}", LEN + 1), "bytes */*".to_owned(), String::new()];
    let answer = prop_oneof![
        4 => (0..LEN).prop_map(Answer::Cut),
        1 => (0..LEN).prop_map(Answer::Stall),
        2 => prop::sample::select(ranges.to_vec()).prop_map(Answer::Range),
        1 => Just(Answer::Status(416)),
        1 => prop::sample::select(vec![400_u16, 403, 404, 410]).prop_map(Answer::Status),
        3 => prop::sample::select(vec![204_u16, 304, 408, 429, 500, 502, 503]).prop_map(Answer::Status),
        2 => Just(Answer::Whole),
        3 => (0..LEN).prop_map(Answer::Flip),
        1 => (0..2 * LEN).prop_map(|len| Answer::Bytes(CONTENT.iter().copied().cycle().take(len).collect())),
        1 => (0..2 * LEN).prop_map(|len| Answer::Unframed(CONTENT.iter().copied().cycle().take(len).collect())),
        1 => Just(Answer::Gzip(vec![0x1f; LEN])),
        1 => Just(Answer::File),
    ];
    proptest::collection::vec(answer, 1..9)
}

/// Whether an answer can bring bytes that are not those of the file.
fn lies(answer: &&Answer) -> bool {
    matches!(answer, Answer::Range(_) | Answer::Flip(_) | Answer::Bytes(_) | Answer::Unframed(_) | Answer::Gzip(_))
}

/// Whether an answer can say that the address is of no use.
fn refuses(answer: &Answer) -> bool {
    matches!(answer, Answer::Status(400 | 403 | 404 | 410 | 416))
}

async fn come_to_a_clear_end(answers: Vec<Answer>) {
    let (lying, refusing) = (answers.iter().filter(lies).count(), answers.iter().any(refuses));
    let place = Place::new().await;
    let (tree, name) = (place.one(&CONTENT), Blake3Hash::of(&CONTENT).to_string());
    place.server.script(&name, answers);
    let store = impatient(&place).await;
    match fetch(&store, &tree).await {
        Ok(held) => assert!(fs::read(held.dir().join("file")).unwrap() == *CONTENT),
        Err(error) => {
            // Nothing else is possible: answers are fewer than tries.
            let explained = match error {
                FetchError::UrlExpired { .. } => refusing,
                FetchError::DigestMismatch { .. } => lying >= WRONG_MAX,
                _ => false,
            };
            assert!(explained, "{error:?} after {lying} lies");
            assert!(files(&place.layout().snapshots()).is_empty(), "nothing is in the place of the tree");
            assert!(!place.layout().blob(Blake3Hash::of(&CONTENT)).exists());
        }
    }
    place.assert_sound();
    // Whatever is left of it does no harm to who comes next.
    place.server.script(&name, []);
    let held = fetch(&store, &tree).await.unwrap();
    assert!(fs::read(held.dir().join("file")).unwrap() == *CONTENT);
    place.assert_sound();
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        rng_seed: RngSeed::Fixed(66),
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("proptest-regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn m6_6_answers_that_are_wrong_in_any_order_end_in_the_file_or_in_a_clear_error(answers in answers()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(come_to_a_clear_end(answers));
    }
}

/// Bytes of the file that the bomb packs.
const UNPACKED: usize = 64 << 20;

/// Some thousand bytes that unpack to [`UNPACKED`] zeros.
fn bomb() -> Vec<u8> {
    let script = format!("head -c {UNPACKED} /dev/zero | gzip -9");
    let output = Command::new("sh").args(["-ec", &script]).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success() && output.stdout.len() < 100_000);
    output.stdout
}

#[tokio::test]
async fn m6_6_a_packed_body_is_never_unpacked() {
    let (packed, unpacked) = (bomb(), vec![0; UNPACKED]);
    for size in [UNPACKED as u64, packed.len() as u64, 0] {
        let place = Place::new().await;
        let mut tree = place.one(&unpacked);
        tree.files[0].size_bytes = size;
        place.server.script(&Blake3Hash::of(&unpacked).to_string(), vec![Answer::Gzip(packed.clone()); WRONG_MAX]);
        let error = fetch(&place.store().await, &tree).await.unwrap_err();
        assert!(matches!(error, FetchError::DigestMismatch { .. }), "of {size} bytes: {error:?}");
        assert_eq!(place.server.seen().len(), WRONG_MAX);
        assert!(files(&place.layout().blobs()).into_values().all(|left| left.is_empty()));
        place.assert_sound();
    }
    // What the server calls packed is the file, when its bytes are those that were promised.
    let place = Place::new().await;
    place.server.script(&Blake3Hash::of(&packed).to_string(), [Answer::Gzip(packed.clone())]);
    let held = fetch(&place.store().await, &place.one(&packed)).await.unwrap();
    assert_eq!(fs::read(held.dir().join("file")).unwrap(), packed);
}
