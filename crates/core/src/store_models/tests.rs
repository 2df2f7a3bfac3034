//! Section 3 of the model contract against a hub and a store on this machine.

mod site;

use std::{collections::HashMap, fs, path::Path, sync::Arc};

use gen_worker_hub::client::HubClientOptions;
use gen_worker_store::{DiskSpace, FormatError};
use parking_lot::Mutex;
use tempfile::TempDir;

use self::site::Site;
use super::*;
use crate::{
    FailureClass, InstanceCell, NoProgress, WorkerError,
    binding::{hf, hub},
    endpoint::{InstanceValue, LifecycleDecl, SetupParameter, Work},
};

const WEIGHTS: &[u8] = b"weights";

struct Place {
    dir: TempDir,
    site: Site,
}

impl Place {
    async fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a directory"), site: Site::start().await }
    }

    fn options(&self, upstream: Upstream) -> StoreModelsOptions {
        let mut store = StoreOptions::new(self.dir.path());
        // The disk of the test decides nothing.
        (store.headroom_bytes, store.reserve_bytes) = (0, 0);
        StoreModelsOptions { store, upstream, declared: vec![o_r()], downloads: 2, tries: 3 }
    }

    /// The models of a process that has just started.
    async fn models(&self, upstream: Upstream) -> StoreModels {
        StoreModels::open(self.options(upstream), &Cancel::new()).await.expect("it opens")
    }

    fn hub(&self) -> Upstream {
        let options = HubClientOptions { base_url: self.site.base.clone(), ..HubClientOptions::default() };
        Upstream::Hub(Box::new(HubClient::new(options).expect("a client")))
    }
}

/// Bytes that always fit on a [`Standing`] disk.
const AVAILABLE_BYTES: u64 = 1 << 30;

/// A disk that never gets fuller or emptier.
struct Standing;

impl DiskSpace for Standing {
    fn available_bytes(&self, _path: &Path) -> std::io::Result<u64> {
        Ok(AVAILABLE_BYTES)
    }
}

fn o_r() -> Binding {
    hub("o/r").build().expect("a binding")
}

/// What was told, as `done/total` and `again`.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl FetchProgress for Heard {
    fn fetched(&self, bytes_done: u64, bytes_total: u64) {
        self.0.lock().push(format!("{bytes_done}/{bytes_total}"));
    }

    fn resolving_again(&self) {
        self.0.lock().push("again".to_owned());
    }
}

#[tokio::test]
async fn m3_4_models_of_two_providers_with_one_ref_are_two_models() {
    let place = Place::new().await;
    let snapshot = place.site.put("o/r/resolve?tag=prod", &[("config.json", b"{}")]);
    let mut options = place.options(Upstream::Offline);
    options.store.space = Arc::new(Standing);
    let models = StoreModels::open(options, &Cancel::new()).await.expect("it opens");
    let theirs = hf("o/r").build().expect("a binding");
    models.fetch(&o_r(), Some(&snapshot), &NoProgress).await.expect("it comes");
    let found = models.fetch(&theirs, None, &NoProgress).await;
    assert!(matches!(found, Err(ModelError::Offline(_))), "the hub's is not theirs");
    models.fetch(&theirs, Some(&snapshot), &NoProgress).await.expect("what was sent for it is");
    models.fetch(&theirs, None, &NoProgress).await.expect("also the next time");
    assert_eq!(models.residency().len(), 1, "the wire has one name for both");
    let told = Arc::<Mutex<Vec<String>>>::default();
    let hears = told.clone();
    models.on_evicted(Arc::new(move |reference| hears.lock().push(reference.to_owned())));
    let left = models.store().collect(AVAILABLE_BYTES + 1).await.expect("both leave");
    assert_eq!((left, told.lock().clone()), (vec!["o/r".to_owned(), "hf:o/r".to_owned()], vec!["o/r".to_owned()]));
    assert!(models.residency().is_empty());
}

#[tokio::test]
async fn m3_1_a_snapshot_is_all_that_counts() {
    let place = Place::new().await;
    let snapshot = place.site.put("o/r/resolve?tag=prod", &[("config.json", b"{}"), ("unet/w", WEIGHTS)]);
    let models = place.models(place.hub()).await;
    let heard = Heard::default();
    let model = models.fetch(&o_r(), Some(&snapshot), &heard).await.expect("it comes");
    assert_eq!(fs::read(model.dir().join("unet/w")).expect("a file"), WEIGHTS);
    assert!(place.site.seen().iter().all(|path| path.starts_with("/blobs/")), "nobody was asked what it is");
    assert_eq!(heard.0.lock().last().map(String::as_str), Some("9/9"));
    assert_eq!(models.residency().iter().map(|held| held.reference.as_str()).collect::<Vec<_>>(), ["o/r"]);
    let again = Heard::default();
    models.fetch(&o_r(), Some(&snapshot), &again).await.expect("it is there");
    assert!(again.0.lock().is_empty() && place.site.seen().is_empty(), "present: nothing to tell");
}

