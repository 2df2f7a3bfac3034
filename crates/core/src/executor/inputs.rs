//! Files that the payload of a job names, and the source that it is made from, fetched before anything else is taken for it: a
//! slow server of a stranger keeps no model in memory, no process and no accelerator from other jobs.

use std::sync::Arc;

use bytes::Bytes;

use super::{Executor, INLINE_PAYLOAD_BYTES_MAX, JobCell, JobEvent};
use crate::{
    Inputs, RequestContext, WorkerError,
    context::ContextParts,
    function::{Call, Caller, Function},
    inputs::Place,
    job_source::{self, JobSource},
    loader::Loader,
};

/// What the payload of a job named is here.
#[derive(Debug)]
pub(crate) struct Brought {
    /// The payload that says where its files are.
    pub(crate) payload: Bytes,
    pub(crate) source: Option<JobSource>,
}

/// Whether a job of `function` has to wait for what its payload names. Of a large payload that is not known yet.
pub(crate) fn concerns(function: &Function, payload: &[u8]) -> bool {
    let large = payload.len() > INLINE_PAYLOAD_BYTES_MAX;
    function.files().is_some_and(|shapes| large || Inputs::concern(shapes, payload))
        || (function.has_source() && (large || !matches!(job_source::named(payload), Ok(None))))
}

impl Executor {
    /// Fetches what the payload of the job names, and reports it. An interrupted job reports nothing.
    pub(crate) fn bring(&self, job: &Arc<JobCell>, function: &Arc<Function>) {
        let (inputs, events, own) = (self.inputs.clone(), self.events.clone(), self.uploads.file_base_url());
        let (cell, function, loader) = (job.clone(), function.clone(), self.loader.clone());
        let task = self.scope.spawn_bare(async move {
            let own = Some(own.as_str()).filter(|own| !own.is_empty());
            let place = Place { scratch: cell.scratch(), own, local: false };
            let result = bring(&inputs, &loader, &cell, &function, place).await;
            // The receiver goes away only with the worker.
            drop(events.send(JobEvent::Brought { job: cell, result }).await);
        });
        job.runs_as(task.abort_handle());
    }
}

/// Nothing is fetched for a payload that its function would refuse. The files come first: they are small, and their addresses
/// expire.
async fn bring(
    inputs: &Inputs,
    loader: &Loader,
    job: &JobCell,
    function: &Function,
    place: Place<'_>,
) -> Result<Brought, WorkerError> {
    let payload = job.payload();
    let source = if function.has_source() { job_source::named(&payload)?.map(str::to_owned) } else { None };
    if source.is_some() {
        let context = RequestContext::new(ContextParts::new(job.pair().clone(), function.name().clone()));
        function.check(Call { context, payload: payload.clone(), instance: None, caller: Caller::Wire })?;
    }
    let payload = match function.files() {
        Some(shapes) => inputs.bring(shapes, payload, place).await?,
        None => payload,
    };
    let source = match source {
        Some(reference) => Some(loader.bring_source(&reference, &job.models().1).await?),
        None => None,
    };
    Ok(Brought { payload, source })
}
