//! A model source that does what the test says, and endpoints that use its models.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use gen_worker_core::{
    Binding, FetchProgress, FetchedModel, Invocation, ModelError, ModelResidency, ModelSource, Registry,
    RegistryBuilder, Result, TellEvicted, Tier, WorkerError,
    binding::{BindingError, hub},
    codec,
    endpoint::{
        EndpointDecl, HandlerDecl, InstanceValue, LifecycleDecl, OutputShape, ResourcesDecl, SetupParameter, Work,
    },
    function::Call,
    io_type::{Output, Payload},
    memory::MemoryProbe,
    residency::Memory,
};
use gen_worker_proto::pb;
use parking_lot::Mutex;
use tempfile::TempDir;

use crate::functions::{Probe, Text};

/// How a fetch of a ref ends.
pub type Failure = fn(&str) -> ModelError;

/// Models by wire ref, each a directory with one file.
pub struct Shelf {
    dir: TempDir,
    on_disk: Mutex<HashSet<String>>,
    /// How the next fetches of a ref end, instead of well.
    failures: Mutex<HashMap<String, Vec<Failure>>>,
    pub fetches: AtomicUsize,
    /// What comes without anybody saying which files it has.
    provided: Mutex<HashSet<String>>,
    /// What was asked for, in order.
    asked: Mutex<Vec<Binding>>,
    /// Virtual seconds that a download takes.
    pub seconds: AtomicU64,
    pub kept: Mutex<Vec<String>>,
    /// Shared with everything that was fetched.
    hold: Arc<()>,
    /// Shared with everything that is on its way.
    way: Arc<()>,
    evicted: Mutex<Option<TellEvicted>>,
}

impl Shelf {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            dir: tempfile::tempdir().expect("a directory"),
            on_disk: Mutex::default(),
            failures: Mutex::default(),
            fetches: AtomicUsize::new(0),
            provided: Mutex::default(),
            asked: Mutex::default(),
            seconds: AtomicU64::new(0),
            kept: Mutex::default(),
            hold: Arc::default(),
            way: Arc::default(),
            evicted: Mutex::default(),
        })
    }

    /// The next fetches of `reference` fail like this.
    pub fn fails(&self, reference: &str, failures: &[Failure]) {
        self.failures.lock().insert(reference.into(), failures.to_vec());
    }

    /// The model lies here already.
    pub fn has(&self, reference: &str) {
        self.write(reference);
    }

    /// The model comes from a provider of its own.
    pub fn provides(&self, reference: &str) {
        self.provided.lock().insert(reference.into());
    }

    /// What was asked for since the last call.
    pub fn asked(&self) -> Vec<Binding> {
        std::mem::take(&mut self.asked.lock())
    }

    /// Models that somebody keeps from being evicted.
    pub fn held(&self) -> usize {
        Arc::strong_count(&self.hold) - 1
    }

    /// Transfers under way.
    pub fn under_way(&self) -> usize {
        Arc::strong_count(&self.way) - 1
    }

    /// The disk needs its place.
    pub fn evict(&self, reference: &str) {
        self.forget(reference);
        let tell = self.evicted.lock().clone().expect("somebody wants to know");
        tell(reference);
    }

    pub fn forget(&self, reference: &str) {
        self.on_disk.lock().remove(reference);
    }

    fn write(&self, reference: &str) -> PathBuf {
        let dir = self.dir.path().join(reference.replace('/', "--"));
        fs::create_dir_all(&dir).expect("created");
        fs::write(dir.join("weights"), format!("weights of {reference}")).expect("written");
        self.on_disk.lock().insert(reference.into());
        dir
    }
}

impl ModelSource for Shelf {
    fn fetch<'a>(
        &'a self,
        binding: &'a Binding,
        snapshot: Option<&'a pb::Snapshot>,
        progress: &'a dyn FetchProgress,
    ) -> BoxFuture<'a, std::result::Result<FetchedModel, ModelError>> {
        async move {
            let reference = binding.wire_ref();
            self.fetches.fetch_add(1, Ordering::SeqCst);
            self.asked.lock().push(binding.clone());
            let failure = self
                .failures
                .lock()
                .get_mut(&reference)
                .and_then(|failures| if failures.is_empty() { None } else { Some(failures.remove(0)) });
            if let Some(failure) = failure {
                return Err(failure(&reference));
            }
            if !self.on_disk.lock().contains(&reference) {
                if snapshot.is_none() && !self.provided.lock().contains(&reference) {
                    return Err(ModelError::Unknown(reference));
                }
                let _way = self.way.clone();
                for second in 0..self.seconds.load(Ordering::SeqCst) {
                    progress.fetched(second, 100);
                    tokio::time::sleep(Duration::from_secs(1)).await; // tidy: a transfer on the paused clock of its test; nothing waits in real time
                }
                progress.fetched(100, 100);
            }
            Ok(FetchedModel::held(self.write(&reference), self.hold.clone()))
        }
        .boxed()
    }

    fn residency(&self) -> Vec<ModelResidency> {
        let on_disk = self.on_disk.lock();
        let held =
            |reference: &String| ModelResidency { reference: reference.clone(), tier: Tier::Disk, vram_bytes: 0 };
        on_disk.iter().map(held).collect()
    }

    fn spare(&self, keep: &[String]) {
        *self.kept.lock() = keep.to_vec();
    }

    fn on_evicted(&self, tell: TellEvicted) {
        *self.evicted.lock() = Some(tell);
    }
}

