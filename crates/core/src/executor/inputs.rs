//! Files that the payload of a job names, fetched before anything else is taken for it: a slow server of a stranger keeps
//! no model in memory, no process and no accelerator from other jobs.

use std::sync::Arc;

use super::{Executor, INLINE_PAYLOAD_BYTES_MAX, JobCell, JobEvent};
use crate::{Inputs, function::Function, inputs::Place};

/// Whether a job of `function` has to wait for files of its payload. Of a large payload that is not known yet.
pub(crate) fn concerns(function: &Function, payload: &[u8]) -> bool {
    let large = payload.len() > INLINE_PAYLOAD_BYTES_MAX;
    function.files().is_some_and(|shapes| large || Inputs::concern(shapes, payload))
}

impl Executor {
    /// Fetches the files that the payload of the job names, and reports them. An interrupted job reports nothing.
    pub(crate) fn bring(&self, job: &Arc<JobCell>, function: &Arc<Function>) {
        let (inputs, events, own) = (self.inputs.clone(), self.events.clone(), self.uploads.file_base_url());
        let (cell, function) = (job.clone(), function.clone());
        let task = self.scope.spawn_bare(async move {
            let payload = cell.payload();
            let own = Some(own.as_str()).filter(|own| !own.is_empty());
            let place = Place { scratch: cell.scratch(), own, local: false };
            let result = match function.files() {
                Some(shapes) => inputs.bring(shapes, payload, place).await,
                None => Ok(payload),
            };
            // The receiver goes away only with the worker.
            drop(events.send(JobEvent::Brought { job: cell, result }).await);
        });
        job.runs_as(task.abort_handle());
    }
}
