//! Objects that nobody can reach for a while.

use std::sync::Arc;

use anyhow::Result;
use object_store::{GetResult, ObjectStore, ObjectStoreExt as _, limit::LimitStore, memory::InMemory, path::Path};
use parking_lot::Mutex;

/// An object that is read for as long as nobody else may.
const HELD: &str = "held";

/// Objects in memory for one reader or writer at a time: who closes the gate is the one.
#[derive(Debug)]
pub struct Gate {
    objects: Arc<LimitStore<InMemory>>,
    held: Mutex<Option<GetResult>>,
}

impl Gate {
    pub fn new() -> Self {
        Self { objects: Arc::new(LimitStore::new(InMemory::new(), 1)), held: Mutex::default() }
    }

    pub fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::<LimitStore<InMemory>>::clone(&self.objects)
    }

    /// Waits until nobody else is at the objects, and keeps it so.
    pub async fn close(&self) -> Result<()> {
        self.objects.put(&Path::from(HELD), "it".into()).await?;
        let held = self.objects.get(&Path::from(HELD)).await?;
        *self.held.lock() = Some(held);
        Ok(())
    }

    pub fn open(&self) {
        self.held.lock().take();
    }
}