#[tokio::test]
async fn m3_2_without_a_snapshot_the_orchestrator_has_to_resolve() {
    let place = Place::new().await;
    place.site.put("o/r/resolve?tag=prod", &[("w", WEIGHTS)]);
    let models = place.models(Upstream::Orchestrator).await;
    let error = models.fetch(&o_r(), None, &NoProgress).await.expect_err("nobody said what it is");
    assert_eq!((error.reason(), error.is_passing()), ("missing_snapshot", false));
    let error = WorkerError::model_unavailable("o/r", error);
    assert_eq!(error.class(), FailureClass::Retryable);
    assert!(place.site.seen().is_empty());
}

#[tokio::test]
async fn m3_2_a_failure_leaves_no_poison() {
    let place = Place::new().await;
    let mut snapshot = place.site.put("o/r/resolve?tag=prod", &[("w", WEIGHTS)]);
    let good = snapshot.files[0].url.clone();
    snapshot.files[0].url = format!("{}/nowhere", place.site.base);
    let models = place.models(Upstream::Orchestrator).await;
    let error = models.fetch(&o_r(), Some(&snapshot), &NoProgress).await.expect_err("the address is wrong");
    assert_eq!((error.reason(), error.is_passing()), ("url_expired", false));
    snapshot.files[0].url = good;
    models.fetch(&o_r(), Some(&snapshot), &NoProgress).await.expect("the next call starts afresh");
}

#[tokio::test]
async fn m3_4_another_digest_is_another_model() {
    let place = Place::new().await;
    let old = place.site.put("o/r/resolve?tag=prod", &[("w", b"old")]);
    let new = place.site.put("o/r/resolve?tag=prod", &[("w", b"new")]);
    let models = place.models(Upstream::Orchestrator).await;
    for (snapshot, bytes) in [(&old, b"old"), (&new, b"new"), (&old, b"old")] {
        let model = models.fetch(&o_r(), Some(snapshot), &NoProgress).await.expect("it comes");
        assert_eq!(model.dir().file_name().and_then(|name| name.to_str()), Some(snapshot.digest.as_str()));
        assert_eq!(fs::read(model.dir().join("w")).expect("a file"), bytes);
    }
}

#[tokio::test]
async fn m3_5_snapshots_that_make_no_sense_are_refused_before_anything_is_fetched() {
    type Spoil = fn(&mut pb::Snapshot);
    let place = Place::new().await;
    let good = place.site.put("o/r/resolve?tag=prod", &[("w", WEIGHTS), ("x", b"x")]);
    let models = place.models(Upstream::Orchestrator).await;
    let spoils: [(&str, Spoil); 7] = [
        ("digest", |snapshot| snapshot.digest = "../up".to_owned()),
        ("no files", |snapshot| snapshot.files.clear()),
        ("path", |snapshot| snapshot.files[0].path = "../w".to_owned()),
        ("size", |snapshot| snapshot.files[0].size_bytes = -1),
        ("hash", |snapshot| snapshot.files[0].blake3.clear()),
        ("address", |snapshot| snapshot.files[0].url = "file:///etc/passwd".to_owned()),
        ("twice", |snapshot| snapshot.files[0].path = "X".to_owned()),
    ];
    for (what, spoil) in spoils {
        let mut snapshot = good.clone();
        spoil(&mut snapshot);
        let error = models.fetch(&o_r(), Some(&snapshot), &NoProgress).await.expect_err(what);
        assert!(matches!(error, ModelError::Refused { .. }), "{what}: {error:?}");
        assert!(!error.is_passing(), "{what}");
    }
    assert!(place.site.seen().is_empty());
    let mut skipped = good.clone();
    skipped.files[1].path.clear();
    models.fetch(&o_r(), Some(&skipped), &NoProgress).await.expect("a file without a path is none");
}

