//! Instances in this process.
use futures::future::BoxFuture;

use super::*;
use crate::{
    binding::Binding,
    model_source::{FetchProgress, FetchedModel, ModelError, ModelResidency},
};

struct Bench {
    loader: Loader,
    cells: Vec<Arc<InstanceCell>>,
    told: Told,
    _disk: Disk,
}

/// Instances on accelerators, of models of these sizes.
fn bench(free: [Option<u64>; 2], sizes: &[(&'static str, u64)]) -> Bench {
    bounded(VramLimits::default(), free, sizes)
}

/// The same within bounds.
fn bounded(vram: VramLimits, free: [Option<u64>; 2], sizes: &[(&'static str, u64)]) -> Bench {
    let (disk, cards, told) = (Disk::new(), Cards::with(free), Told::default());
    let cell = |(name, gib): &(&str, u64)| {
        let slots = [("weights".to_owned(), hub(format!("o/{name}")).build().expect("sound"))].into();
        let bytes = i64::try_from(gib * GIB).expect("small");
        Arc::new(InstanceCell::new((*name).to_owned(), slots, Some(lifecycle(&cards, bytes, &told))))
    };
    let cells: Vec<_> = sizes.iter().map(cell).collect();
    let entries: Vec<_> = cells.iter().map(|cell| (true, cell.clone())).collect();
    let loader = Loader::new(disk.models(sizes), cards, vram, entries, |_, _| {});
    Bench { loader, cells, told, _disk: disk }
}

impl Bench {
    async fn load(&self, number: usize, device: usize) -> Result<(), WorkerError> {
        self.loader.load(&self.cells[number], &HashMap::new(), device).await.map(drop)
    }

    fn loaded(&self) -> Vec<bool> {
        loaded(&self.cells.iter().collect::<Vec<_>>())
    }
}

#[tokio::test]
async fn w11_8_two_accelerators_do_not_take_one_model_between_them() {
    let bench = bench([Some(20), Some(20)], &[("large", 30), ("small", 16)]);
    let error = bench.load(0, 0).await.expect_err("no room");
    assert_eq!(error.class(), crate::FailureClass::Retryable);
    assert!(error.to_string().contains("no room to load the model: accelerator memory"), "{error}");
    bench.load(1, 1).await.expect("this one fits");
    assert_eq!(*bench.told.lock(), [Device::Cuda(1)], "the set-up hears where room was made");
    assert_eq!(bench.loader.footprint(&bench.cells[1]), Memory::of_device(1, 16 * GIB));
}

#[tokio::test]
async fn w11_8_whoever_is_on_the_other_accelerator_stays() {
    let bench = bench([Some(20), Some(20)], &[("a", 12), ("b", 12), ("c", 12)]);
    bench.load(0, 0).await.expect("fits");
    bench.load(1, 1).await.expect("fits");
    bench.load(2, 1).await.expect("room is made");
    assert_eq!(bench.loaded(), [true, false, true]);
    assert_eq!(bench.loader.free().await, Memory { ram_bytes: 64 * GIB, vram_bytes: vec![8 * GIB; 2] });
}

#[tokio::test]
async fn accelerators_nobody_can_ask_have_what_their_instances_leave() {
    let bench = bench([None, Some(20)], &[("a", 12), ("b", 12)]);
    assert_eq!(bench.loader.free().await.vram_bytes, [20 * GIB, 20 * GIB]);
    bench.load(0, 0).await.expect("fits");
    assert_eq!(bench.loader.free().await.vram_bytes, [8 * GIB, 20 * GIB]);
    bench.load(1, 0).await.expect("room is made");
    assert_eq!(bench.loaded(), [false, true]);
    assert_eq!(bench.loader.free().await.vram_bytes, [8 * GIB, 20 * GIB], "what is gone counts no more");
}

#[tokio::test]
async fn m9_2_models_stay_within_their_budget_on_each_accelerator() {
    for free in [Some(20), None] {
        let limits = VramLimits { models_bytes_max: Some(10 * GIB), reserve_bytes: GIB };
        let bench = bounded(limits, [free; 2], &[("large", 10), ("a", 5), ("b", 5), ("c", 5)]);
        assert_eq!(bench.loader.free().await.vram_bytes, [10 * GIB; 2]);
        bench.load(0, 0).await.expect_err("the reserve does not fit besides");
        bench.load(1, 0).await.expect("fits");
        bench.load(2, 1).await.expect("the other has a budget of its own");
        bench.load(3, 0).await.expect("room is made");
        assert_eq!(bench.loaded(), [false, false, true, true]);
        assert_eq!(bench.loader.free().await.vram_bytes, [5 * GIB; 2]);
    }
}

#[tokio::test]
async fn m9_2_what_moved_to_another_accelerator_is_counted_there_alone() {
    let budget = VramLimits { models_bytes_max: Some(10 * GIB), reserve_bytes: GIB };
    for (limits, free) in [(VramLimits::default(), None), (budget, None), (budget, Some(20))] {
        let bench = bounded(limits, [free; 2], &[("a", 6)]);
        bench.load(0, 0).await.expect("fits");
        assert_eq!(bench.loader.footprint(&bench.cells[0]), Memory::of_device(0, 6 * GIB));
        bench.cells[0].shutdown().await;
        bench.load(0, 1).await.expect("fits");
        assert_eq!(bench.loader.footprint(&bench.cells[0]), Memory::of_device(1, 6 * GIB), "{limits:?} {free:?}");
        let room = limits.models_bytes_max.unwrap_or(20 * GIB);
        assert_eq!(bench.loader.free().await.vram_bytes, [room, room - 6 * GIB], "{limits:?} {free:?}");
    }
}

/// Has a resolution arrive with the first fetch.
struct Resolving(Arc<dyn ModelSource>, Mutex<Option<Arc<InstanceCell>>>);

impl ModelSource for Resolving {
    fn fetch<'a>(
        &'a self,
        binding: &'a Binding,
        snapshot: Option<&'a pb::Snapshot>,
        progress: &'a dyn FetchProgress,
    ) -> BoxFuture<'a, Result<FetchedModel, ModelError>> {
        if let Some(cell) = self.1.lock().take() {
            cell.resolve(|declared| declared.resolved("o/a#fp8"));
        }
        self.0.fetch(binding, snapshot, progress)
    }

    fn residency(&self) -> Vec<ModelResidency> {
        self.0.residency()
    }
}

#[tokio::test]
async fn w11_9_what_is_set_up_is_what_room_was_made_for() {
    let mut bench = bench([None; 2], &[("a", 6), ("a#fp8", 3)]);
    let source = Resolving(bench.loader.models.clone(), Mutex::new(Some(bench.cells[0].clone())));
    bench.loader.models = Arc::new(source);
    bench.load(0, 0).await.expect("fits");
    let made: Vec<_> = bench.cells[0].models().values().map(Binding::wire_ref).collect();
    assert_eq!(made, ["o/a"], "the next one is another");
    assert_eq!(bench.loader.footprint(&bench.cells[0]), Memory::of_device(0, 6 * GIB));
}

#[tokio::test]
async fn w11_9_what_is_loaded_stays_until_what_is_wanted_can_be_had() {
    let bench = bench([None; 2], &[("a", 6), ("a#fp8", 18), ("a#fp4", 17), ("b", 2)]);
    let none = HashMap::new();
    let make_way = || bench.loader.make_way(&bench.cells[0], &none, 0);
    bench.load(0, 0).await.expect("fits");
    assert!(make_way().await.expect("it is what is wanted").is_empty());
    bench.load(3, 0).await.expect("fits");
    bench.cells[0].resolve(|declared| declared.resolved("o/a#fp8"));
    let instance = bench.cells[0].ready().expect("it is there");
    assert!(matches!(make_way().await, Err(NoWay::InUse)));
    drop(instance);
    let used = bench.cells[3].ready();
    let why = make_way().await;
    assert!(matches!(why, Err(NoWay::Next(_))), "{why:?}");
    assert_eq!(bench.loaded(), [true, false, false, true]);
    drop(used);
    bench.cells[0].resolve(|declared| declared.resolved("o/a#fp4"));
    assert_eq!(make_way().await.expect("there would be room").len(), 1);
    assert_eq!(bench.loaded(), [false, false, false, true], "nobody else had to go yet");
    bench.load(0, 0).await.expect("fits");
    assert_eq!(bench.loaded(), [true, false, false, false]);
}

#[tokio::test]
async fn what_jobs_take_elsewhere_during_a_load_is_not_the_instances() {
    let (disk, cards) = (Disk::new(), Cards::with([Some(20), Some(20)]));
    let (busy, slots) = (cards.clone(), [("weights".to_owned(), hub("o/a").build().expect("sound"))].into());
    let mut lifecycle = lifecycle(&cards, 0, &Told::default());
    lifecycle.setup = Arc::new(move |_| {
        busy.take(1, i64::try_from(5 * GIB).expect("small"));
        Work::Async(async { Ok(Arc::new(()) as InstanceValue) }.boxed())
    });
    let cell = Arc::new(InstanceCell::new("a".to_owned(), slots, Some(lifecycle)));
    let entries = [(true, cell.clone())];
    let loader = Loader::new(disk.models(&[("a", 6)]), cards, VramLimits::default(), entries, |_, _| {});
    loader.load(&cell, &HashMap::new(), 0).await.expect("fits");
    assert_eq!(loader.footprint(&cell), Memory::of_device(0, 6 * GIB));
}

#[test]
fn parts_of_a_load_never_exceed_it() {
    let seconds = Duration::from_secs;
    let times = SetupTimes { spawn: seconds(1), setup: seconds(50), warmup: seconds(9) };
    let parts = split(seconds(30), seconds(4), times);
    assert_eq!((parts.spawn, parts.setup, parts.waited), (seconds(1), seconds(25), Duration::ZERO));
    assert_eq!(parts.total(), seconds(30));
    let parts = split(seconds(70), seconds(4), times);
    assert_eq!((parts.waited, parts.setup, parts.total()), (seconds(6), seconds(50), seconds(70)));
}

/// A source that can say where a model is only when it is told, and otherwise fails once it may.
struct Upstream {
    asked: tokio::sync::Notify,
    may_fail: tokio::sync::Notify,
    dir: TempDir,
}

impl Upstream {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        Self { asked: tokio::sync::Notify::new(), may_fail: tokio::sync::Notify::new(), dir }
    }
}

impl ModelSource for Upstream {
    fn fetch<'a>(
        &'a self,
        binding: &'a Binding,
        snapshot: Option<&'a pb::Snapshot>,
        _progress: &'a dyn FetchProgress,
    ) -> BoxFuture<'a, Result<FetchedModel, ModelError>> {
        async move {
            if snapshot.is_some() {
                return Ok(FetchedModel::at(self.dir.path()));
            }
            self.asked.notify_one();
            self.may_fail.notified().await;
            Err(ModelError::Unknown(binding.wire_ref()))
        }
        .boxed()
    }

    fn residency(&self) -> Vec<ModelResidency> {
        Vec::new()
    }
}

