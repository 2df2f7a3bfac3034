//! The way into the pool for everyone but workers. Cheap to clone; owns nothing but the sending end of the
//! owner's channel and a view that the owner publishes.

use std::{fmt, sync::Arc, time::Duration};

use gen_worker_proto::{FunctionName, RequestId};
use tokio::sync::{mpsc, oneshot};

use super::{
    clock::Clock,
    event::{Event, EventId},
    input::Input,
    subscription::{Subscription, subscription},
    view::View,
    views::{
        CancelOutcome, Counters, FunctionManifest, FunctionView, ModelView, PoolError, SubmitError, Submitted,
        WorkerView,
    },
};
use crate::{
    hub::Hub,
    queue::{Filter, Queue},
    request::{NewRequest, Request},
};

/// Calls into a running pool. Clones talk to the same pool; every call fails with [`PoolError::Closed`] once the
/// pool has stopped.
///
/// # Cancel safety
/// A dropped call may or may not have had its effect; a submit that was already handed over still takes its
/// requests in.
#[derive(Clone)]
pub struct Handle {
    pub(crate) inputs: mpsc::Sender<Input>,
    pub(crate) store: Arc<dyn Queue>,
    pub(crate) view: Arc<View>,
    pub(crate) clock: Clock,
    pub(crate) hub: Arc<dyn Hub>,
}

impl Handle {
    /// Takes requests in. One result per request, in order, each entry on its own. On return durable requests
    /// are on disk; memory requests live in this process only. `require_worker` refuses functions that no
    /// connected worker has.
    ///
    /// # Errors
    /// When the store failed (none of the durable ones is promised then) or the pool is closed.
    pub async fn submit(
        &self,
        requests: Vec<NewRequest>,
        require_worker: bool,
    ) -> Result<Vec<Result<Submitted, SubmitError>>, PoolError> {
        let at = self.clock.now();
        let mut refused = Vec::new();
        let mut admitted = Vec::with_capacity(requests.len());
        for (index, request) in requests.into_iter().enumerate() {
            match self.view.admission(&request.function, require_worker, admitted.len()) {
                Ok(()) => admitted.push(request),
                Err(error) => refused.push((index, error)),
            }
        }
        let mut results = if admitted.is_empty() {
            Vec::new()
        } else {
            self.ask(|reply| Input::Submit { requests: admitted, at, reply }).await??
        };
        for (index, error) in refused {
            // Ascending, so every index fits what is there by then.
            results.insert(index.min(results.len()), Err(error));
        }
        Ok(results)
    }

    /// A request as it is now; `None` when nobody knows it. Memory requests are forgotten some time after
    /// their end.
    ///
    /// # Errors
    /// When the store failed or the pool is closed.
    pub async fn get(&self, id: &RequestId) -> Result<Option<Arc<Request>>, PoolError> {
        let live = self.ask(|reply| Input::Get { id: id.clone(), reply }).await?;
        if live.is_some() {
            return Ok(live);
        }
        self.stored(id).await
    }

    /// The request once it has ended, or as it is when `limit` is over; `None` when nobody knows it.
    ///
    /// # Errors
    /// When the store failed or the pool is closed.
    pub async fn wait(&self, id: &RequestId, limit: Duration) -> Result<Option<Arc<Request>>, PoolError> {
        let (reply, ended) = oneshot::channel();
        let input = Input::Wait { id: id.clone(), reply };
        self.inputs.send(input).await.map_err(|_| PoolError::Closed)?;
        match tokio::time::timeout(limit, ended).await {
            Ok(Ok(Some(request))) => Ok(Some(request)),
            Ok(Ok(None)) => self.stored(id).await,
            Ok(Err(_)) => Err(PoolError::Closed),
            Err(_) => self.get(id).await,
        }
    }

    /// A page of requests, newest first. Sequences are the cursor: the `sequence` of the last row is the next
    /// `before_sequence`.
    ///
    /// # Errors
    /// When the store failed or the pool is closed.
    pub async fn list(&self, filter: Filter) -> Result<Vec<Request>, PoolError> {
        let live_only = filter.state.is_some_and(|state| !state.is_terminal());
        let rows = if live_only {
            // Everything unfinished is in memory, and the store lags behind for these states.
            Vec::new()
        } else {
            let mut rows = self.store.list(super::sequence::for_store(&filter)).await?;
            for row in &mut rows {
                row.sequence = super::sequence::of_stored(row.sequence);
            }
            rows
        };
        self.ask(|reply| Input::List { filter: Box::new(filter), rows, reply }).await
    }

