//! Starting the pool: reads the store back, then hands the state to the owner loop.

use std::sync::Arc;

use gen_worker_tasks::Scope;
use tokio::sync::mpsc;

use super::{
    clock::Clock,
    handle::Handle,
    options::Options,
    owner::{Owner, RecoverError},
    view::View,
};
use crate::queue::Queue;

/// Inputs on their way to the owner loop. Beyond it senders wait: callers in their call, worker streams in their
/// reads, which is how back-pressure reaches the workers.
const INPUTS_MAX: usize = 4_096;

/// Starts a pool over a store; its loop lives in `scope`, and its stop is the scope's. Requests that the store holds
/// unfinished are live when this returns.
///
/// # Errors
/// When the store cannot be read.
pub async fn start(options: Options, store: Arc<dyn Queue>, scope: &Scope) -> Result<Handle, RecoverError> {
    let (inputs, received) = mpsc::channel(INPUTS_MAX);
    let clock = Clock::start(options.started_at);
    let view = Arc::new(View::new(options.unfinished_max));
    let hub = Arc::clone(&options.hub);
    let mut owner = Owner::new(options, clock, Arc::clone(&store), Arc::clone(&view));
    owner.recover().await?;
    let cancel = scope.cancel().clone();
    scope.spawn_fallible("pool", gen_worker_tasks::OnError::Stop, async move {
        owner.run(received, cancel).await;
        Ok(())
    });
    Ok(Handle { inputs, store, view, clock, hub })
}
