use std::{
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use futures::future::{join_all, ready};
use tokio::sync::Notify;

use super::*;
use crate::{
    binding::{Binding, hub},
    endpoint::{HookFn, SetupFn, Work},
    model_source::{FetchProgress, FetchedModel, LocalModels, ModelError, ModelResidency},
    worker_error::FailureClass,
};

/// Counts what happens to instances.
#[derive(Default)]
struct Counts {
    setups: AtomicUsize,
    warmups: AtomicUsize,
    shutdowns: AtomicUsize,
}

impl Counts {
    fn seen(&self) -> [usize; 3] {
        [&self.setups, &self.warmups, &self.shutdowns].map(|count| count.load(Ordering::SeqCst))
    }
}

fn count(count: impl Fn(&Counts) -> &AtomicUsize + Send + Sync + 'static, counts: &Arc<Counts>) -> HookFn {
    let counts = counts.clone();
    Arc::new(move |_| {
        count(&counts).fetch_add(1, Ordering::SeqCst);
        Work::Async(Box::pin(ready(Ok(()))))
    })
}

fn cell(counts: &Arc<Counts>, setup: SetupFn) -> InstanceCell {
    let lifecycle = LifecycleDecl {
        parameters: Vec::new(),
        declared_setup: true,
        setup,
        warmup: Some(count(|counts| &counts.warmups, counts)),
        shutdown: Some(count(|counts| &counts.shutdowns, counts)),
    };
    InstanceCell::new("m::T".into(), BTreeMap::new(), Some(lifecycle))
}

/// A setup that counts itself and succeeds from the given try on.
fn setup_from(counts: &Arc<Counts>, first_good: usize) -> SetupFn {
    let counts = counts.clone();
    Arc::new(move |_| {
        let counts = counts.clone();
        Work::Async(Box::pin(async move {
            tokio::task::yield_now().await;
            let run = counts.setups.fetch_add(1, Ordering::SeqCst) + 1;
            if run < first_good {
                Err(WorkerError::fatal("Broken", "not yet"))
            } else {
                Ok(Arc::new(run) as InstanceValue)
            }
        }))
    })
}

fn no_models() -> Arc<dyn ModelSource> {
    Arc::new(LocalModels::new())
}

async fn get(cell: &InstanceCell) -> Result<Instance> {
    cell.get(&no_models(), &HashMap::new()).await
}

#[tokio::test]
async fn e1_setup_and_warmup_run_once_for_many_callers() {
    let counts = Arc::new(Counts::default());
    let cell = cell(&counts, setup_from(&counts, 1));
    assert!(!cell.is_ready() && cell.ready().is_none());
    let all = join_all((0..20).map(|_| get(&cell))).await;
    assert!(all.into_iter().all(|instance| instance.is_ok()));
    assert!(cell.is_ready());
    assert_eq!(counts.seen(), [1, 1, 0]);
}

#[tokio::test]
async fn e1_shutdown_runs_at_most_once_and_only_after_setup() {
    let counts = Arc::new(Counts::default());
    let cell = cell(&counts, setup_from(&counts, 1));
    cell.shutdown().await;
    assert_eq!(counts.seen(), [0, 0, 0]);
    drop(get(&cell).await.expect("an instance"));
    futures::join!(cell.shutdown(), cell.shutdown());
    cell.shutdown().await;
    assert_eq!(counts.seen(), [1, 1, 1]);
    // A later call makes another instance.
    drop(get(&cell).await.expect("an instance"));
    assert_eq!(counts.seen(), [2, 2, 1]);
}

#[tokio::test]
async fn e1_a_failed_setup_is_everybodys_and_the_next_call_tries_again() {
    let counts = Arc::new(Counts::default());
    let cell = cell(&counts, setup_from(&counts, 2));
    let (one, two) = futures::join!(get(&cell), get(&cell));
    for outcome in [one, two] {
        assert_eq!(outcome.expect_err("a failure").kind(), "Broken");
    }
    assert!(!cell.is_ready());
    assert!(get(&cell).await.is_ok());
    assert_eq!(counts.seen(), [2, 1, 0]);
}

#[tokio::test]
async fn e1_a_failed_warmup_shuts_the_instance_down() {
    let counts = Arc::new(Counts::default());
    let mut lifecycle = LifecycleDecl {
        parameters: Vec::new(),
        declared_setup: true,
        setup: setup_from(&counts, 1),
        warmup: None,
        shutdown: Some(count(|counts| &counts.shutdowns, &counts)),
    };
    lifecycle.warmup = Some(Arc::new(|_| Work::Blocking(Box::new(|| Err(WorkerError::out_of_memory())))));
    let cell = InstanceCell::new("m::T".into(), BTreeMap::new(), Some(lifecycle));
    assert_eq!(get(&cell).await.expect_err("a failure").class(), FailureClass::Retryable);
    assert_eq!(counts.seen(), [1, 0, 1]);
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_interrupt_setup() {
    let gate = Arc::new(Notify::new());
    let opened = gate.clone();
    let counts = Arc::new(Counts::default());
    let seen = counts.clone();
    let cell = cell(
        &counts,
        Arc::new(move |_| {
            let (gate, seen) = (opened.clone(), seen.clone());
            Work::Async(Box::pin(async move {
                seen.setups.fetch_add(1, Ordering::SeqCst);
                gate.notified().await;
                Ok(Arc::new(()) as InstanceValue)
            }))
        }),
    );
    let impatient = get(&cell).now_or_never();
    assert!(impatient.is_none());
    let (instance, ()) = futures::join!(get(&cell), async { gate.notify_one() });
    assert!(instance.is_ok());
    assert_eq!(counts.seen(), [1, 1, 0]);
}

#[tokio::test]
async fn shutdown_waits_for_borrowed_instances() {
    let counts = Arc::new(Counts::default());
    let cell = cell(&counts, setup_from(&counts, 1));
    let instance = get(&cell).await.expect("an instance");
    let borrowed = instance.clone().downcast::<usize>().expect("a number");
    assert_eq!(*borrowed, 1);
    let mut shutdown = Box::pin(cell.shutdown());
    assert!(futures::poll!(&mut shutdown).is_pending());
    drop(instance);
    tokio::task::yield_now().await;
    assert!(futures::poll!(&mut shutdown).is_pending());
    assert_eq!(counts.seen(), [1, 1, 0]);
    drop(borrowed);
    shutdown.await;
    assert_eq!(counts.seen(), [1, 1, 1]);
}

#[tokio::test]
async fn a_panic_in_setup_is_a_failure() {
    for work in [true, false] {
        let counts = Arc::new(Counts::default());
        let cell = cell(
            &counts,
            Arc::new(move |_| {
                if work {
                    Work::Blocking(Box::new(|| panic!("at the disco")))
                } else {
                    Work::Async(Box::pin(async { panic!("at the disco") }))
                }
            }),
        );
        let error = get(&cell).await.expect_err("a failure");
        assert_eq!(error.client_message(), "Panic: at the disco");
        assert!(!cell.is_ready());
    }
}

/// Remembers which snapshots it was given.
struct Pins(Mutex<Vec<(String, Option<String>)>>);

impl ModelSource for Pins {
    fn fetch<'a>(
        &'a self,
        binding: &'a Binding,
        snapshot: Option<&'a pb::Snapshot>,
        _progress: &'a dyn FetchProgress,
    ) -> BoxFuture<'a, Result<FetchedModel, ModelError>> {
        self.0.lock().push((binding.wire_ref(), snapshot.map(|snapshot| snapshot.digest.clone())));
        Box::pin(ready(Ok(FetchedModel::at(binding.wire_ref()))))
    }

    fn residency(&self) -> Vec<ModelResidency> {
        Vec::new()
    }
}

