//! Instances that live elsewhere than in this process: the seam between a cell and what keeps them.

use std::{any::Any, collections::HashMap, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use gen_worker_proto::pb;

use super::{Instance, Models, SetupTimes};
use crate::{
    context::Device,
    endpoint::OutputShape,
    function::{Call, Invocation},
    model_source::ModelSource,
    peaks::Peaks,
    residency::Memory,
    worker_error::Result,
};

/// Keeps the instances of one endpoint. Says what [`super::InstanceCell`] says, for its callers.
pub(crate) trait InstanceHost: Send + Sync {
    /// A place for an instance, once one is free.
    ///
    /// # Cancel safety
    /// May be dropped.
    fn place(&self) -> BoxFuture<'_, Result<Place>>;

    /// An instance, if one is free now.
    fn ready(&self) -> Option<Instance>;

    /// Whether there is an instance; one that is being set up is none yet.
    fn is_loaded(&self) -> bool;

    /// What its instances were made from, each once.
    fn models(&self) -> Vec<Models>;

    /// Waits for an instance that is in use to be free or gone. `false` when none is: nothing comes back then.
    ///
    /// # Cancel safety
    /// May be dropped.
    fn one_comes_back(&self) -> BoxFuture<'_, bool>;

    /// Whether somebody uses an instance, or one is being set up.
    fn is_in_use(&self) -> bool;

    /// Memory that all its instances take.
    fn held(&self) -> Memory;

    /// The instances that nobody uses.
    fn idle(&self) -> Vec<IdlePart>;

    /// Lets one of those go. `false` when somebody uses it by now, or it is gone.
    fn release(&self, id: u64) -> BoxFuture<'static, bool>;

    /// Lets all instances go.
    fn shutdown(&self) -> BoxFuture<'static, ()>;
}

/// Where one instance can be.
pub(crate) enum Place {
    /// It is there.
    Ready(Instance),
    /// It would have to be made.
    Empty(Box<dyn EmptyPlace>),
}

/// A place without an instance. It is free again when this drops.
pub(crate) trait EmptyPlace: Send {
    /// An instance that is free by now, in this place.
    ///
    /// # Errors
    /// The place, when there is none.
    fn claim(self: Box<Self>) -> std::result::Result<Instance, Box<dyn EmptyPlace>>;

    /// Makes an instance here.
    ///
    /// # Cancel safety
    /// May be dropped: what was begun is ended.
    fn fill(
        self: Box<Self>,
        source: Arc<dyn ModelSource>,
        order: Order,
    ) -> BoxFuture<'static, Result<(Instance, SetupTimes)>>;
}

/// What an instance is to be made from.
pub(crate) struct Order {
    /// Its models, by slot.
    pub(crate) models: Models,
    /// The same as the endpoint declares them: by these it knows them wherever it runs.
    pub(crate) declared: Models,
    /// Their files, by wire ref.
    pub(crate) snapshots: HashMap<String, pb::Snapshot>,
    /// Where they are loaded to.
    pub(crate) device: Device,
    /// Memory that the models take, as far as that is known before.
    pub(crate) footprint: Memory,
}

/// An instance that nobody uses.
pub(crate) struct IdlePart {
    /// For [`InstanceHost::release`].
    pub(crate) id: u64,
    /// How long nobody has used it.
    pub(crate) idle: Duration,
    /// Memory it takes.
    pub(crate) footprint: Memory,
    /// What it was made from.
    pub(crate) models: Models,
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

    /// Notes in `peaks` what the next call was seen to use.
    fn measure(&self, peaks: Arc<Peaks>);
}
