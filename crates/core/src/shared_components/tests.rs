//! Loaded once, counted once, released late.
use futures::future::join_all;
use tokio::sync::Notify;

use super::*;

const GIB: u64 = 1 << 30;

const CARD: Device = Device::Cuda(1);

fn key(reference: &str) -> ComponentKey {
    ComponentKey { reference: reference.into(), device: CARD, ..ComponentKey::default() }
}

async fn take(shared: &SharedComponents, reference: &str, gib: u64) -> SharedComponent<String> {
    let load = async { Ok((reference.to_owned(), gib * GIB)) };
    shared.acquire(key(reference), load).await.expect("loads")
}

#[tokio::test]
async fn m9_shared_the_first_loads_and_everybody_has_the_same_object() {
    let (shared, loads, gate) = (SharedComponents::default(), AtomicUsize::new(0), Notify::new());
    let load = || async {
        loads.fetch_add(1, Ordering::SeqCst);
        gate.notified().await;
        Ok((7_u64, 5 * GIB))
    };
    let all = join_all((0..8).map(|_| shared.acquire(key("o/a"), load())));
    // Another key does not wait for that load.
    let others = async {
        let other = take(&shared, "o/b", 1).await;
        gate.notify_one();
        other
    };
    let (all, other) = futures::join!(all, others);
    let all: Vec<_> = all.into_iter().map(|component| component.expect("loaded")).collect();
    assert_eq!((loads.load(Ordering::SeqCst), shared.users(&key("o/a"))), (1, Some(8)));
    assert!(all.windows(2).all(|pair| std::ptr::eq(&*pair[0], &*pair[1])));
    assert_eq!((shared.held_bytes(CARD), other.as_str()), (6 * GIB, "o/b"));
}

#[tokio::test]
async fn m9_shared_nothing_in_use_goes_and_the_one_released_longest_ago_goes_first() {
    let shared = SharedComponents::default();
    let (a, b, c) = (take(&shared, "a", 2).await, take(&shared, "b", 2).await, take(&shared, "c", 2).await);
    assert_eq!((shared.release_idle(CARD, 9 * GIB), shared.evict(&key("a")), shared.drain(false)), (0, false, 0));
    drop((b, a));
    assert_eq!(shared.held_bytes(CARD), 6 * GIB, "the last release frees nothing");
    assert_eq!(shared.release_idle(Device::Cuda(0), GIB), 0, "this is another device");
    assert_eq!(shared.release_idle(CARD, GIB), 2 * GIB, "only as many as needed");
    assert_eq!([shared.users(&key("a")), shared.users(&key("b")), shared.users(&key("c"))], [Some(0), None, Some(1)]);
    let again = take(&shared, "a", 99).await;
    assert_eq!(shared.held_bytes(CARD), 4 * GIB, "it was still there");
    assert_eq!((shared.drain(true), shared.held_bytes(CARD), again.as_str()), (2, 0, "a"), "users keep theirs");
    drop((again, c));
    assert_eq!(shared.users(&key("a")), None);
}

#[tokio::test]
async fn m9_shared_a_load_that_fails_leaves_nothing_and_the_next_one_tries() {
    let shared = SharedComponents::default();
    let broken = async { Err::<(String, u64), _>(WorkerError::out_of_memory()) };
    shared.acquire(key("a"), broken).await.expect_err("no memory");
    assert_eq!((shared.users(&key("a")), shared.held_bytes(CARD)), (None, 0));
    let dropped = shared.acquire(key("a"), std::future::pending::<Result<(String, u64)>>());
    assert!(futures::FutureExt::now_or_never(dropped).is_none());
    assert_eq!(shared.users(&key("a")), None);
    let kept = take(&shared, "a", 1).await;
    let other = shared.acquire(key("a"), async { Ok((1_u8, 1)) }).await.expect_err("another type");
    assert!(other.to_string().contains("shared::a::dev1::"), "{other}");
    assert_eq!((kept.as_str(), shared.users(&key("a"))), ("a", Some(1)));
}

#[test]
fn m9_shared_every_field_makes_another_component() {
    let base = key("owner/repo");
    let text = |change: fn(&mut ComponentKey)| {
        let mut key = base.clone();
        change(&mut key);
        key
    };
    let keys = [
        base.clone(),
        text(|key| key.provider = "hf".into()),
        text(|key| key.reference = "owner/other".into()),
        text(|key| key.revision = "main".into()),
        text(|key| key.dtype = "bf16".into()),
        text(|key| key.quantization = "bf16".into()),
        text(|key| key.quantization_config = "x".into()),
        text(|key| key.device = Device::Cpu),
        text(|key| key.placement = "x".into()),
        text(|key| key.subfolder = "x".into()),
        text(|key| key.components = ["x".into()].into()),
        text(|key| key.adapter = "x".into()),
    ];
    let ids: std::collections::BTreeSet<_> = keys.iter().map(ComponentKey::id).collect();
    assert_eq!(ids.len(), keys.len());
    let id = base.id();
    let digest = id.strip_prefix("shared::owner--repo::dev1::").expect("the form of an id");
    assert!(digest.len() == 16 && digest.bytes().all(|digit| digit.is_ascii_hexdigit()));
    let long = ComponentKey { reference: "x".repeat(100), ..base };
    assert_eq!(long.id().len(), "shared::".len() + 48 + "::dev1::".len() + 16);
}

/// The digest is the first 16 digits of SHA-256 over the fields in this order, with 0x1F between them.
#[test]
fn m9_shared_the_id_is_the_same_for_ever() {
    let key = ComponentKey {
        provider: "hf".into(),
        reference: "owner/repo".into(),
        revision: "main".into(),
        dtype: "bf16".into(),
        quantization: "nf4".into(),
        quantization_config: "abc".into(),
        device: CARD,
        placement: "model_offload".into(),
        subfolder: "unet".into(),
        components: ["b".into(), "a".into()].into(),
        adapter: "lora@d".into(),
    };
    assert_eq!(key.id(), "shared::owner--repo::dev1::78d7db20ada6c83b");
}