#[tokio::test]
async fn models_are_fetched_with_their_snapshots_and_named_by_slot() {
    let bindings = [("a", hub("o/a")), ("b", hub("o/b").flavor("fp8"))];
    let slots = bindings.map(|(slot, binding)| (slot.to_owned(), binding.build().expect("a binding")));
    let cell = InstanceCell::new("m::f".into(), slots.into(), None);
    let pins = Arc::new(Pins(Mutex::default()));
    let snapshots = HashMap::from([
        ("o/b#fp8".to_owned(), pb::Snapshot { digest: "d".into(), ..Default::default() }),
        ("x/y".to_owned(), pb::Snapshot::default()),
    ]);
    let models: Arc<dyn ModelSource> = pins.clone();
    let instance = cell.get(&models, &snapshots).await.expect("an instance");
    assert_eq!(instance.slots().dir("b").expect("a directory").path(), PathBuf::from("o/b#fp8"));
    assert!(instance.slots().dir("c").is_err());
    assert_eq!(*pins.0.lock(), [("o/a".into(), None), ("o/b#fp8".into(), Some("d".into()))]);
}

#[tokio::test]
async fn a_model_that_cannot_be_had_is_retryable_and_named() {
    let slots = BTreeMap::from([("a".to_owned(), hub("o/a").build().expect("a binding"))]);
    let cell = InstanceCell::new("m::f".into(), slots, None);
    let error = get(&cell).await.expect_err("a failure");
    assert_eq!((error.class(), error.unavailable_model()), (FailureClass::Retryable, Some("o/a")));
}

