//! Loads that do not fit as a whole, and what each model is booked with.
use super::*;
use crate::instance::{LoadModel, LoadOptions, ModelDir};

/// A pipeline that takes what the ladder leaves it: all of its model, or the room of its largest part.
fn spreading(cards: &Arc<Cards>, bytes: i64, fails: usize, told: &Arc<Mutex<Vec<OffloadMode>>>) -> LifecycleDecl {
    let (cards, told) = (cards.clone(), told.clone());
    LifecycleDecl {
        parameters: vec![SetupParameter::All],
        declared_setup: true,
        setup: Arc::new(move |slots| {
            let mode = slots.load_options("weights").offload;
            told.lock().push(mode);
            let made = if told.lock().len() <= fails {
                Err(WorkerError::out_of_memory())
            } else {
                cards.take(0, if mode.is_movable() { bytes } else { i64::try_from(GIB).expect("small") });
                Ok(Arc::new(()) as InstanceValue)
            };
            Work::Async(async { made }.boxed())
        }),
        warmup: None,
        shutdown: None,
    }
}

struct Bench {
    loader: Loader,
    cell: Arc<InstanceCell>,
    modes: Arc<Mutex<Vec<OffloadMode>>>,
    _disk: Disk,
}

/// A model of so many GiB on a card of 20, of an endpoint that takes it in parts or does not. Its first set-ups fail.
fn bench(gib: u64, offloads: bool, declared: Option<u64>, fails: usize) -> Bench {
    let (disk, cards, modes) = (Disk::new(), Cards::with([Some(20); 2]), Arc::default());
    let slots = [("weights".to_owned(), hub("o/a").build().expect("sound"))].into();
    let lifecycle = spreading(&cards, i64::try_from(gib * GIB).expect("small"), fails, &modes);
    let cell = Arc::new(InstanceCell::new("a".to_owned(), slots, Some(lifecycle)));
    let declared_bytes = declared.map(|gib| gib * GIB);
    let wanted = Wanted { cell: cell.clone(), on_gpu: true, offloads, declared_bytes };
    let loader = Loader::new(disk.models(&[("a", gib)]), cards, VramLimits::default(), [wanted], |_, _| {});
    Bench { loader, cell, modes, _disk: disk }
}

impl Bench {
    async fn load(&self) -> Result<(), WorkerError> {
        self.loader.load(&self.cell, &HashMap::new(), 0).await.map(drop)
    }
}

#[tokio::test]
async fn m10_1_a_model_that_does_not_fit_is_loaded_in_parts_where_its_endpoint_can() {
    let bench = bench(30, true, None, 0);
    bench.load().await.expect("in parts");
    assert_eq!(*bench.modes.lock(), [OffloadMode::Model]);
    assert_eq!(bench.loader.offload(&bench.cell), OffloadMode::Model);
    assert_eq!(bench.loader.footprint(&bench.cell), Memory::of_device(0, GIB), "what is there counts, not the files");
    assert_eq!(bench.loader.vram_of("o/a"), GIB);
    let error = self::bench(30, false, None, 0).load().await.expect_err("it cannot");
    assert!(error.to_string().contains("no room"), "{error}");
}

#[tokio::test]
async fn m10_1_what_fits_stays_whole_and_is_sliced_when_little_is_left() {
    for (gib, declared, mode) in
        [(8, None, OffloadMode::Off), (12, None, OffloadMode::VaeOnly), (4, Some(17), OffloadMode::VaeOnly)]
    {
        let bench = bench(gib, true, declared, 0);
        bench.load().await.expect("fits");
        assert_eq!((bench.modes.lock().clone(), bench.loader.vram_of("o/a")), (vec![mode], gib * GIB), "{gib} GiB");
    }
}

#[tokio::test]
async fn m10_12_the_set_up_is_told_what_follows_from_the_probes_and_is_booked_as_measured() {
    for (gib, declared) in [(4, None), (10, None), (11, None), (4, Some(18)), (19, None), (25, None), (60, Some(70))] {
        let bench = bench(gib, true, declared, 0);
        let (needed, free) = (bytes_of(declared), bench.loader.memory.free_vram()[0].expect("asked"));
        let decided = OffloadMode::choose(free, gib * GIB, needed);
        bench.load().await.expect("one way or another");
        assert_eq!(*bench.modes.lock(), [decided], "{gib} GiB, {declared:?} declared");
        let taken = free - bench.loader.memory.free_vram()[0].expect("asked");
        assert_eq!(bench.loader.vram_of("o/a"), taken, "{gib} GiB: measured, neither declared nor decided");
    }
}

fn bytes_of(gib: Option<u64>) -> u64 {
    gib.unwrap_or(0) * GIB
}

