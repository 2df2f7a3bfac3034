//! Components that several instances use.
use super::*;
use crate::shared_components::{ComponentKey, SharedComponent};

/// What a component takes of its card, given back with it.
struct Encoder {
    cards: Arc<Cards>,
    bytes: i64,
}

impl Drop for Encoder {
    fn drop(&mut self) {
        self.cards.take(0, -self.bytes);
    }
}

struct Bench {
    loader: Loader,
    cells: Vec<Arc<InstanceCell>>,
    loads: Arc<AtomicU64>,
    _disk: Disk,
}

/// Two endpoints whose models of 8 GiB are an encoder of 6 GiB that they share and 2 GiB of their own, and a large one
/// of 16 GiB, on a card of 20 GiB.
fn bench(free: Option<u64>) -> Bench {
    let (disk, cards, loads) = (Disk::new(), Cards::with([free; 2]), Arc::<AtomicU64>::default());
    let sizes = [("one", 8), ("two", 8), ("large", 16)];
    let cell = |(name, gib): &(&'static str, u64)| {
        let slots = [("weights".to_owned(), hub(format!("o/{name}")).build().expect("sound"))].into();
        let shares = *name != "large";
        let own = i64::try_from(if shares { 2 * GIB } else { gib * GIB }).expect("small");
        let (cards, gone, loads) = (cards.clone(), cards.clone(), loads.clone());
        let lifecycle = LifecycleDecl {
            parameters: vec![SetupParameter::All],
            declared_setup: true,
            setup: Arc::new(move |slots| {
                let (cards, loads) = (cards.clone(), loads.clone());
                let setup = async move {
                    cards.take(0, own);
                    let key = ComponentKey { reference: "o/encoder".into(), ..ComponentKey::default() };
                    let load = async {
                        loads.fetch_add(1, Ordering::SeqCst);
                        let bytes = i64::try_from(6 * GIB).expect("small");
                        cards.take(0, bytes);
                        Ok((Encoder { cards: cards.clone(), bytes }, 6 * GIB))
                    };
                    let encoder: Option<SharedComponent<Encoder>> =
                        if shares { Some(slots.shared(key, load).await?) } else { None };
                    Ok(Arc::new(encoder) as InstanceValue)
                };
                Work::Async(setup.boxed())
            }),
            warmup: None,
            shutdown: Some(Arc::new(move |_| {
                gone.take(0, -own);
                Work::Async(async { Ok(()) }.boxed())
            })),
        };
        Arc::new(InstanceCell::new((*name).to_owned(), slots, Some(lifecycle)))
    };
    let cells: Vec<_> = sizes.iter().map(cell).collect();
    let entries: Vec<_> = cells.iter().map(|cell| (true, cell.clone())).collect();
    let loader = Loader::new(disk.models(&sizes), cards, VramLimits::default(), entries, |_, _| {});
    Bench { loader, cells, loads, _disk: disk }
}

impl Bench {
    async fn load(&self, number: usize) -> Result<Instance, WorkerError> {
        self.loader.load(&self.cells[number], &HashMap::new(), 0).await.map(|(instance, _)| instance)
    }

    fn loaded(&self) -> Vec<bool> {
        loaded(&self.cells.iter().collect::<Vec<_>>())
    }

    async fn free(&self) -> u64 {
        self.loader.free().await.vram_on(0) / GIB
    }
}

#[tokio::test]
async fn m9_shared_memory_is_booked_once_whoever_loads_it() {
    // The driver tells, or nobody does.
    for free in [Some(20), None] {
        let bench = bench(free);
        drop(bench.load(0).await.expect("fits"));
        drop(bench.load(1).await.expect("fits"));
        let own = |number: usize| bench.loader.footprint(&bench.cells[number]);
        assert_eq!([own(0), own(1)], [Memory::of_device(0, 2 * GIB), Memory::of_device(0, 2 * GIB)]);
        assert_eq!((bench.free().await, bench.loads.load(Ordering::SeqCst)), (10, 1));
    }
}

#[tokio::test]
async fn m9_shared_the_last_release_keeps_it_until_its_memory_is_needed() {
    for free in [Some(20), None] {
        let bench = bench(free);
        drop(bench.load(0).await.expect("fits"));
        bench.cells[0].shutdown().await;
        assert_eq!(bench.free().await, 14, "it is still there");
        drop(bench.load(1).await.expect("fits"));
        assert_eq!(bench.loads.load(Ordering::SeqCst), 1, "and is used again");
        bench.cells[1].shutdown().await;
        drop(bench.load(2).await.expect("it makes way"));
        assert_eq!(bench.free().await, 4);
    }
}

#[tokio::test]
async fn m9_shared_room_is_made_of_it_after_the_last_idle_user_and_never_under_a_busy_one() {
    for free in [Some(20), None] {
        let bench = bench(free);
        drop(bench.load(0).await.expect("fits"));
        let busy = bench.load(1).await.expect("fits");
        let error = bench.load(2).await.expect_err("one of its users is busy");
        assert!(error.to_string().contains("no room"), "{error}");
        assert_eq!(bench.loaded(), [true, true, false], "nobody went in vain");
        drop(busy);
        drop(bench.load(2).await.expect("all of them make way"));
        assert_eq!((bench.loaded(), bench.free().await), (vec![false, false, true], 4));
    }
}
