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
    /// Models of instances that had to go.
    evicted: Arc<Mutex<Vec<Models>>>,
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
    let (limits, evicted) = (VramLimits::default(), Arc::<Mutex<Vec<Models>>>::default());
    let gone = evicted.clone();
    let sizes = [("hosted", 8), ("own", 8), ("hosted#fp8", 4)];
    let loader = Loader::new(disk.models(&sizes), cards, limits, entries, move |_, models| gone.lock().push(models));
    Bench { loader, hosted, own, options, told, evicted, _disk: disk }
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

#[tokio::test(start_paused = true)]
async fn without_room_for_one_more_child_a_job_waits_for_a_sibling() {
    let bench = bench();
    let own = bench.load(&bench.own).await.expect("fits").0;
    let first = bench.load(&bench.hosted).await.expect("fits").0;
    let mut second = std::pin::pin!(bench.load(&bench.hosted));
    assert!(timeout(Duration::from_secs(3), &mut second).await.is_err(), "everybody is busy for a moment");
    drop(first);
    let (_instance, cold) = second.await.expect("the sibling is free");
    assert_eq!(cold, ColdStart { queued: Duration::from_secs(3), ..ColdStart::default() });
    assert_eq!(bench.options.counters.read().started, 1);
    drop(own);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_waited_for_its_turn_takes_the_twin_that_came_back() {
    let bench = bench();
    let first = bench.load(&bench.hosted).await.expect("fits").0;
    let turn = bench.loader.turn.lock().await;
    let mut second = std::pin::pin!(bench.load(&bench.hosted));
    assert!(timeout(Duration::from_secs(3), &mut second).await.is_err(), "somebody else loads");
    drop((first, turn));
    drop(second.await.expect("the twin is there"));
    assert_eq!(bench.options.counters.read().started, 1);
}

#[tokio::test(start_paused = true)]
async fn every_child_keeps_the_flavor_it_was_made_from() {
    let bench = bench();
    let references = |models: &[Models]| -> Vec<_> {
        models.iter().flat_map(|models| models.values().map(Binding::wire_ref).collect::<Vec<_>>()).collect()
    };
    let turn = bench.loader.turn.lock().await;
    let mut first = std::pin::pin!(bench.load(&bench.hosted));
    assert!(timeout(Duration::from_secs(3), &mut first).await.is_err(), "somebody else loads");
    assert!(bench.hosted.is_in_use() && !bench.hosted.is_ready(), "a place alone holds nothing");
    drop(turn);
    let first = first.await.expect("fits").0;
    bench.hosted.resolve(|declared| declared.resolved("o/hosted#fp8"));
    let second = bench.load(&bench.hosted).await.expect("fits").0;
    assert_eq!(references(&bench.hosted.all_models()), ["o/hosted", "o/hosted#fp8"]);
    drop(first);
    bench.load(&bench.own).await.map(drop).expect("room is made");
    assert_eq!(references(&bench.evicted.lock()), ["o/hosted"], "what went is what that child held");
    assert_eq!(references(&bench.hosted.all_models()), ["o/hosted#fp8"]);
    drop(second);
}
