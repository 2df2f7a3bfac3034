//! How an instance of an endpoint type comes and goes.

use std::{any::Any, sync::Arc};

use futures::future::BoxFuture;

use crate::{instance::Slots, worker_error::Result};

/// An instance, with its type erased.
pub type InstanceValue = Arc<dyn Any + Send + Sync>;

/// Work of an author's function: on the event loop, or off it.
pub enum Work<T> {
    /// Polled on the event loop.
    Async(BoxFuture<'static, Result<T>>),
    /// Run on the blocking pool.
    Blocking(Box<dyn FnOnce() -> Result<T> + Send>),
}

/// Makes an instance from the local models.
pub type SetupFn = Arc<dyn Fn(Slots) -> Work<InstanceValue> + Send + Sync>;

/// Does something with an instance. A shutdown hook gets the last reference there is.
pub type HookFn = Arc<dyn Fn(InstanceValue) -> Work<()> + Send + Sync>;

/// Setup, warm-up and shutdown of an endpoint type.
#[derive(Clone)]
pub struct LifecycleDecl {
    /// What setup takes.
    pub parameters: Vec<SetupParameter>,
    /// Whether the author wrote a setup; if not, instances are made by `Default` and take no slots.
    pub declared_setup: bool,
    /// Makes an instance.
    pub setup: SetupFn,
    /// Runs once right after a successful setup.
    pub warmup: Option<HookFn>,
    /// Runs at most once, after the last call.
    pub shutdown: Option<HookFn>,
}

/// A parameter of a setup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetupParameter {
    /// Takes the slot of this name.
    Slot(&'static str),
    /// Takes all slots.
    All,
}
