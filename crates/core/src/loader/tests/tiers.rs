//! Instances that wait in host memory.
use std::sync::atomic::AtomicUsize;

use super::*;
use crate::{
    FailureClass, Result,
    endpoint::{Movable, MovableFn},
    macro_support::movable_instance,
};

/// A model that moves between the cards and host memory, which it takes from both.
struct Model {
    cards: Arc<Cards>,
    at: Device,
    bytes: i64,
    broken: Arc<AtomicBool>,
}

impl Movable for Model {
    fn move_to(&mut self, device: Device) -> Result<()> {
        if self.broken.load(Ordering::SeqCst) && device != self.at {
            return Err(WorkerError::fatal("Wedged", "this card is wedged"));
        }
        self.cards.place(self.at, -self.bytes);
        self.cards.place(device, self.bytes);
        self.at = device;
        Ok(())
    }

    fn bytes_by_device(&self) -> Vec<(Device, u64)> {
        vec![(self.at, u64::try_from(self.bytes).expect("positive"))]
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.cards.place(self.at, -self.bytes);
    }
}

impl Cards {
    fn place(&self, device: Device, bytes: i64) {
        match device {
            Device::Cpu => self.ram.add(-bytes),
            Device::Cuda(device) => self.take(usize::try_from(device).expect("small"), bytes),
        }
    }
}

struct Bench {
    loader: Loader,
    cells: Vec<Arc<InstanceCell>>,
    cards: Arc<Cards>,
    setups: Arc<AtomicUsize>,
    broken: Arc<AtomicBool>,
    /// Instances that left their card, by number.
    left: Arc<Mutex<Vec<Models>>>,
    _disk: Disk,
}

