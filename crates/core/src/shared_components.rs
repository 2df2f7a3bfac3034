//! Parts of models that several endpoints use: loaded once, counted once, kept as long as anybody uses them and, after
//! that, until their memory is needed. Owns the table of what is shared; what it holds is booked here and nowhere else.

mod key;

use std::{
    any::Any,
    collections::HashMap,
    fmt,
    future::Future,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::sync::OnceCell;

pub use key::ComponentKey;

use crate::{
    context::Device,
    worker_error::{Result, WorkerError},
};

/// The components of one process. Clones are the same table.
#[derive(Clone, Default)]
pub struct SharedComponents(Arc<Mutex<Table>>);

/// A component in use. It stays loaded while one of these is alive.
pub struct SharedComponent<T> {
    object: Arc<T>,
    _use: Use,
}

#[derive(Default)]
struct Table {
    entries: HashMap<ComponentKey, Arc<Entry>>,
    /// Counts releases, which gives them an order.
    releases: u64,
}

struct Entry {
    key: ComponentKey,
    /// Whoever comes first loads; others of this key wait for that and nobody else does.
    loaded: OnceCell<Loaded>,
    /// Changes only while the table is locked.
    users: AtomicUsize,
    released: Mutex<u64>,
}

struct Loaded {
    object: Arc<dyn Any + Send + Sync>,
    bytes: u64,
}

/// One user, counted before the component is loaded.
struct Use {
    table: Arc<Mutex<Table>>,
    entry: Arc<Entry>,
}

impl SharedComponents {
    /// The component of this key: loaded by `load`, which gives it and its size in bytes where it is, unless it is there
    /// or somebody is loading it. A load that fails is the caller's own; whoever waited for it tries next.
    ///
    /// # Errors
    /// Those of `load`, or when the component of this key is of another type.
    ///
    /// # Cancel safety
    /// May be dropped: an unfinished load is dropped with it.
    pub async fn acquire<T, F>(&self, key: ComponentKey, load: F) -> Result<SharedComponent<T>>
    where
        T: Any + Send + Sync,
        F: Future<Output = Result<(T, u64)>>,
    {
        let user = self.begin(key);
        let load = async {
            let (object, bytes) = load.await?;
            Ok::<_, WorkerError>(Loaded { object: Arc::new(object), bytes })
        };
        let object = user.entry.loaded.get_or_try_init(|| load).await?.object.clone();
        match object.downcast::<T>() {
            Ok(object) => Ok(SharedComponent { object, _use: user }),
            Err(_) => {
                let message = format!("{} is not a {}", user.entry.key.id(), std::any::type_name::<T>());
                Err(WorkerError::fatal("WrongComponent", message))
            }
        }
    }

    /// Lets components go that nobody uses, the one released longest ago first, until `bytes` of `device` are given
    /// back. Gives what was.
    pub fn release_idle(&self, device: Device, bytes: u64) -> u64 {
        let mut gone = Vec::new();
        let mut table = self.0.lock();
        let mut idle: Vec<_> =
            table.entries.values().filter(|entry| entry.key.device == device && entry.is_idle()).cloned().collect();
        idle.sort_by_key(|entry| *entry.released.lock());
        let mut freed = 0_u64;
        for entry in idle {
            if freed >= bytes {
                break;
            }
            freed = freed.saturating_add(entry.bytes());
            gone.extend(table.entries.remove(&entry.key));
        }
        // What they hold may take long to drop.
        drop(table);
        drop(gone);
        freed
    }

    /// Forgets one component, unless somebody uses it: then this is `false`, as for one that is not there.
    pub fn evict(&self, key: &ComponentKey) -> bool {
        let mut table = self.0.lock();
        let idle = table.entries.get(key).is_some_and(|entry| entry.is_idle());
        let gone = idle.then(|| table.entries.remove(key));
        drop(table);
        gone.is_some()
    }

    /// Forgets every component that nobody uses; with `forced`, all of them: those in use are gone with their last user,
    /// and are not counted until then. Gives how many were forgotten.
    pub fn drain(&self, forced: bool) -> usize {
        let mut table = self.0.lock();
        let gone: Vec<_> = table.entries.extract_if(|_, entry| forced || entry.is_idle()).collect();
        drop(table);
        gone.len()
    }

    /// Memory of `device` that all of them take, each counted once.
    #[must_use]
    pub fn held_bytes(&self, device: Device) -> u64 {
        let table = self.0.lock();
        let there = table.entries.values().filter(|entry| entry.key.device == device);
        there.fold(0, |sum, entry| sum.saturating_add(entry.bytes()))
    }

    /// How many uses the component of this key has; none when it is not there.
    #[must_use]
    pub fn users(&self, key: &ComponentKey) -> Option<usize> {
        self.0.lock().entries.get(key).map(|entry| entry.users.load(Ordering::Relaxed))
    }

    fn begin(&self, key: ComponentKey) -> Use {
        let mut table = self.0.lock();
        let new = |key: &ComponentKey| Entry {
            key: key.clone(),
            loaded: OnceCell::new(),
            users: AtomicUsize::new(0),
            released: Mutex::new(0),
        };
        let entry = table.entries.entry(key).or_insert_with_key(|key| Arc::new(new(key))).clone();
        entry.users.fetch_add(1, Ordering::Relaxed);
        drop(table);
        Use { table: self.0.clone(), entry }
    }
}

impl Entry {
    fn is_idle(&self) -> bool {
        self.users.load(Ordering::Relaxed) == 0
    }

    fn bytes(&self) -> u64 {
        self.loaded.get().map_or(0, |loaded| loaded.bytes)
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        let mut table = self.table.lock();
        table.releases += 1;
        *self.entry.released.lock() = table.releases;
        let last = self.entry.users.fetch_sub(1, Ordering::Relaxed) == 1;
        // What could not be loaded leaves nothing behind.
        let is_empty = last && self.entry.loaded.get().is_none();
        if is_empty && table.entries.get(&self.entry.key).is_some_and(|entry| Arc::ptr_eq(entry, &self.entry)) {
            table.entries.remove(&self.entry.key);
        }
    }
}

impl<T> SharedComponent<T> {
    /// What it takes where it is loaded.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self._use.entry.bytes()
    }
}

impl<T> Deref for SharedComponent<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.object
    }
}

impl<T> fmt::Debug for SharedComponent<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedComponent").field(&self._use.entry.key.id()).finish()
    }
}

impl fmt::Debug for SharedComponents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedComponents").field("components", &self.0.lock().entries.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
