//! A model that moves between the tiers, as the orchestrator hears it.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicUsize, Ordering},
};

use futures::FutureExt as _;
use gen_worker_core::{
    InstanceCell, Invocation, Registry, Result,
    binding::hub,
    codec,
    context::Device,
    endpoint::{
        EndpointDecl, HandlerDecl, InstanceValue, LifecycleDecl, Movable, OutputShape, ResourcesDecl, SetupParameter,
        Work,
    },
    function::Call,
    gpu::Gpu,
    io_type::{Output, Payload},
    memory::MemoryProbe,
    residency::Memory,
};
use gen_worker_proto::pb::{Hello, JobStatus, ModelOpKind, ModelState, ResidencyTier, worker_message::Msg};

use crate::{
    fixture::Fixture,
    functions::{Probe, Text, text},
    models::op,
    orchestrator::Session,
    shelf::{Setup, Shelf, reader},
};

const GIB: i64 = 1 << 30;

/// What the model takes wherever it is.
const MODEL_BYTES: i64 = 4 * GIB;

/// A machine with one accelerator of 24 GiB.
struct Machine {
    free_ram: AtomicI64,
    free_vram: AtomicI64,
    setups: AtomicUsize,
}

impl Machine {
    fn take(&self, device: Device, bytes: i64) {
        let free = if device == Device::Cpu { &self.free_ram } else { &self.free_vram };
        free.fetch_sub(bytes, Ordering::SeqCst);
    }
}

impl MemoryProbe for Machine {
    fn total(&self) -> Memory {
        Memory { ram_bytes: 64 << 30, vram_bytes: vec![24 << 30] }
    }

    fn free_ram(&self) -> u64 {
        self.free_ram.load(Ordering::SeqCst).cast_unsigned()
    }

    fn free_vram(&self) -> Vec<Option<u64>> {
        vec![Some(self.free_vram.load(Ordering::SeqCst).cast_unsigned())]
    }
}

/// The instance: takes memory where it is.
struct Painter {
    machine: Arc<Machine>,
    at: Device,
}

impl Movable for Painter {
    fn move_to(&mut self, device: Device) -> Result<()> {
        self.machine.take(self.at, -MODEL_BYTES);
        self.machine.take(device, MODEL_BYTES);
        self.at = device;
        Ok(())
    }

    fn bytes_by_device(&self) -> Vec<(Device, u64)> {
        vec![(self.at, MODEL_BYTES.cast_unsigned())]
    }
}

impl Drop for Painter {
    fn drop(&mut self) {
        self.machine.take(self.at, -MODEL_BYTES);
    }
}

fn endpoint(machine: &Arc<Machine>) -> EndpointDecl {
    let machine = machine.clone();
    let lifecycle = LifecycleDecl {
        parameters: vec![SetupParameter::All],
        declared_setup: true,
        setup: Arc::new(move |slots| {
            let (machine, at) = (machine.clone(), slots.device());
            machine.take(at, MODEL_BYTES);
            machine.setups.fetch_add(1, Ordering::SeqCst);
            Work::Async(async move { Ok(Arc::new(Painter { machine, at }) as InstanceValue) }.boxed())
        }),
        warmup: None,
        shutdown: None,
    };
    let mut endpoint = EndpointDecl::of_type("conformance", "paint", lifecycle);
    endpoint.movable = Some(|value| value.downcast_mut::<Painter>().map(|painter| painter as &mut dyn Movable));
    endpoint.resources = ResourcesDecl { gpu: true, ..ResourcesDecl::default() };
    endpoint.slots.named.push(("weights", hub("o/a").build()));
    endpoint.handlers.push(HandlerDecl {
        method: "paint",
        name: None,
        payload: <Text as Payload>::type_decl(),
        output: <Text as Output>::type_decl(),
        shape: OutputShape::Single,
        blocking: false,
        slots: Vec::new(),
        call: Arc::new(|call: Call| {
            let at = call.borrow_instance::<Painter>()?.at;
            Ok(Invocation::Async(async move { codec::encode(&Text { text: format!("{at:?}") }) }.boxed()))
        }),
    });
    endpoint
}