/// Instances of models of these sizes on two cards of 20 GiB, in a machine with that much host memory free.
fn bench(ram: u64, sizes: &[(&'static str, u64)]) -> Bench {
    bench_of(ram, sizes, Some(movable_instance::<Model>))
}

fn bench_of(ram: u64, sizes: &[(&'static str, u64)], movable: Option<MovableFn>) -> Bench {
    let (disk, cards) = (Disk::new(), Cards::with([Some(20); 2]));
    cards.ram.set(ram * GIB);
    let (setups, broken, left) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default(), Arc::default());
    let cell = |(name, gib): &(&str, u64)| {
        let slots = [("weights".to_owned(), hub(format!("o/{name}")).build().expect("sound"))].into();
        let bytes = i64::try_from(gib * GIB).expect("small");
        let (cards, setups, broken) = (cards.clone(), setups.clone(), broken.clone());
        let lifecycle = LifecycleDecl {
            parameters: vec![SetupParameter::All],
            declared_setup: true,
            setup: Arc::new(move |slots| {
                setups.fetch_add(1, Ordering::SeqCst);
                let at = slots.device();
                cards.place(at, bytes);
                let model = Model { cards: cards.clone(), at, bytes, broken: broken.clone() };
                Work::Async(async move { Ok(Arc::new(model) as InstanceValue) }.boxed())
            }),
            warmup: None,
            shutdown: None,
        };
        Arc::new(InstanceCell::new((*name).to_owned(), slots, Some(lifecycle)).moved_by(movable))
    };
    let cells: Vec<_> = sizes.iter().map(cell).collect();
    let entries: Vec<_> = cells.iter().map(|cell| (true, cell.clone())).collect();
    let told: Arc<Mutex<Vec<Models>>> = Arc::clone(&left);
    let leaves = move |_, models| told.lock().push(models);
    let loader = Loader::new(disk.models(sizes), cards.clone(), VramLimits::default(), entries, leaves);
    Bench { loader, cells, cards, setups, broken, left, _disk: disk }
}

impl Bench {
    async fn load(&self, number: usize) -> Result<Instance> {
        self.loader.load(&self.cells[number], &HashMap::new(), 0).await.map(|(instance, _)| instance)
    }

    /// GiB that each instance takes of the host and of the first card; none where there is no instance.
    fn tiers(&self) -> Vec<Option<(u64, u64)>> {
        let tier = |cell: &Arc<InstanceCell>| {
            let held = self.loader.footprint(cell);
            cell.is_ready().then_some((held.ram_bytes / GIB, held.vram_on(0) / GIB))
        };
        self.cells.iter().map(tier).collect()
    }

    fn setups(&self) -> usize {
        self.setups.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn c74_models_over_budget_take_turns_by_least_recent_use_without_another_setup() {
    let bench = bench(40, &[("a", 6), ("b", 6), ("c", 6), ("d", 6)]);
    for number in 0..3 {
        drop(bench.load(number).await.expect("fits"));
    }
    assert_eq!(bench.tiers(), [Some((0, 6)), Some((0, 6)), Some((0, 6)), None]);
    drop(bench.load(3).await.expect("room is made"));
    assert_eq!(bench.tiers(), [Some((6, 0)), Some((0, 6)), Some((0, 6)), Some((0, 6))]);
    for round in 0..8 {
        let instance = bench.load(round % 4).await.expect("comes back");
        assert_eq!(instance.slots().device(), Device::Cuda(0));
    }
    assert_eq!(bench.setups(), 4);
    assert_eq!(bench.loader.free().await, Memory { ram_bytes: 34 * GIB, vram_bytes: vec![2 * GIB, 20 * GIB] });
    assert_eq!(bench.left.lock().len(), 9);
}

#[tokio::test]
async fn m9_5_what_is_in_use_or_does_not_fit_the_host_is_not_demoted() {
    let bench = bench(13, &[("a", 6)]);
    let instance = bench.load(0).await.expect("fits");
    bench.cards.ram.set(40 * GIB);
    assert!(!bench.loader.demote(&bench.cells[0]).await, "in use");
    drop(instance);
    bench.cards.ram.set(14 * GIB - 1);
    assert!(!bench.loader.demote(&bench.cells[0]).await, "the floor is 8 GiB");
    assert_eq!(bench.tiers(), [Some((0, 6))]);
    bench.cards.ram.set(14 * GIB);
    assert!(bench.loader.demote(&bench.cells[0]).await);
    assert_eq!(bench.tiers(), [Some((6, 0))]);
    assert!(!bench.loader.demote(&bench.cells[0]).await, "it is not on an accelerator");
    assert!(bench.cells[0].ready().is_none(), "nobody gets it there");
}

#[tokio::test]
async fn m9_10_without_room_in_the_host_idle_instances_are_torn_down() {
    let bench = bench(13, &[("a", 12), ("b", 12)]);
    drop(bench.load(0).await.expect("fits"));
    drop(bench.load(1).await.expect("room is made"));
    assert_eq!((bench.tiers(), bench.left.lock().len()), (vec![None, Some((0, 12))], 1));
    let fixed = bench_of(64, &[("a", 12), ("b", 12)], None);
    drop(fixed.load(0).await.expect("fits"));
    drop(fixed.load(1).await.expect("room is made"));
    assert_eq!(fixed.tiers(), [None, Some((0, 12))], "nothing that moves");
}

#[tokio::test]
async fn m9_10_a_demotion_that_fails_is_skipped() {
    let bench = bench(40, &[("a", 12), ("b", 12)]);
    drop(bench.load(0).await.expect("fits"));
    bench.broken.store(true, Ordering::SeqCst);
    drop(bench.load(1).await.expect("room is made"));
    assert_eq!((bench.tiers(), bench.left.lock().len()), (vec![None, Some((0, 12))], 1), "torn down instead");
}

#[tokio::test]
async fn m9_7_what_does_not_come_back_waits_on_and_the_function_is_not_to_blame() {
    let bench = bench(40, &[("a", 6)]);
    drop(bench.load(0).await.expect("fits"));
    assert!(bench.loader.demote(&bench.cells[0]).await);
    bench.broken.store(true, Ordering::SeqCst);
    let error = bench.load(0).await.expect_err("wedged");
    assert_eq!(error.class(), FailureClass::Retryable);
    assert_eq!((bench.tiers(), bench.loader.take_promoted(&bench.cells[0])), (vec![Some((6, 0))], false));
    bench.broken.store(false, Ordering::SeqCst);
    drop(bench.load(0).await.expect("comes back"));
    assert_eq!((bench.tiers(), bench.setups()), (vec![Some((0, 6))], 1));
    assert!(bench.loader.take_promoted(&bench.cells[0]) && !bench.loader.take_promoted(&bench.cells[0]), "told once");
}

#[tokio::test]
async fn m9_7_room_is_made_for_the_most_it_ever_took() {
    let bench = bench(60, &[("a", 12), ("b", 12)]);
    drop(bench.load(0).await.expect("fits"));
    let busy = bench.load(1).await.expect("room is made");
    assert_eq!(bench.tiers(), [Some((12, 0)), Some((0, 12))]);
    let error = bench.load(0).await.expect_err("the other is in use");
    assert!(error.to_string().contains("no room"), "{error}");
    assert_eq!(bench.tiers(), [Some((12, 0)), Some((0, 12))], "nothing changed");
    drop(busy);
    drop(bench.load(0).await.expect("takes its place"));
    assert_eq!((bench.tiers(), bench.setups()), (vec![Some((0, 12)), Some((12, 0))], 2));
}

#[tokio::test]
async fn m9_8_an_instance_that_waits_is_released_to_disk_and_set_up_again() {
    let bench = bench(40, &[("a", 6)]);
    drop(bench.load(0).await.expect("fits"));
    assert!(bench.loader.demote(&bench.cells[0]).await);
    assert!(bench.cells[0].shutdown_if_idle().await);
    assert_eq!((bench.tiers(), bench.cards.free_ram()), (vec![None], 40 * GIB));
    drop(bench.load(0).await.expect("set up again"));
    assert_eq!((bench.tiers(), bench.setups()), (vec![Some((0, 6))], 2));
}

#[tokio::test]
async fn m9_1_the_most_a_model_was_measured_to_take_outlives_its_tiers() {
    let bench = bench(40, &[("a", 6)]);
    let needed = |on_disk| {
        let models = bench.cells[0].next_models();
        bench.loader.needs(&bench.loader.entries[0], &models, on_disk, 0).vram_bytes
    };
    assert_eq!(needed(GIB), GIB, "nothing was measured: the files count");
    drop(bench.load(0).await.expect("fits"));
    assert_eq!((bench.loader.vram_of("o/a"), needed(GIB)), (6 * GIB, 6 * GIB));
    assert!(bench.loader.demote(&bench.cells[0]).await);
    assert_eq!((bench.loader.vram_of("o/a"), needed(GIB)), (0, 6 * GIB));
    assert!(bench.cells[0].shutdown_if_idle().await);
    assert_eq!((bench.loader.vram_of("o/a"), needed(GIB)), (0, 6 * GIB));
}

#[tokio::test]
async fn m9_3_without_a_measure_the_files_count_and_in_host_memory_nothing_does() {
    let bench = bench(40, &[("a", 6)]);
    // Nobody can ask the cards.
    *bench.cards.free.lock() = vec![None; 2];
    drop(bench.load(0).await.expect("fits"));
    assert_eq!((bench.tiers(), bench.loader.vram_of("o/a")), (vec![Some((0, 6))], 6 * GIB));
    assert!(bench.loader.demote(&bench.cells[0]).await);
    assert_eq!((bench.tiers(), bench.loader.vram_of("o/a")), (vec![Some((6, 0))], 0));
}