/// What an endpoint's setup does besides reading its model.
#[derive(Clone, Default)]
pub struct Setup {
    /// The set-up fails for good.
    pub broken: Arc<AtomicBool>,
    /// The set-up fails for want of memory.
    pub oom: Arc<AtomicBool>,
    /// Virtual seconds that a set-up takes.
    pub opening: Arc<AtomicU64>,
    /// Virtual seconds that a shutdown takes.
    pub closing: Arc<AtomicU64>,
    pub memory: Arc<Ram>,
}

/// A function `name` of a type of its own that says what its model is. Takes gibibytes of the machine's memory.
pub fn reader(
    functions: RegistryBuilder,
    name: &'static str,
    reference: &str,
    gibibytes: u64,
    setup: &Setup,
    probe: &Probe,
) -> RegistryBuilder {
    functions.endpoint(reading(name, hub(reference).build(), gibibytes, setup, probe))
}

/// The type of such a function, of any model.
pub fn reading(
    name: &'static str,
    binding: std::result::Result<Binding, BindingError>,
    gibibytes: u64,
    setup: &Setup,
    probe: &Probe,
) -> EndpointDecl {
    let (own, gone) = (setup.clone(), setup.clone());
    let lifecycle = LifecycleDecl {
        parameters: vec![SetupParameter::All],
        declared_setup: true,
        setup: Arc::new(move |slots| {
            let own = own.clone();
            Work::Async(
                async move {
                    tokio::time::sleep(Duration::from_secs(own.opening.load(Ordering::SeqCst))).await; // tidy: a set-up on the paused clock of its test; nothing waits in real time
                    if own.broken.load(Ordering::SeqCst) {
                        return Err(WorkerError::resource("no such layer"));
                    }
                    if own.oom.load(Ordering::SeqCst) {
                        return Err(WorkerError::out_of_memory());
                    }
                    own.memory.free.fetch_sub(gibibytes << 30, Ordering::SeqCst);
                    let weights = fs::read_to_string(slots.dir("weights")?.path().join("weights"));
                    Ok(Arc::new(weights.expect("a complete model")) as InstanceValue)
                }
                .boxed(),
            )
        }),
        warmup: None,
        shutdown: Some(Arc::new(move |_| {
            gone.memory.free.fetch_add(gibibytes << 30, Ordering::SeqCst);
            let closing = Duration::from_secs(gone.closing.load(Ordering::SeqCst));
            Work::Async(
                async move {
                    tokio::time::sleep(closing).await; // tidy: a shutdown on the paused clock of its test; nothing waits in real time
                    Ok(())
                }
                .boxed(),
            )
        })),
    };
    let mut endpoint = EndpointDecl::of_type("conformance", name, lifecycle);
    endpoint.slots.named.push(("weights", binding));
    endpoint.handlers.push(handler(name, probe));
    endpoint
}

/// A function of such a type: says what the model is, when it is told to. `fails` and `panics` do just that.
pub fn handler(name: &'static str, probe: &Probe) -> HandlerDecl {
    let probe = probe.clone();
    HandlerDecl {
        method: name,
        name: None,
        payload: <Text as Payload>::type_decl(),
        output: <Text as Output>::type_decl(),
        shape: OutputShape::Single,
        blocking: false,
        slots: Vec::new(),
        call: Arc::new(move |call: Call| {
            let input: Text = call.decode()?;
            let weights = call.borrow_instance::<String>()?;
            probe.begun();
            let gate = probe.gate(&input.text);
            Ok(Invocation::Async(
                async move {
                    if input.text.starts_with("wait") {
                        gate.notified().await;
                    }
                    assert!(!input.text.ends_with("panics"), "as told");
                    if input.text.ends_with("fails") {
                        return Err(WorkerError::fatal("Told", "as told"));
                    }
                    codec::encode(&Text { text: weights.clone() })
                }
                .boxed(),
            ))
        }),
    }
}

/// A function that needs this machine.
pub fn demanding(functions: RegistryBuilder, name: &'static str, resources: ResourcesDecl) -> RegistryBuilder {
    let mut endpoint = EndpointDecl::function(
        "conformance",
        HandlerDecl {
            method: name,
            name: None,
            payload: <Text as Payload>::type_decl(),
            output: <Text as Output>::type_decl(),
            shape: OutputShape::Single,
            blocking: false,
            slots: Vec::new(),
            call: Arc::new(|call: Call| -> Result<Invocation> {
                let input: Text = call.decode()?;
                Ok(Invocation::Async(async move { codec::encode(&input) }.boxed()))
            }),
        },
    );
    endpoint.resources = resources;
    functions.endpoint(endpoint)
}

/// An empty registry.
pub fn none() -> RegistryBuilder {
    Registry::builder()
}

/// Host memory of a small machine.
pub struct Ram {
    pub free: AtomicU64,
}

impl Default for Ram {
    fn default() -> Self {
        Self { free: AtomicU64::new(9 << 30) }
    }
}

impl MemoryProbe for Ram {
    fn total(&self) -> Memory {
        Memory { ram_bytes: 10 << 30, vram_bytes: Vec::new() }
    }

    fn free_ram(&self) -> u64 {
        self.free.load(Ordering::SeqCst)
    }

    fn free_vram(&self) -> Vec<Option<u64>> {
        Vec::new()
    }
}
