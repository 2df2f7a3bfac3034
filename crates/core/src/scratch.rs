//! Directories of jobs: what a job puts on disk is gone when it is over, whatever became of it.
//!
//! ```text
//! root/<process>.lock   held while the process lives
//! root/<process>/<n>/   one job: made when it is first needed, removed when the job has left
//! ```
//! A process that was killed leaves its directory behind; the next one that opens the same root removes it. Owns the files.

mod root;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use gen_worker_tasks::Scope;
use parking_lot::Mutex;
use tracing::warn;

pub use root::ScratchRoot;

/// How often a directory is removed while somebody still writes into it.
const REMOVALS_MAX: usize = 8;

/// The directory of one job. Cheap to clone; gone when it is removed or the last clone drops.
#[derive(Clone, Debug)]
pub struct Scratch(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: Option<PathBuf>,
    state: Mutex<State>,
    scope: Arc<Scope>,
    /// Somebody else removes it.
    lent: bool,
    /// Holds the directory that this one is in, if that has to be held.
    _root: Option<ScratchRoot>,
}

#[derive(Debug, Default)]
struct State {
    made: bool,
    over: bool,
}

impl Scratch {
    /// The directory `path`, whose end is somebody else's.
    pub(crate) fn lent(path: PathBuf, scope: Arc<Scope>) -> Self {
        let mut shared = Shared::at(Some(path), scope, None);
        shared.lent = true;
        Self(Arc::new(shared))
    }

    /// Nowhere: everything that needs a place fails.
    #[must_use]
    pub fn nowhere() -> Self {
        Self(Arc::new(Shared::at(None, Arc::new(Scope::new("scratch")), None)))
    }

    /// Where it is or will be, for another process that may make it; none when there is no place for it.
    pub(crate) fn lend(&self) -> Option<&Path> {
        self.0.state.lock().made |= self.0.path.is_some();
        self.0.path.as_deref()
    }

    /// A directory called `name` in it, made if it is not there.
    ///
    /// # Errors
    /// When it cannot be made, and once the job is over.
    ///
    /// # Cancel safety
    /// May be dropped.
    pub(crate) async fn directory(&self, name: &'static str) -> io::Result<PathBuf> {
        let shared = self.0.clone();
        self.blocking(move || shared.make(name)).await
    }

    /// The outcome of `work`, off this thread.
    ///
    /// # Errors
    /// Those of `work`, and once nothing is done any more.
    ///
    /// # Cancel safety
    /// May be dropped: the work is done all the same.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        self.0.scope.spawn_blocking(work).await.unwrap_or_else(|_| Err(closed()))
    }

    /// Removes the file `path` in it, off this thread. Best effort: it goes with the directory.
    pub(crate) fn forget(&self, path: PathBuf) {
        // Without a runtime nothing is under way any more.
        if tokio::runtime::Handle::try_current().is_ok() {
            drop(self.0.scope.spawn_blocking(move || drop(fs::remove_file(path))));
        }
    }

    /// The same for whoever may block.
    ///
    /// # Errors
    /// As [`Scratch::directory`].
    pub(crate) fn directory_blocking(&self, name: &str) -> io::Result<PathBuf> {
        self.0.make(name)
    }

    /// The job is over: its directory is removed, off this thread, and nothing is made in it any more.
    pub(crate) fn remove(&self) {
        if self.0.over() {
            let shared = self.0.clone();
            drop(self.0.scope.spawn_blocking(move || shared.remove()));
        }
    }
}

impl Shared {
    fn at(path: Option<PathBuf>, scope: Arc<Scope>, root: Option<ScratchRoot>) -> Self {
        Self { path, state: Mutex::default(), scope, lent: false, _root: root }
    }

    fn make(&self, name: &str) -> io::Result<PathBuf> {
        let nowhere = || io::Error::new(io::ErrorKind::NotFound, "this worker has no directory for jobs");
        let path = self.path.as_ref().ok_or_else(nowhere)?.join(name);
        let mut state = self.state.lock();
        if state.over {
            return Err(closed());
        }
        state.made = true;
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// Whether there is something to remove. Nothing is made from here on.
    fn over(&self) -> bool {
        let mut state = self.state.lock();
        state.over = true;
        std::mem::take(&mut state.made) && !self.lent
    }

    fn remove(&self) {
        let Some(path) = &self.path else { return };
        for _ in 0..REMOVALS_MAX {
            match fs::remove_dir_all(path) {
                Ok(()) => return,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return,
                // A handler that was told to end may still write.
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                Err(error) => {
                    return warn!(path = %path.display(), %error, "the directory of a job stays until the next start");
                }
            }
        }
        warn!(path = %path.display(), "the directory of a job is still written to, and stays until the next start");
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if self.over() {
            self.remove();
        }
    }
}

fn closed() -> io::Error {
    io::Error::other("the job is over")
}

#[cfg(test)]
mod tests;