#[tokio::test]
async fn m10_3_a_load_that_runs_out_of_memory_is_tried_twice_more_one_rung_up_each_time() {
    let bench = bench(12, true, None, 2);
    bench.load().await.expect("the third try");
    assert_eq!(*bench.modes.lock(), [OffloadMode::VaeOnly, OffloadMode::Model, OffloadMode::Group]);
    assert_eq!(bench.loader.offload(&bench.cell), OffloadMode::Group);
    let bench = self::bench(12, true, None, 3);
    assert!(bench.load().await.expect_err("for good").is_out_of_memory());
    let bench = self::bench(12, false, None, 1);
    assert!(bench.load().await.expect_err("at once").is_out_of_memory());
    assert_eq!(bench.modes.lock().len(), 1, "its endpoint takes it as a whole");
}

#[tokio::test]
async fn m9_12_room_is_made_for_what_is_declared_until_something_was_measured() {
    let bench = bench(4, false, Some(19), 0);
    let error = bench.load().await.expect_err("19 and 2 are more than 20");
    assert!(error.to_string().contains("no room"), "{error}");
    let bench = self::bench(4, false, Some(18), 0);
    bench.load().await.expect("fits");
    let needs = bench.loader.needs(&bench.loader.entries[0], &bench.cell.models(), 4 * GIB, 0);
    assert_eq!(needs.vram_bytes, 4 * GIB, "as measured");
}

/// What the worker loads for an endpoint.
struct Weights;

impl LoadModel for Weights {
    fn load(_dir: &Path, _options: &LoadOptions) -> crate::Result<Self> {
        Ok(Self)
    }
}

#[tokio::test]
async fn m9_12_what_the_worker_loads_is_booked_by_itself_and_handlers_share_the_rest() {
    let (disk, cards) = (Disk::new(), Cards::with([None; 2]));
    let slots = ["a", "b", "c"].map(|name| (name.to_owned(), hub(format!("o/{name}")).build().expect("sound"))).into();
    let lifecycle = LifecycleDecl {
        parameters: vec![SetupParameter::All],
        declared_setup: true,
        setup: Arc::new(|slots| {
            Work::Async(
                async move {
                    let _loaded: Weights = slots.load("a").await?;
                    let _path: ModelDir = slots.load("b").await?;
                    Ok(Arc::new(()) as InstanceValue)
                }
                .boxed(),
            )
        }),
        warmup: None,
        shutdown: None,
    };
    let cell = Arc::new(InstanceCell::new("abc".to_owned(), slots, Some(lifecycle)));
    let source = disk.models(&[("a", 4), ("b", 1), ("c", 5)]);
    let loader = Loader::new(source, cards, VramLimits::default(), [(true, cell.clone())], |_, _| {});
    loader.warm(&cell, &HashMap::new(), 0).await.expect("fits");
    let booked = ["o/a", "o/b", "o/c"].map(|reference| loader.vram_of(reference) / GIB);
    assert_eq!(booked, [4, 3, 3], "nobody can ask this card: files count for what was loaded");
    assert!(!cell.is_in_use());
    cell.shutdown().await;
    assert_eq!(loader.vram_of("o/a"), 0);
}

#[tokio::test]
async fn m9_3_m9_12_what_takes_less_than_its_files_is_booked_as_measured() {
    let (disk, cards) = (Disk::new(), Cards::with([Some(20); 2]));
    let slots = [("weights".to_owned(), hub("o/a").build().expect("sound"))].into();
    let lifecycle = lifecycle(&cards, 9 << 30, &Told::default());
    let cell = Arc::new(InstanceCell::new("a".to_owned(), slots, Some(lifecycle)));
    let loader =
        Loader::new(disk.models(&[("a", 16)]), cards, VramLimits::default(), [(true, cell.clone())], |_, _| {});
    loader.warm(&cell, &HashMap::new(), 0).await.expect("fits");
    let needs = loader.needs(&loader.entries[0], &cell.models(), 16 * GIB, 0);
    assert_eq!((loader.vram_of("o/a"), needs.vram_bytes), (9 * GIB, 9 * GIB));
}

#[tokio::test]
async fn m9_11_directories_that_a_function_reads_itself_need_no_host_memory() {
    let (disk, cards) = (Disk::new(), Cards::with([None; 2]));
    cards.ram.set(9 * GIB);
    let slots = || [("weights".to_owned(), hub("o/a").build().expect("sound"))].into();
    let paths = Arc::new(InstanceCell::new("paths".to_owned(), slots(), None));
    let loads = lifecycle(&cards, 0, &Told::default());
    let loads = Arc::new(InstanceCell::new("loads".to_owned(), slots(), Some(loads)));
    let cells = [(false, paths.clone()), (false, loads.clone())];
    let loader = Loader::new(disk.models(&[("a", 30)]), cards, VramLimits::default(), cells, |_, _| {});
    loader.warm(&paths, &HashMap::new(), 0).await.expect("nothing is loaded");
    loader.warm(&loads, &HashMap::new(), 0).await.expect_err("30 and 8 are more than 9");
}