#[tokio::test]
async fn m3_9_expired_addresses_are_asked_for_once_more_and_not_twice() {
    let place = Place::new().await;
    place.site.put("o/r/resolve?tag=prod", &[("w", WEIGHTS)]);
    place.site.expire(1);
    let models = place.models(place.hub()).await;
    let heard = Heard::default();
    models.fetch(&o_r(), None, &heard).await.expect("the second addresses work");
    let resolves = |seen: Vec<String>| seen.iter().filter(|path| path.contains("/resolve")).count();
    assert_eq!(resolves(place.site.seen()), 2);
    assert_eq!(heard.0.lock().iter().filter(|told| *told == "again").count(), 1);

    place.site.put("o/r/resolve?tag=prod", &[("w", b"newer")]);
    place.site.expire(100);
    let error = models.fetch(&o_r(), None, &NoProgress).await.expect_err("they expire again");
    assert_eq!((error.reason(), resolves(place.site.seen())), ("url_expired", 2));
}

#[tokio::test]
async fn m2_3_a_binding_without_a_tag_means_prod() {
    let place = Place::new().await;
    place.site.put("o/r/resolve?tag=latest", &[("w", b"latest")]);
    place.site.put("o/r/resolve?tag=prod", &[("w", b"prod")]);
    let model = place.models(place.hub()).await.fetch(&o_r(), None, &NoProgress).await.expect("it comes");
    assert_eq!(fs::read(model.dir().join("w")).expect("a file"), b"prod");
}

#[tokio::test]
async fn m3_8_offline_what_came_once_is_enough_and_all_else_is_not() {
    let place = Place::new().await;
    let tree = place.site.put("o/r/resolve?tag=prod", &[("w", WEIGHTS)]);
    place.models(place.hub()).await.fetch(&o_r(), None, &NoProgress).await.expect("it comes");
    place.site.seen();
    let models = place.models(Upstream::Offline).await;
    models.fetch(&o_r(), None, &NoProgress).await.expect("remembered");
    let pinned = hub(format!("o/r@blake3:{}", tree.digest)).build().expect("a binding");
    models.fetch(&pinned, None, &NoProgress).await.expect("the tree is there");
    let other = hub("o/other").build().expect("a binding");
    let error = models.fetch(&other, None, &NoProgress).await.expect_err("a miss");
    assert!(matches!(&error, ModelError::Offline(reference) if reference == "o/other"), "{error:?}");
    assert!(place.site.seen().is_empty(), "no connection was made");
}

#[tokio::test]
async fn m3_8_offline_a_tag_is_what_the_hub_said_last_under_whatever_name_it_came() {
    let place = Place::new().await;
    place.site.put("o/r/resolve?tag=prod", &[("w", b"first")]);
    place.models(place.hub()).await.fetch(&o_r(), None, &NoProgress).await.expect("it comes");
    let mut newer = place.site.put("o/r/resolve?tag=prod", &[("w", b"newer")]);
    place.models(place.hub()).await.fetch(&o_r(), None, &NoProgress).await.expect("it comes");
    // Only what the hub said is left of it, as after a peer brought it.
    fs::remove_file(place.dir.path().join("ref-index.json")).expect("removed");
    assert_eq!(fs::read_to_string(place.dir.path().join("refs/o/r/prod")).expect("noted"), newer.digest);
    place.site.seen();
    let models = place.models(Upstream::Offline).await;
    let model = models.fetch(&o_r(), None, &NoProgress).await.expect("resolved before");
    assert_eq!(fs::read(model.dir().join("w")).expect("a file"), b"newer");
    // What came without the hub being asked does not change what it said.
    newer = place.site.put("o/r/resolve?tag=prod", &[("w", b"pushed")]);
    place.models(Upstream::Orchestrator).await.fetch(&o_r(), Some(&newer), &NoProgress).await.expect("it comes");
    let model = models.fetch(&o_r(), None, &NoProgress).await.expect("resolved before");
    assert_eq!(fs::read(model.dir().join("w")).expect("a file"), b"newer");
    let never = hub("o/r").tag("v2").build().expect("a binding");
    let error = models.fetch(&never, None, &NoProgress).await.expect_err("nobody ever asked what v2 is");
    assert!(matches!(&error, ModelError::Offline(reference) if reference == "o/r:v2"), "{error:?}");
    assert!(place.site.seen().iter().all(|path| path.contains("of=snapshot")), "no hub was asked");
}