/// Panics when it is asked for the first time.
#[derive(Default)]
struct Startled(AtomicUsize);

impl ModelSource for Startled {
    fn fetch<'a>(
        &'a self,
        _binding: &'a Binding,
        _snapshot: Option<&'a pb::Snapshot>,
        _progress: &'a dyn FetchProgress,
    ) -> BoxFuture<'a, std::result::Result<FetchedModel, ModelError>> {
        assert!(self.0.fetch_add(1, Ordering::SeqCst) > 0, "no disk");
        Box::pin(ready(Ok(FetchedModel::at("/models/base"))))
    }

    fn residency(&self) -> Vec<ModelResidency> {
        Vec::new()
    }
}

#[tokio::test]
async fn a_source_that_panics_fails_one_setup_and_not_the_cell() {
    let slots = BTreeMap::from([("base".to_owned(), hub("acme/base").build().expect("a binding"))]);
    let cell = InstanceCell::new("m::T".into(), slots, None);
    let models: Arc<dyn ModelSource> = Arc::new(Startled::default());
    let failed = cell.get(&models, &HashMap::new()).await.expect_err("a panic is a failure");
    assert_eq!(failed.kind(), "Panic");
    cell.get(&models, &HashMap::new()).await.expect("the next one tries again");
    cell.shutdown().await;
}

struct SoreLoser;

impl Drop for SoreLoser {
    fn drop(&mut self) {
        panic!("not like this");
    }
}

#[tokio::test]
async fn an_instance_that_panics_when_dropped_does_not_wedge_its_cell() {
    let lifecycle = LifecycleDecl {
        parameters: Vec::new(),
        declared_setup: true,
        setup: Arc::new(|_| Work::Async(Box::pin(ready(Ok(Arc::new(SoreLoser) as InstanceValue))))),
        warmup: None,
        shutdown: None,
    };
    let cell = InstanceCell::new("m::T".into(), BTreeMap::new(), Some(lifecycle));
    let models: Arc<dyn ModelSource> = Arc::new(LocalModels::new());
    drop(cell.get(&models, &HashMap::new()).await.expect("set up"));
    cell.shutdown().await;
    assert!(!cell.is_ready());
    std::mem::forget(cell.get(&models, &HashMap::new()).await.expect("set up again"));
}
