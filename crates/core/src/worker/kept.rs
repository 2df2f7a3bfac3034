//! Who this worker is, and what an earlier process of it left to deliver. Both are settled together: results are
//! wanted only from the id they were made under. Also the place for what jobs put on disk, where the rest of earlier
//! processes is removed. Owns no state.

use std::sync::Arc;

use gen_worker_tasks::Scope;
use tracing::warn;

use crate::{
    backoff::random_unit,
    outbox::JobEnd,
    scratch::ScratchRoot,
    spool::{Claimed, Spool, SpoolError, SpoolOptions, SpoolPolicy},
    worker_options::WorkerOptions,
};

/// The spool, and the results found in it.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) spool: Option<Spool>,
    pub(super) ends: Vec<JobEnd>,
    pub(super) scratch: Option<ScratchRoot>,
}

/// Opens the spool and fills in the worker's id if it has none. A spool that cannot be opened costs durability, not
/// the worker.
pub(super) async fn open(options: &mut WorkerOptions, scope: &Arc<Scope>) -> Kept {
    let scratch = scratch(options, scope).await;
    Kept { scratch, ..spooled(options, scope).await }
}

/// A place that cannot be had costs the jobs that need one, not the worker.
async fn scratch(options: &WorkerOptions, scope: &Arc<Scope>) -> Option<ScratchRoot> {
    let root = options.scratch.clone()?;
    let removals = scope.clone();
    let opened = scope.spawn_blocking(move || ScratchRoot::open(&root, removals)).await.ok()?;
    opened.map_err(|error| warn!(%error, "there is no place for files of jobs")).ok()
}

async fn spooled(options: &mut WorkerOptions, scope: &Arc<Scope>) -> Kept {
    let spool = options.spool.clone().filter(|spool| spool.policy != SpoolPolicy::Never);
    if let Some(spool) = spool {
        let (worker_id, thread_scope) = (options.worker_id.clone(), scope.clone());
        let opened = scope.spawn_blocking(move || open_blocking(&spool, &worker_id, &thread_scope)).await;
        match opened {
            Ok(Ok((worker_id, kept))) => {
                options.worker_id = worker_id;
                return kept;
            }
            Ok(Err(error)) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                warn!(%error, cause, "finished results stay in memory only: a crash of this process would lose them");
            }
            Err(_) => warn!("finished results stay in memory only: opening the spool was interrupted"),
        }
    }
    if options.worker_id.is_empty() {
        options.worker_id = format!("{}{}", host_prefix(), suffix());
    }
    Kept::default()
}

fn open_blocking(options: &SpoolOptions, worker_id: &str, scope: &Scope) -> Result<(String, Kept), SpoolError> {
    let claimed = if worker_id.is_empty() {
        let prefix = host_prefix();
        match Claimed::orphan(options, &prefix) {
            Some(orphan) => orphan,
            None => Claimed::of(options, &format!("{prefix}{}", suffix()))?,
        }
    } else {
        Claimed::of(options, worker_id)?
    };
    let worker_id = claimed.worker_id.clone();
    let (spool, ends) = claimed.open(options, scope)?;
    Ok((worker_id, Kept { spool: Some(spool), ends, scratch: None }))
}

/// Begins every id that is made up: host name and a random suffix. A process id would be 1 in every container, and two
/// workers of one id replace each other's stream for ever.
fn host_prefix() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    format!("{}-", if host.is_empty() { "worker" } else { host })
}

fn suffix() -> String {
    format!("{:08x}", (random_unit() * f64::from(u32::MAX)) as u32)
}