#[tokio::test]
async fn m11_2_what_was_found_on_disk_has_to_be_safe_too_unless_its_author_chose_it() {
    let place = Place::new().await;
    let tree = place.site.put("o/r/resolve?tag=prod", &[("unet/model.bin", WEIGHTS)]);
    place.models(place.hub()).await.fetch(&o_r(), None, &NoProgress).await.expect("its author declared it");
    let pinned = hub(format!("o/r@blake3:{}", tree.digest)).build().expect("a binding");
    for upstream in [place.hub(), Upstream::Offline, Upstream::Orchestrator] {
        let mut options = place.options(upstream);
        options.declared.clear();
        let models = StoreModels::open(options, &Cancel::new()).await.expect("it opens");
        let error = models.fetch(&pinned, None, &NoProgress).await.expect_err("it could run code");
        let ModelError::Refused { source, .. } = &error else { panic!("{error:?}") };
        let cause = source.downcast_ref::<FetchError>();
        assert!(matches!(cause, Some(FetchError::Format(FormatError::Unsafe { .. }))), "{cause:?}");
    }
    place.models(Upstream::Offline).await.fetch(&o_r(), None, &NoProgress).await.expect("its author declared it");
}

#[tokio::test]
async fn h1_2_without_an_address_of_a_hub_the_error_names_the_variable() {
    let place = Place::new().await;
    let models = place.models(Upstream::NoHub).await;
    let error = models.fetch(&o_r(), None, &NoProgress).await.expect_err("nobody to ask");
    assert!(error.to_string().contains("TENSORHUB_URL") && error.to_string().contains("o/r"), "{error}");
}

#[tokio::test]
async fn m11_2_what_a_caller_chose_has_to_be_safe_to_load() {
    let place = Place::new().await;
    let snapshot = place.site.put("x/y/resolve?tag=prod", &[("a/model.bin", WEIGHTS), ("b/w.safetensors", b"broken")]);
    let models = place.models(Upstream::Orchestrator).await;
    let chosen = hub("x/y").build().expect("a binding");
    let error = models.fetch(&chosen, Some(&snapshot), &NoProgress).await.expect_err("it could run code");
    let ModelError::Refused { source, .. } = &error else { panic!("{error:?}") };
    let cause = source.downcast_ref::<FetchError>();
    assert!(matches!(cause, Some(FetchError::Format(FormatError::Unsafe { .. }))), "{cause:?}");
    assert!(place.site.seen().is_empty(), "nothing came");
    models.fetch(&o_r(), Some(&snapshot), &NoProgress).await.expect("its author declared it");
}

#[tokio::test]
async fn m8_5_a_model_stays_for_as_long_as_somebody_has_it() {
    let place = Place::new().await;
    let snapshot = place.site.put("o/r/resolve?tag=prod", &[("w", WEIGHTS)]);
    let mut options = place.options(Upstream::Orchestrator);
    // What others write to the disk of the test meanwhile decides nothing.
    options.store.space = Arc::new(Standing);
    let models = StoreModels::open(options, &Cancel::new()).await.expect("it opens");
    let told = Arc::new(Mutex::new(Vec::new()));
    let hears = told.clone();
    models.on_evicted(Arc::new(move |reference| hears.lock().push(reference.to_owned())));
    let model = models.fetch(&o_r(), Some(&snapshot), &NoProgress).await.expect("it comes");
    let all = AVAILABLE_BYTES + 1;
    assert!(models.store().collect(all).await.expect("collected").is_empty());
    assert!(model.dir().join("w").exists() && told.lock().is_empty());
    drop(model);
    assert_eq!(models.store().collect(all).await.expect("collected"), ["o/r"]);
    assert_eq!((told.lock().as_slice(), models.residency().len()), (["o/r".to_owned()].as_slice(), 0));
}

#[tokio::test]
async fn m8_7_a_full_disk_is_retryable() {
    let place = Place::new().await;
    let snapshot = place.site.put("o/r/resolve?tag=prod", &[("w", WEIGHTS)]);
    let mut options = place.options(Upstream::Orchestrator);
    options.store.headroom_bytes = u64::MAX / 2;
    let models = StoreModels::open(options, &Cancel::new()).await.expect("it opens");
    let error = models.fetch(&o_r(), Some(&snapshot), &NoProgress).await.expect_err("it does not fit");
    assert_eq!((error.reason(), error.is_passing()), ("insufficient_disk", false));
    assert_eq!(WorkerError::model_unavailable("o/r", error).class(), FailureClass::Retryable);
}

/// An endpoint whose set-up fails when its weights are not what they were.
fn picky(loads: &Arc<Mutex<Vec<Vec<u8>>>>) -> InstanceCell {
    let loads = loads.clone();
    let lifecycle = LifecycleDecl {
        parameters: vec![SetupParameter::All],
        declared_setup: true,
        setup: Arc::new(move |slots| {
            let read = fs::read(slots.dir("model").expect("a slot").join("w")).expect("a file");
            loads.lock().push(read.clone());
            Work::Async(Box::pin(std::future::ready(match read == WEIGHTS {
                true => Ok(Arc::new(()) as InstanceValue),
                false => Err(WorkerError::fatal("HeaderTooLarge", "invalid header")),
            })))
        }),
        warmup: None,
        shutdown: None,
    };
    InstanceCell::new("m::T".into(), [("model".to_owned(), o_r())].into(), Some(lifecycle))
}

