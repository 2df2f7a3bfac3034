//! Dying with the parent: a worker that was started by `up` must not outlive it, however it ended.
//!
//! The parent holds the writing end of our stdin and never writes. The kernel closes it when the parent ends, even by
//! SIGKILL, and even when that was before we looked. This needs no signal, no process id and no polling.

use std::{io::Read as _, process};

use gen_worker_tasks::Scope;
use tracing::warn;

use crate::exit::{Exit, Failure};

/// Ends this process at once when stdin ends.
///
/// # Errors
/// When the system has no thread left to give.
pub(super) fn exit_with_stdin() -> Result<(), Failure> {
    // Its own thread: it has to work when the runtime is stuck. It is never joined, it ends with the process.
    let watch = Scope::new("parent").spawn_thread("stdin-watch", || {
        let mut ignored = [0; 64];
        // An error means that there is nobody to hear from either.
        while std::io::stdin().lock().read(&mut ignored).is_ok_and(|count| count > 0) {}
        warn!("stdin ended: the parent is gone, exiting now");
        process::exit(i32::from(Exit::Failed.code()));
    });
    watch.map_err(|error| Failure::failed(format!("could not watch stdin: {error}")))
}