    /// Cancels a request. Repeating it is harmless.
    ///
    /// # Errors
    /// When the store failed or the pool is closed.
    pub async fn cancel(&self, id: &RequestId) -> Result<CancelOutcome, PoolError> {
        if let Some(outcome) = self.ask(|reply| Input::Cancel { id: id.clone(), reply }).await? {
            return Ok(outcome);
        }
        Ok(match self.stored(id).await? {
            Some(request) if request.state.is_terminal() => CancelOutcome::AlreadyFinished(request),
            // It was taken in between the two looks; the caller's repeat finds it in memory.
            Some(request) => CancelOutcome::Requested(request),
            None => CancelOutcome::Unknown,
        })
    }

    /// Events of a request after `after`, or all that are kept; `None` when nobody knows the request. Events
    /// that are no longer kept are announced by one [`Event::Gap`] in front.
    ///
    /// # Errors
    /// When the store failed or the pool is closed.
    pub async fn subscribe(&self, id: &RequestId, after: Option<EventId>) -> Result<Option<Subscription>, PoolError> {
        let live = self.ask(|reply| Input::Subscribe { id: id.clone(), after, reply }).await?;
        if live.is_some() {
            return Ok(live);
        }
        let Some(request) = self.stored(id).await? else { return Ok(None) };
        let (publisher, reader) = subscription();
        if after.is_some() {
            publisher.publish(Event::Gap { lost: 0 });
        }
        publisher.publish(Event::terminal(request));
        Ok(Some(reader))
    }

    /// Functions that workers have ever advertised, by name.
    #[must_use]
    pub fn functions(&self) -> Vec<FunctionView> {
        self.view.functions()
    }

    /// A function that workers have ever advertised.
    ///
    /// # Errors
    /// When none has; with names that look alike.
    pub fn function(&self, name: &FunctionName) -> Result<FunctionView, SubmitError> {
        self.view.find_function(name)
    }

    /// Remembers what endpoints say about their functions, in place of what was said before. Functions that nobody has
    /// offered yet are remembered too, up to the bound on functions; what is beyond it is left out. Workers that offer
    /// them are told to bring the models that they declare.
    ///
    /// # Errors
    /// When the pool is closed.
    pub async fn describe(&self, manifests: Vec<FunctionManifest>) -> Result<(), PoolError> {
        self.ask(|reply| Input::Describe { manifests, reply }).await
    }

    /// Workers that are connected or may still come back, by id.
    #[must_use]
    pub fn workers(&self) -> Vec<WorkerView> {
        self.view.workers()
    }

    /// Models on these workers, by ref.
    #[must_use]
    pub fn models(&self) -> Vec<ModelView> {
        self.view.models()
    }

    /// Tells a worker to finish what it has within `deadline` and leave; zero gives it all the time it wants.
    /// It gets no more work. False when no such worker is connected.
    pub async fn drain_worker(&self, worker_id: &str, deadline: Duration) -> bool {
        self.ask(|reply| Input::Drain { worker_id: worker_id.to_owned(), deadline, reply }).await.unwrap_or(false)
    }

    /// Whether requests can be taken in now.
    ///
    /// # Errors
    /// When the store does not answer or the pool is closed.
    pub async fn ready(&self) -> Result<(), PoolError> {
        if self.inputs.is_closed() {
            return Err(PoolError::Closed);
        }
        Ok(self.store.ready().await?)
    }

    /// Totals and gauges of now.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.view.counters()
    }

    async fn ask<T>(&self, input: impl FnOnce(oneshot::Sender<T>) -> Input) -> Result<T, PoolError> {
        let (reply, answer) = oneshot::channel();
        self.inputs.send(input(reply)).await.map_err(|_| PoolError::Closed)?;
        answer.await.map_err(|_| PoolError::Closed)
    }

    async fn stored(&self, id: &RequestId) -> Result<Option<Arc<Request>>, PoolError> {
        let mut request = self.store.get(id.clone()).await?;
        if let Some(request) = &mut request {
            request.sequence = super::sequence::of_stored(request.sequence);
        }
        Ok(request.map(Arc::new))
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("closed", &self.inputs.is_closed()).finish_non_exhaustive()
    }
}
