//! Which memory loads take and who makes room for them, in this process and in others.
mod hosted;
mod ladder;
mod own;
mod shared;
mod tiers;

use std::{fs::File, path::Path};

use futures::FutureExt as _;
use tempfile::TempDir;

use super::*;
use crate::{
    LocalModels,
    binding::hub,
    context::Device,
    endpoint::{InstanceValue, LifecycleDecl, SetupParameter, Work},
};

const GIB: u64 = 1 << 30;

/// Two accelerators of 20 GiB, and as much host memory as it takes.
struct Cards {
    /// What the driver says; none where nobody can tell.
    free: Mutex<Vec<Option<u64>>>,
    ram: Bytes,
}

/// A number of bytes that goes up and down.
struct Bytes(AtomicU64);

impl Bytes {
    fn set(&self, bytes: u64) {
        self.0.store(bytes, Ordering::SeqCst);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn add(&self, bytes: i64) {
        self.set(self.get().saturating_add_signed(bytes));
    }
}

impl Cards {
    fn with(free: [Option<u64>; 2]) -> Arc<Self> {
        Arc::new(Self {
            free: Mutex::new(free.map(|gib| gib.map(|gib| gib * GIB)).to_vec()),
            ram: Bytes(AtomicU64::new(64 * GIB)),
        })
    }

    fn take(&self, device: usize, bytes: i64) {
        if let Some(Some(free)) = self.free.lock().get_mut(device) {
            *free = free.saturating_add_signed(-bytes);
        }
    }
}

impl MemoryProbe for Cards {
    fn total(&self) -> Memory {
        Memory { ram_bytes: 64 * GIB, vram_bytes: vec![20 * GIB; 2] }
    }

    fn free_ram(&self) -> u64 {
        self.ram.get()
    }

    fn free_vram(&self) -> Vec<Option<u64>> {
        self.free.lock().clone()
    }
}

/// Models on disk, which take no room there.
struct Disk(TempDir);

impl Disk {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    /// The models `o/<name>`, with their sizes.
    fn models(&self, sizes: &[(&str, u64)]) -> Arc<dyn ModelSource> {
        let models = sizes.iter().fold(LocalModels::new(), |models, (name, gib)| {
            let dir = self.0.path().join(name);
            sparse(&dir, gib * GIB);
            models.with(format!("o/{name}"), dir)
        });
        Arc::new(models)
    }
}

fn sparse(dir: &Path, bytes: u64) {
    std::fs::create_dir_all(dir).expect("created");
    File::create(dir.join("weights")).and_then(|file| file.set_len(bytes)).expect("written");
}

impl Loader {
    /// What an instance was measured to take when it was loaded; of one that lives elsewhere, what it told.
    fn footprint(&self, cell: &Arc<InstanceCell>) -> Memory {
        self.entry(cell).map(Entry::held).unwrap_or_default()
    }
}

/// Devices that set-ups were told.
type Told = Arc<Mutex<Vec<Device>>>;

/// Reads nothing and takes the size of its model from the card it was told.
fn lifecycle(cards: &Arc<Cards>, bytes: i64, told: &Told) -> LifecycleDecl {
    let (taken, given, told) = (cards.clone(), cards.clone(), told.clone());
    LifecycleDecl {
        parameters: vec![SetupParameter::All],
        declared_setup: true,
        setup: Arc::new(move |slots| {
            told.lock().push(slots.device());
            if let Device::Cuda(device) = slots.device() {
                taken.take(usize::try_from(device).expect("small"), bytes);
            }
            Work::Async(async move { Ok(Arc::new(slots.device()) as InstanceValue) }.boxed())
        }),
        warmup: None,
        shutdown: Some(Arc::new(move |value| {
            if let Some(Device::Cuda(device)) = value.downcast_ref::<Device>() {
                given.take(usize::try_from(*device).expect("small"), -bytes);
            }
            Work::Async(async { Ok(()) }.boxed())
        })),
    }
}

fn loaded(cells: &[&Arc<InstanceCell>]) -> Vec<bool> {
    cells.iter().map(|cell| cell.is_ready()).collect()
}

#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Text {
    text: String,
}

impl crate::io_type::Payload for Text {}
impl crate::io_type::Output for Text {}