#[tokio::test]
async fn m3_1_a_snapshot_counts_whatever_a_load_without_it_came_to() {
    let (cards, told, upstream) = (Cards::with([Some(20); 2]), Told::default(), Arc::new(Upstream::new()));
    let slots = [("weights".to_owned(), hub("o/a").build().expect("sound"))].into();
    let cell = Arc::new(InstanceCell::new("a".to_owned(), slots, Some(lifecycle(&cards, 0, &told))));
    let loader = Loader::new(upstream.clone(), cards, VramLimits::default(), [(false, cell.clone())], |_, _| {});
    let snapshots = HashMap::from([("o/a".to_owned(), pb::Snapshot { digest: "d".to_owned(), files: Vec::new() })]);
    let untold = HashMap::new();
    let mut first = std::pin::pin!(loader.load(&cell, &untold, 0));
    assert!(futures::poll!(first.as_mut()).is_pending());
    upstream.asked.notified().await;
    let (mut same, mut told) =
        (std::pin::pin!(loader.load(&cell, &untold, 0)), std::pin::pin!(loader.load(&cell, &snapshots, 0)));
    assert!(futures::poll!(same.as_mut()).is_pending() && futures::poll!(told.as_mut()).is_pending());
    upstream.may_fail.notify_one();
    first.await.map(drop).expect_err("nobody says where it is");
    same.await.map(drop).expect_err("it would only repeat that");
    told.await.map(drop).expect("it was told");
}
