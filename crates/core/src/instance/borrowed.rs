//! Instances in the hands of whoever uses them. They keep what they were borrowed from alive; own nothing else.

use std::{fmt, sync::Arc};

use super::{
    RemoteCalls, Slots,
    lease::{Lease, Leases},
};
use crate::{
    context::Device,
    endpoint::InstanceValue,
    worker_error::{Result, WorkerError},
};

/// A borrowed instance. The instance is not shut down while one of these is alive.
#[derive(Clone)]
pub struct Instance {
    // Dropped before the lease, so that whoever waits for the lease holds the last reference.
    pub(super) value: InstanceValue,
    pub(super) slots: Slots,
    pub(super) remote: Option<Arc<dyn RemoteCalls>>,
    pub(super) _lease: Lease,
}

/// An instance of a known type.
pub struct Borrowed<T> {
    value: Arc<T>,
    _lease: Lease,
}

impl Instance {
    /// An instance that no cell owns: for programs that call functions by hand.
    #[must_use]
    pub fn detached(value: InstanceValue, slots: Slots) -> Self {
        Self { value, slots, remote: None, _lease: Leases::default().take() }
    }

    /// An instance elsewhere, with what reaches it. Its models are on `device`.
    pub(crate) fn remote(calls: Arc<dyn RemoteCalls>, device: Device) -> Self {
        let value = Arc::new(()) as InstanceValue;
        Self { value, slots: Slots::default().on(device), remote: Some(calls), _lease: Leases::default().take() }
    }

    /// What reaches it, if it lives elsewhere.
    pub(crate) fn remote_calls(&self) -> Option<&Arc<dyn RemoteCalls>> {
        self.remote.as_ref()
    }

    /// The local models.
    #[must_use]
    pub fn slots(&self) -> &Slots {
        &self.slots
    }

    /// The instance as what it is.
    ///
    /// # Errors
    /// When it is of another type, which means that the caller took it from another function's cell.
    pub fn downcast<T: Send + Sync + 'static>(self) -> Result<Borrowed<T>> {
        match self.value.downcast::<T>() {
            Ok(value) => Ok(Borrowed { value, _lease: self._lease }),
            Err(_) => Err(WorkerError::fatal(
                "WrongInstance",
                format!("the instance is not a {}", std::any::type_name::<T>()),
            )),
        }
    }
}

impl<T> std::ops::Deref for Borrowed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance").field("slots", &self.slots).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Borrowed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Borrowed").finish_non_exhaustive()
    }
}
