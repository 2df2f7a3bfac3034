//! The models of an endpoint, as local directories.

use std::{
    any::Any,
    collections::BTreeMap,
    fmt,
    future::Future,
    ops::Deref,
    path::{Path, PathBuf},
    sync::Arc,
};

use gen_worker_tasks::Scope;
use parking_lot::Mutex;

use crate::{
    bytes_on_disk,
    context::Device,
    lora_overlays::AttachLimits,
    memory::MemoryProbe,
    memory_ladder::{ComputeDtype, OffloadMode, QuantizationPlan, WeightStorage},
    model_source::FetchedModel,
    shared_components::{ComponentKey, SharedComponent, SharedComponents},
    worker_error::{Result, WorkerError},
};

/// Slot to model on disk. Cheap to clone; the models stay on disk for as long as a clone lives.
#[derive(Clone, Debug, Default)]
pub struct Slots {
    models: Arc<BTreeMap<String, FetchedModel>>,
    device: Device,
    sharing: Sharing,
    /// How each is to be loaded; what is not here is loaded by default.
    planned: Arc<BTreeMap<String, LoadOptions>>,
    meter: Meter,
}

/// Tells what loads take, and remembers it.
#[derive(Clone, Default)]
struct Meter {
    memory: Option<Arc<dyn MemoryProbe>>,
    /// What the models of slots took that were loaded for the instance, by slot.
    booked: Arc<Mutex<BTreeMap<String, u64>>>,
}

/// What the instances of a process share, and what one of them took of it.
#[derive(Clone, Debug, Default)]
struct Sharing {
    components: SharedComponents,
    taken: Arc<Mutex<Taken>>,
}

/// Bytes of shared components that one instance took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Taken {
    /// All of them.
    pub(crate) bytes: u64,
    /// Those that it was the first to take.
    pub(crate) loaded_bytes: u64,
}

/// Directory of a complete, verified model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ModelDir(PathBuf);

/// How a model is to be loaded.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct LoadOptions {
    /// Where its tensors go.
    pub device: Device,
    /// Which parts of it stay there between their uses. Only endpoints that declare `offload` are told anything but
    /// [`OffloadMode::Off`].
    pub offload: OffloadMode,
    /// What it computes in; none = the library's default.
    pub compute: Option<ComputeDtype>,
    /// How its weights are kept.
    pub storage: WeightStorage,
    /// Bounds on the adapters that stay attached to it; none = its slot takes no adapters.
    pub adapters: Option<AttachLimits>,
    /// What has to be known of a checkpoint that a library quantized.
    pub quantization: QuantizationPlan,
}

/// A type that a slot can be turned into. Setup parameters of such a type arrive loaded.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be loaded from a model slot",
    note = "take a `ModelDir`, or implement `LoadModel` for your type"
)]
pub trait LoadModel: Sized + Send + 'static {
    /// Whether a value holds the model in memory. A path does not: whoever has it loads the model by itself.
    const IN_MEMORY: bool = true;

    /// Loads the model in `dir`. May block and compute for long.
    ///
    /// # Errors
    /// When the files are not what the type needs.
    fn load(dir: &Path, options: &LoadOptions) -> Result<Self>;
}

/// A handler parameter that takes a slot per call.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be taken by a handler",
    note = "handlers take slots as `ModelDir`; models that have to be loaded are loaded once, in `#[setup]`"
)]
pub trait CallSlot: Send + 'static {
    /// The parameter for this directory.
    fn from_dir(dir: ModelDir) -> Self;
}

impl CallSlot for ModelDir {
    fn from_dir(dir: ModelDir) -> Self {
        dir
    }
}

impl CallSlot for PathBuf {
    fn from_dir(dir: ModelDir) -> Self {
        dir.0
    }
}

impl Slots {
    /// Wraps a table. Models are loaded for the CPU.
    #[must_use]
    pub fn new(models: BTreeMap<String, FetchedModel>) -> Self {
        Self { models: Arc::new(models), ..Self::default() }
    }

    /// The same models, to be loaded to `device`.
    #[must_use]
    pub fn on(self, device: Device) -> Self {
        Self { device, ..self }
    }

    /// Where the models of this instance are to be. The worker made room for them there.
    #[must_use]
    pub fn device(&self) -> Device {
        self.device
    }

    /// The directory of a slot.
    ///
    /// # Errors
    /// When there is no such slot.
    pub fn dir(&self, slot: &str) -> Result<ModelDir> {
        match self.models.get(slot) {
            Some(model) => Ok(ModelDir(model.dir().to_owned())),
            None => Err(WorkerError::fatal("UnknownSlot", format!("no slot is called {slot:?}"))),
        }
    }

    /// Loads the model of a slot, off the event loop.
    ///
    /// # Errors
    /// When there is no such slot, or loading fails.
    ///
    /// # Cancel safety
    /// May be dropped; the load runs to its end and its result is dropped.
    pub async fn load<T: LoadModel>(&self, slot: &str) -> Result<T> {
        let (slots, slot) = (self.clone(), slot.to_owned());
        let work = Scope::new("load").spawn_blocking(move || slots.load_blocking(&slot));
        match work.await {
            Ok(outcome) => outcome,
            Err(lost) => Err(match lost.try_into_panic() {
                Ok(panic) => WorkerError::from_panic(&*panic),
                Err(_) => WorkerError::retryable("loading a model was interrupted"),
            }),
        }
    }