#[tokio::test]
async fn m6_26_damaged_files_come_anew_once_and_others_do_not() {
    let place = Place::new().await;
    let snapshot = place.site.put("o/r/resolve?tag=prod", &[("w", WEIGHTS)]);
    let models: Arc<dyn ModelSource> = Arc::new(place.models(Upstream::Orchestrator).await);
    let file = models.fetch(&o_r(), Some(&snapshot), &NoProgress).await.expect("it comes").dir().join("w");
    fs::remove_file(&file).expect("removed");
    fs::write(&file, b"Weights").expect("written");
    let (loads, snapshots) = (Arc::default(), HashMap::from([("o/r".to_owned(), snapshot)]));
    let cell = picky(&loads);
    cell.get(&models, &snapshots).await.expect("the second load has the right bytes");
    assert_eq!(*loads.lock(), [b"Weights".to_vec(), WEIGHTS.to_vec()]);
    cell.shutdown().await;

    // Right bytes that do not load are the author's problem.
    let place = Place::new().await;
    let snapshot = place.site.put("o/r/resolve?tag=prod", &[("w", b"unknown")]);
    let models: Arc<dyn ModelSource> = Arc::new(place.models(Upstream::Orchestrator).await);
    let (loads, snapshots) = (Arc::default(), HashMap::from([("o/r".to_owned(), snapshot)]));
    let error = picky(&loads).get(&models, &snapshots).await.expect_err("the original error");
    assert_eq!((error.kind(), loads.lock().len(), place.site.seen().len()), ("HeaderTooLarge", 1, 1));
}

#[tokio::test]
async fn m13_1_a_model_that_is_there_waits_for_no_download() {
    let place = Place::new().await;
    let snapshot = place.site.put("o/r/resolve?tag=prod", &[("w", WEIGHTS)]);
    let mut options = place.options(Upstream::Orchestrator);
    options.downloads = 1;
    let models = StoreModels::open(options, &Cancel::new()).await.expect("it opens");
    models.fetch(&o_r(), Some(&snapshot), &NoProgress).await.expect("it comes");
    let downloading = models.downloads.acquire().await.expect("open");
    let other = place.site.put("o/r/resolve?tag=prod", &[("w", b"other")]);
    let (binding, ends) = (o_r(), Mutex::new(Vec::new()));
    let coming = async {
        models.fetch(&binding, Some(&other), &NoProgress).await.expect("it comes");
        ends.lock().push("other");
    };
    let there = async {
        models.fetch(&binding, Some(&snapshot), &NoProgress).await.expect("it is there");
        ends.lock().push("there");
        drop(downloading);
    };
    futures::join!(coming, there);
    assert_eq!(*ends.lock(), ["there", "other"]);
}

#[tokio::test]
async fn m7_as_many_models_come_at_once_as_the_options_say_and_no_more() {
    for (downloads, at_once) in [(1, 1), (2, 2), (0, 5)] {
        let place = Place::new().await;
        let contents = [b"a", b"b", b"c", b"d", b"e"];
        let snapshots = contents.map(|content| {
            place.site.hold(content);
            place.site.put("o/r/resolve?tag=prod", &[("w", content)])
        });
        let options = StoreModelsOptions { downloads, ..place.options(Upstream::Orchestrator) };
        let models = StoreModels::open(options, &Cancel::new()).await.expect("it opens");
        let binding = o_r();
        let fetches = snapshots.iter().map(|snapshot| models.fetch(&binding, Some(snapshot), &NoProgress));
        let passing = async {
            for ended in 0..contents.len() {
                let open = (ended + at_once).min(contents.len());
                place.site.held(open).await;
                // Who had leave to come too has come when somebody else has all of a model.
                let elsewhere = Place::new().await;
                let snapshot = elsewhere.site.put("o/r/resolve?tag=prod", &[("w", WEIGHTS)]);
                let others = elsewhere.models(Upstream::Orchestrator).await;
                others.fetch(&binding, Some(&snapshot), &NoProgress).await.expect("it comes");
                let held = place.site.held(open).await;
                assert_eq!(held.len(), open, "of {downloads} at once, after {ended} have come");
                place.site.let_go(&held[ended]);
            }
        };
        let (fetched, ()) = futures::join!(futures::future::join_all(fetches), passing);
        assert!(fetched.into_iter().all(|model| model.is_ok()));
    }
}