/// The next event of the model: its state, and its bytes on the accelerator in GiB.
async fn moved(session: &mut Session) -> (ModelState, i64) {
    loop {
        match session.next().await {
            Msg::ModelEvent(event) => return (event.state(), event.vram_bytes / GIB),
            Msg::FnUnavailable(why) => panic!("nothing is wrong: {why:?}"),
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn m9_14_hello_lists_every_model_with_its_tier_and_bytes() {
    let machine = Arc::new(Machine {
        free_ram: AtomicI64::new(60 * GIB),
        free_vram: AtomicI64::new(24 * GIB),
        setups: AtomicUsize::new(0),
    });
    let (shelf, probe, memory) = (Shelf::new(), Probe::default(), machine.clone());
    for reference in ["o/a", "o/ram", "o/disk"] {
        shelf.has(reference);
    }
    let functions =
        reader(Registry::builder().endpoint(endpoint(&machine)), "read", "o/ram", 1, &Setup::default(), &probe);
    let mut fixture = Fixture::with_models(functions, probe, shelf, move |worker| {
        worker.gpus = vec![Gpu { name: "L4".into(), capability: (8, 9), total_bytes: 24 << 30 }];
        worker.memory = memory;
    });
    let (mut session, first) = fixture.orchestrator.connect().await;
    let held = |hello: &Hello| {
        let held = hello.models.iter().map(|held| (held.r#ref.clone(), held.tier(), held.vram_bytes / GIB));
        held.collect::<Vec<_>>()
    };
    let of = |reference: &str, tier, gib| (reference.to_owned(), tier, gib);
    let disk = |reference| of(reference, ResidencyTier::Disk, 0);
    assert_eq!(held(&first), [disk("o/a"), disk("o/disk"), disk("o/ram")]);
    session.ready().await;
    session.cut();
    let (_session, second) = fixture.orchestrator.connect().await;
    assert_eq!(held(&second), [of("o/a", ResidencyTier::Vram, 4), disk("o/disk"), of("o/ram", ResidencyTier::Ram, 0)]);
}

#[tokio::test(start_paused = true)]
async fn m14_a_model_goes_through_every_tier_and_each_is_told_with_its_bytes() {
    let machine = Arc::new(Machine {
        free_ram: AtomicI64::new(60 * GIB),
        free_vram: AtomicI64::new(24 * GIB),
        setups: AtomicUsize::new(0),
    });
    let (shelf, memory) = (Shelf::new(), machine.clone());
    let functions = Registry::builder().endpoint(endpoint(&machine));
    let mut fixture = Fixture::with_models(functions, Probe::default(), shelf.clone(), move |worker| {
        worker.gpus = vec![Gpu { name: "L4".into(), capability: (8, 9), total_bytes: 24 << 30 }];
        worker.memory = memory;
    });
    let mut session = fixture.session().await;
    let view = |fixture: &Fixture| {
        let stats = fixture.cache.stats();
        (stats.vram_models, stats.disk_models, stats.used_vram_gb)
    };
    let (none, only) = (Vec::<String>::new(), vec!["o/a".to_owned()]);
    assert_eq!(view(&fixture), (none.clone(), none.clone(), 0.0));
    session.send(op(ModelOpKind::Download, "o/a", true)).await;
    assert_eq!(moved(&mut session).await, (ModelState::Downloading, 0));
    assert_eq!(moved(&mut session).await, (ModelState::OnDisk, 0), "the transfer");
    assert_eq!(moved(&mut session).await, (ModelState::OnDisk, 0), "the operation");
    assert_eq!(view(&fixture), (none.clone(), only.clone(), 0.0), "12.1: the view of the older interface");
    assert_eq!(fixture.cache.model_dir("o/a").map(|dir| dir.is_dir()), Some(true));
    session.send(op(ModelOpKind::Load, "o/a", false)).await;
    assert_eq!(moved(&mut session).await, (ModelState::InVram, 4));
    assert_eq!(view(&fixture), (only.clone(), none.clone(), 4.0));
    assert_eq!(fixture.cache.stats().total_vram_gb, 22.0, "12.2: what is detected, less a margin");
    let pipeline = fixture.cache.get_pipeline("o/a").expect("loaded").downcast::<InstanceCell>().expect("its cell");
    assert!(pipeline.ready().is_some());
    session.send(op(ModelOpKind::Unload, "o/a", false)).await;
    assert_eq!(moved(&mut session).await, (ModelState::InRam, 0));
    assert_eq!(view(&fixture), (none.clone(), only.clone(), 0.0), "there is no such place there");
    session.cut();
    let (mut session, hello) = fixture.orchestrator.connect().await;
    assert_eq!(
        hello.models.iter().map(|held| (held.tier(), held.vram_bytes)).collect::<Vec<_>>(),
        [(ResidencyTier::Ram, 0)]
    );
    let state = session.ready().await;
    assert_eq!(state.available_functions, ["paint"], "13.2: its instance is there");

    session.run("r1", 1, "paint", &text("where")).await;
    assert_eq!(moved(&mut session).await, (ModelState::InVram, 4), "a job brings it back");
    assert_eq!(session.result().await.status(), JobStatus::Ok);
    assert_eq!(machine.setups.load(Ordering::SeqCst), 1, "C-74");
    session.send(op(ModelOpKind::Unload, "o/a", false)).await;
    assert_eq!(moved(&mut session).await, (ModelState::InRam, 0));
    session.send(op(ModelOpKind::Load, "o/a", false)).await;
    assert_eq!(moved(&mut session).await, (ModelState::InVram, 4), "an operation brings it back, and tells once");

    machine.free_ram.store(8 * GIB, Ordering::SeqCst);
    session.send(op(ModelOpKind::Unload, "o/a", false)).await;
    assert_eq!(moved(&mut session).await, (ModelState::OnDisk, 0), "9.13: the host has no room for it");
    assert_eq!(machine.free_vram.load(Ordering::SeqCst), 24 * GIB);
    shelf.forget("o/a");
    session.send(op(ModelOpKind::Unload, "o/a", false)).await;
    assert_eq!(moved(&mut session).await, (ModelState::Evicted, 0));
    assert_eq!(view(&fixture), (none.clone(), none, 0.0));
    assert_eq!(machine.setups.load(Ordering::SeqCst), 1);
}
