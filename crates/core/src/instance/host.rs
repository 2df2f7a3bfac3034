//! Instances that live elsewhere than in this process: the seam between a cell and what keeps them.

use std::{any::Any, collections::HashMap, sync::Arc};

use futures::future::BoxFuture;
use gen_worker_proto::pb;

use super::Instance;
use crate::{
    endpoint::OutputShape,
    function::{Call, Invocation},
    model_source::ModelSource,
    worker_error::Result,
};

/// Keeps the instances of one endpoint. Says what [`super::InstanceCell`] says, for its callers.
pub(crate) trait InstanceHost: Send + Sync {
    /// An instance, once one is free.
    fn get<'a>(
        &'a self,
        models: &'a Arc<dyn ModelSource>,
        snapshots: HashMap<String, pb::Snapshot>,
    ) -> BoxFuture<'a, Result<Instance>>;

    /// An instance, if one is free now.
    fn ready(&self) -> Option<Instance>;

    /// Whether there is an instance.
    fn is_loaded(&self) -> bool;

    /// Whether somebody uses an instance, or one is being set up.
    fn is_in_use(&self) -> bool;

    /// Lets all instances go.
    fn shutdown(&self) -> BoxFuture<'static, ()>;
}

/// Something that is given back when it drops.
pub(crate) type Permit = Arc<dyn Any + Send + Sync>;

/// Runs calls where the instance is.
pub(crate) trait RemoteCalls: Send + Sync {
    /// The work of one call, not started yet.
    ///
    /// # Errors
    /// When the instance already has a call.
    fn invoke(self: Arc<Self>, call: Call, shape: OutputShape) -> Result<Invocation>;

    /// Keeps `permit` until the next call has really ended, which may be after its work was dropped.
    fn hold(&self, permit: Permit);
}
