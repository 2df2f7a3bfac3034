//! What the hub does besides answering: it removes what has expired, what nobody names, and what was never recorded.

use std::{collections::HashSet, time::Duration};

use gen_worker_tasks::Cancel;

use super::Hub;
use crate::metadata::MetadataError;

/// Expired things, and objects, of one step of [`Hub::tidy`].
pub(super) const TIDY_STEP: usize = 500;

/// Steps of one [`Hub::tidy`]: what is left then waits for the next.
pub(super) const TIDY_STEPS_MAX: usize = 200;

/// How long after one look at all objects the next is taken, where other processes may leave some.
const LOOK_EVERY: Duration = Duration::from_secs(12 * 60 * 60);

/// Why tidying stopped. It may be tried again.
#[derive(Debug, thiserror::Error)]
pub enum TidyError {
    /// The metadata.
    #[error("cannot tidy the metadata of the hub")]
    Metadata(#[from] MetadataError),
    /// The objects.
    #[error("cannot list the objects of the hub")]
    Objects(#[from] object_store::Error),
    /// The directory.
    #[error("cannot tidy the directory of the hub")]
    Directory(#[from] std::io::Error),
}

impl Hub {
    /// Drops uploads and commits that have expired, and contents that nothing names. Call it now and then.
    ///
    /// # Errors
    /// See [`TidyError`].
    ///
    /// # Cancel safety
    /// May be dropped; the next call goes on.
    pub async fn tidy(&self) -> Result<(), TidyError> {
        self.remove_strays().await?;
        let now_s = self.options.clock.now_s();
        let unused_since_s = now_s.saturating_sub(self.options.unused_grace.as_secs());
        // Objects that cannot be deleted now are passed over: those behind them can.
        let mut after = String::new();
        for _ in 0..TIDY_STEPS_MAX {
            let more = self.metadata.sweep(unused_since_s, now_s, TIDY_STEP).await?;
            let doomed = self.metadata.doomed(after.clone(), TIDY_STEP).await?;
            let last = doomed.last().cloned();
            let gone = self.blobs.delete(doomed).await;
            if !gone.is_empty() {
                self.metadata.forget_doomed(gone).await?;
            }
            if !more && last.is_none() {
                break;
            }
            after = last.unwrap_or(after);
        }
        Ok(())
    }

    /// Tidies now and then until `cancel` asks for a stop, and joins contents whose parts are objects of their own. What fails is
    /// logged and tried again the next time. Call [`Hub::recover`] before, and before the first request.
    ///
    /// # Cancel safety
    /// May be dropped.
    pub async fn run(&self, cancel: &Cancel) {
        let rounds = async {
            let mut since_look = Duration::ZERO;
            loop {
                tokio::time::sleep(self.options.tidy_every).await;
                since_look += self.options.tidy_every;
                if since_look >= LOOK_EVERY {
                    since_look = Duration::ZERO;
                    if let Err(error) = self.remove_leftovers().await {
                        tracing::warn!(error = &error as &dyn std::error::Error, "what others left was not removed");
                    }
                }
                // Without the time nothing is removed: it might be too early.
                let tidied = async {
                    self.ask_the_time().await?;
                    self.tidy().await
                };
                if let Err(error) = tidied.await {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the hub was not tidied");
                }
            }
        };
        tokio::select! {
            () = cancel.stopped() => {}
            () = rounds => {}
            () = self.keep_joining() => {}
        }
    }

    /// A guard over an object that is about to be written.
    pub(crate) fn unrecorded(&self, key: &str) -> Unrecorded<'_> {
        Unrecorded { hub: self, key: Some(key.to_owned()) }
    }

    async fn remove_strays(&self) -> Result<(), TidyError> {
        // They stay on the list until they are dealt with: this may be dropped on its way.
        let mut done: HashSet<String> = self.strays.lock().iter().cloned().collect();
        if done.is_empty() {
            return Ok(());
        }
        // The record may have been made after all: the call had been sent when its caller was dropped.
        let unknown = self.metadata.unknown(done.iter().cloned().collect()).await?;
        for key in &unknown {
            done.remove(key);
        }
        done.extend(self.blobs.delete(unknown).await);
        self.strays.lock().retain(|key| !done.contains(key));
        Ok(())
    }
}

/// An object that nothing names yet. Unless [`Unrecorded::recorded`] says otherwise, the next [`Hub::tidy`] looks for it.
pub(crate) struct Unrecorded<'a> {
    hub: &'a Hub,
    key: Option<String>,
}

impl Unrecorded<'_> {
    /// The metadata names the object, or has doomed it.
    pub fn recorded(mut self) {
        self.key = None;
    }
}

impl Drop for Unrecorded<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.hub.strays.lock().push(key);
        }
    }
}
