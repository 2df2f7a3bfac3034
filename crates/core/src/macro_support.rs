//! What code written by the macros of `gen-worker` names. Not for people: nothing here is stable.

use std::{
    any::{Any, type_name},
    sync::Arc,
};

pub use async_stream::stream;
pub use futures::StreamExt;
pub use inventory;
pub use schemars;
pub use serde;

pub use crate::{
    codec::encode,
    context::RequestContext,
    endpoint::{
        EndpointDecl, HandlerDecl, InstanceValue, Isolation, Kind, LifecycleDecl, Linked, Movable, OutputShape,
        SetupParameter, Work,
    },
    function::{Call, Invocation},
    instance::Slots,
    io_type::{
        Output, Payload, bytes_field,
        field_bounds::{LengthBounds, Number, NumberBounds, Pattern},
    },
    stream_item::{Framer, Step, StreamItem},
    worker_error::{Result, WorkerError},
};

/// What a warm-up or shutdown may return.
#[diagnostic::on_unimplemented(message = "warm-up and shutdown return nothing or `Result<()>`, not `{Self}`")]
pub trait HookOutcome {
    /// As a result.
    ///
    /// # Errors
    /// The author's.
    fn outcome(self) -> Result<()>;
}

impl HookOutcome for () {
    fn outcome(self) -> Result<()> {
        Ok(())
    }
}

impl HookOutcome for Result<()> {
    fn outcome(self) -> Result<()> {
        self
    }
}

/// The instance as what it is.
///
/// # Errors
/// When it is of another type.
pub fn shared_instance<T: Send + Sync + 'static>(value: InstanceValue) -> Result<Arc<T>> {
    value
        .downcast()
        .map_err(|_| WorkerError::fatal("WrongInstance", format!("the instance is not a {}", type_name::<T>())))
}

/// The instance as something that moves; none when it is of another type.
pub fn movable_instance<T: Movable>(value: &mut (dyn Any + Send + Sync)) -> Option<&mut dyn Movable> {
    value.downcast_mut::<T>().map(|instance| instance as &mut dyn Movable)
}

/// The instance itself, for a shutdown that takes it by value.
///
/// # Errors
/// When it is of another type, or somebody else still refers to it.
pub fn owned_instance<T: Send + Sync + 'static>(value: InstanceValue) -> Result<T> {
    Arc::try_unwrap(shared_instance::<T>(value)?)
        .map_err(|_| WorkerError::fatal("InstanceInUse", format!("a {} is still in use", type_name::<T>())))
}
