//! Instances in processes of their own.
use super::*;
use crate::{
    Function, Invocation, Registry, SlotOptions,
    endpoint::{EndpointDecl, HandlerDecl, Isolation, OutputShape},
    function::Call,
    io_type::{Output, Payload},
    slot::{InMemorySlots, attach},
};

struct Bench {
    loader: Loader,
    hosted: Arc<InstanceCell>,
    own: Arc<InstanceCell>,
    options: SlotOptions,
    told: Told,
    _disk: Disk,
}

/// The endpoint `hosted`, of which two may run at once.
fn registry(cards: &Arc<Cards>, told: &Told) -> Registry {
    let mut decl = EndpointDecl::of_type("loader", "Hosted", lifecycle(cards, 0, told));
    decl.resources.max_concurrency = Some(2);
    decl.slots.named.push(("weights", hub("o/hosted").build()));
    decl.handlers.push(HandlerDecl {
        method: "hosted",
        name: None,
        payload: <Text as Payload>::type_decl(),
        output: <Text as Output>::type_decl(),
        shape: OutputShape::Single,
        blocking: false,
        slots: Vec::new(),
        call: Arc::new(|_: Call| Ok(Invocation::Async(async { Err(WorkerError::canceled()) }.boxed()))),
    });
    Registry::builder().endpoint(decl).isolation(Isolation::Process).build().expect("sound")
}

/// A hosted model and one of this process, both of 8 GiB, on accelerators that nobody can ask.
fn bench() -> Bench {
    let (disk, cards, told) = (Disk::new(), Cards::with([None, None]), Told::default());
    let children = (cards.clone(), told.clone());
    let slots = InMemorySlots::new(move || registry(&children.0, &children.1));
    let options = SlotOptions::new(Arc::new(slots));
    let registry = registry(&cards, &told);
    attach(&registry, Some(&options)).expect("there are options");
    let function: Option<&Arc<Function>> = registry.get("hosted");
    let hosted = function.and_then(|function| function.instance()).cloned().expect("it has one");
    let bindings = [("weights".to_owned(), hub("o/own").build().expect("sound"))].into();
    let own = Arc::new(InstanceCell::new("own".to_owned(), bindings, Some(lifecycle(&cards, 0, &told))));
    let entries = [(true, hosted.clone()), (true, own.clone())];
    let limits = VramLimits::default();
    let loader = Loader::new(disk.models(&[("hosted", 8), ("own", 8)]), cards, limits, entries, |_, _| {});
    Bench { loader, hosted, own, options, told, _disk: disk }
}

impl Bench {
    async fn load(&self, cell: &Arc<InstanceCell>) -> Result<(Instance, ColdStart), WorkerError> {
        self.loader.load(cell, &HashMap::new(), 0).await
    }

    fn held_vram(&self) -> u64 {
        self.loader.footprint(&self.hosted).vram_sum()
    }
}

#[tokio::test]
async fn what_children_hold_is_held() {
    let bench = bench();
    let first = bench.load(&bench.hosted).await.expect("fits").0;
    assert_eq!(*bench.told.lock(), [Device::Cuda(0)], "the child hears where room was made");
    assert_eq!(bench.held_vram(), 8 * GIB);
    assert!(bench.loader.footprint(&bench.hosted).ram_bytes > 0, "the child says how large it is");
    let second = bench.load(&bench.hosted).await.expect("fits").0;
    assert_eq!((bench.held_vram(), bench.loader.free().await.vram_on(0)), (16 * GIB, 4 * GIB));
    // Both are in use: nobody can make room.
    let error = bench.load(&bench.own).await.expect_err("no room");
    assert!(error.to_string().contains("accelerator memory"), "{error}");
    drop(first);
    // One of the two is enough.
    drop(bench.load(&bench.own).await.expect("room is made"));
    assert_eq!((bench.held_vram(), bench.hosted.is_in_use()), (8 * GIB, true));
    drop(second);
    assert_eq!(bench.held_vram(), 8 * GIB, "idle children hold theirs");
}

#[tokio::test]
async fn a_child_that_starts_has_others_make_room() {
    let bench = bench();
    drop(bench.load(&bench.own).await.expect("fits"));
    let first = bench.load(&bench.hosted).await.expect("fits").0;
    let second = bench.load(&bench.hosted).await.expect("room is made").0;
    assert_eq!(loaded(&[&bench.own, &bench.hosted]), [false, true]);
    assert_eq!(bench.options.counters.read().started, 2);
    drop((first, second));
    bench.hosted.shutdown().await;
    assert_eq!((bench.held_vram(), bench.loader.free().await.vram_on(0)), (0, 20 * GIB));
}

#[tokio::test(start_paused = true)]
async fn only_the_first_job_of_a_child_waits_for_its_start() {
    let bench = bench();
    let (instance, cold) = bench.load(&bench.hosted).await.expect("fits");
    assert_eq!(cold.queued, Duration::ZERO);
    drop(instance);
    let (_instance, cold) = bench.load(&bench.hosted).await.expect("it is there");
    assert_eq!(cold, ColdStart::default());
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_place_is_no_cold_start() {
    let bench = bench();
    let held = (bench.load(&bench.hosted).await, bench.load(&bench.hosted).await);
    let mut third = std::pin::pin!(bench.load(&bench.hosted));
    assert!(timeout(Duration::from_secs(3), &mut third).await.is_err(), "both places are taken");
    drop(held);
    let (_instance, cold) = third.await.expect("a place is free");
    assert_eq!(cold, ColdStart { queued: Duration::from_secs(3), ..ColdStart::default() });
    assert!(!cold.is_cold());
}