    /// Loads the model of a slot on this thread.
    ///
    /// # Errors
    /// When there is no such slot, or loading fails.
    pub fn load_blocking<T: LoadModel>(&self, slot: &str) -> Result<T> {
        let (dir, options) = (self.dir(slot)?, self.load_options(slot));
        let before = self.meter.free(self.device);
        let model = T::load(&dir, &options)?;
        if T::IN_MEMORY {
            self.meter.book(slot, &dir, self.device, before);
        }
        Ok(model)
    }

    /// How the model of a slot is to be loaded here: what the worker decided about its numbers and its memory. For set-ups
    /// that load from a directory by themselves.
    #[must_use]
    pub fn load_options(&self, slot: &str) -> LoadOptions {
        LoadOptions { device: self.device, ..self.planned.get(slot).cloned().unwrap_or_default() }
    }

    /// A component that other instances of this process may use, too: of each key, which gets the device of this
    /// instance, there is one. Whoever comes first runs `load`, which gives the component and its size in bytes. Keep
    /// the result in the instance: it stays loaded while somebody has it, and until its memory is needed after that.
    ///
    /// # Errors
    /// Those of `load`, or when the component of this key is of another type.
    ///
    /// # Cancel safety
    /// May be dropped: an unfinished load is dropped with it.
    pub async fn shared<T, F>(&self, key: ComponentKey, load: F) -> Result<SharedComponent<T>>
    where
        T: Any + Send + Sync,
        F: Future<Output = Result<(T, u64)>>,
    {
        let mut loaded = false;
        let noted = async {
            let made = load.await?;
            loaded = true;
            Ok(made)
        };
        let component = self.sharing.components.acquire(ComponentKey { device: self.device, ..key }, noted).await?;
        let mut taken = self.sharing.taken.lock();
        taken.bytes = taken.bytes.saturating_add(component.bytes());
        if loaded {
            taken.loaded_bytes = taken.loaded_bytes.saturating_add(component.bytes());
        }
        Ok(component)
    }

    /// The same, with what others share.
    pub(crate) fn sharing(self, components: SharedComponents) -> Self {
        Self { sharing: Sharing { components, ..Sharing::default() }, ..self }
    }

    /// The same, with models that are to be loaded so, and whoever can tell what that takes.
    pub(crate) fn planned(self, planned: BTreeMap<String, LoadOptions>, memory: Option<Arc<dyn MemoryProbe>>) -> Self {
        Self { planned: Arc::new(planned), meter: Meter { memory, ..Meter::default() }, ..self }
    }

    /// What the model of a slot took when it was loaded for this instance; none where the instance loaded it itself.
    pub(crate) fn booked(&self, slot: &str) -> Option<u64> {
        self.meter.booked.lock().get(slot).copied()
    }

    /// What this instance took of what is shared.
    pub(crate) fn taken(&self) -> Taken {
        *self.sharing.taken.lock()
    }

    /// Slots and their directories.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.models.iter().map(|(slot, model)| (slot.as_str(), model.dir()))
    }
}

impl Meter {
    /// Free memory of an accelerator, where somebody can tell. Blocks for a millisecond.
    fn free(&self, device: Device) -> Option<u64> {
        let Device::Cuda(ordinal) = device else { return None };
        let free = self.memory.as_ref()?.free_vram();
        free.get(usize::try_from(ordinal).ok()?).copied().flatten()
    }

    /// Books what a load took of an accelerator: what is gone since `before`, or the size of its files where nobody can tell.
    fn book(&self, slot: &str, dir: &Path, device: Device, before: Option<u64>) {
        if device == Device::Cpu {
            return;
        }
        let taken = before.zip(self.free(device)).map(|(before, after)| before.saturating_sub(after));
        let bytes = taken.unwrap_or_else(|| bytes_on_disk::size(dir));
        self.booked.lock().insert(slot.to_owned(), bytes);
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").field("booked", &*self.booked.lock()).finish_non_exhaustive()
    }
}

impl PartialEq for Slots {
    /// The same directories, for the same device.
    fn eq(&self, other: &Self) -> bool {
        (&self.models, self.device) == (&other.models, other.device)
    }
}

impl Eq for Slots {}

impl ModelDir {
    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Deref for ModelDir {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for ModelDir {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl LoadModel for ModelDir {
    const IN_MEMORY: bool = false;

    fn load(dir: &Path, _options: &LoadOptions) -> Result<Self> {
        Ok(Self(dir.to_owned()))
    }
}

impl LoadModel for PathBuf {
    const IN_MEMORY: bool = false;

    fn load(dir: &Path, _options: &LoadOptions) -> Result<Self> {
        Ok(dir.to_owned())
    }
}
