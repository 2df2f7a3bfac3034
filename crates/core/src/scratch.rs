//! Directories of jobs: what a job puts on disk is gone when it is over, whatever became of it.
//!
//! ```text
//! root/<process>.lock   held while the process lives
//! root/<process>/<n>/   one job: made when it is first needed, removed when the job has left
//! ```
//! A process that was killed leaves its directory behind; the next one that opens the same root removes it. Owns the files.

mod root;

use std::{fs, io, path::PathBuf, sync::Arc};

use gen_worker_tasks::Scope;
use parking_lot::Mutex;
use tracing::warn;

pub use root::ScratchRoot;

/// How often a directory is removed while somebody still writes into it.
const REMOVALS_MAX: usize = 8;

/// The directory of one job. Cheap to clone; gone when it is removed or the last clone drops. Every job has one, and few put anything
/// into it: nothing is worked out before.
#[derive(Clone, Debug)]
pub struct Scratch(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    place: Place,
    state: Mutex<State>,
    scope: Arc<Scope>,
}

/// Where a directory is.
#[derive(Debug)]
enum Place {
    /// There; somebody else removes it.
    Lent(PathBuf),
    /// The one of this number in a directory that is there for as long.
    Own(ScratchRoot, u64),
}

#[derive(Debug, Default)]
struct State {
    made: bool,
    over: bool,
}

impl Scratch {
    /// The directory `path`, whose end is somebody else's.
    pub(crate) fn lent(path: PathBuf, scope: Arc<Scope>) -> Self {
        Self::at(Place::Lent(path), scope)
    }

    fn at(place: Place, scope: Arc<Scope>) -> Self {
        Self(Some(Arc::new(Shared { place, state: Mutex::default(), scope })))
    }

    /// Nowhere: everything that needs a place fails.
    #[must_use]
    pub fn nowhere() -> Self {
        Self(None)
    }

    /// Where it is or will be, for another process that may make it; none when there is no place for it.
    pub(crate) fn lend(&self) -> Option<PathBuf> {
        let shared = self.0.as_deref()?;
        shared.state.lock().made = true;
        Some(shared.path())
    }

    /// A directory called `name` in it, made if it is not there.
    ///
    /// # Errors
    /// When it cannot be made, and once the job is over.
    ///
    /// # Cancel safety
    /// May be dropped.
    pub(crate) async fn directory(&self, name: &'static str) -> io::Result<PathBuf> {
        let shared = self.shared()?.clone();
        self.blocking(move || shared.make(name)).await
    }

    /// The outcome of `work`, off this thread.
    ///
    /// # Errors
    /// Those of `work`, without a place, and once nothing is done any more.
    ///
    /// # Cancel safety
    /// May be dropped: the work is done all the same.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        self.shared()?.scope.spawn_blocking(work).await.unwrap_or_else(|_| Err(closed()))
    }

    /// Removes the file `path` in it, off this thread. Best effort: it goes with the directory.
    pub(crate) fn forget(&self, path: PathBuf) {
        // Without a runtime nothing is under way any more.
        if let Some(shared) = self.0.as_ref().filter(|_| tokio::runtime::Handle::try_current().is_ok()) {
            drop(shared.scope.spawn_blocking(move || drop(fs::remove_file(path))));
        }
    }

    /// The same for whoever may block.
    ///
    /// # Errors
    /// As [`Scratch::directory`].
    pub(crate) fn directory_blocking(&self, name: &str) -> io::Result<PathBuf> {
        self.shared()?.make(name)
    }

    /// The job is over: its directory is removed, off this thread, and nothing is made in it any more.
    pub(crate) fn remove(&self) {
        if let Some(shared) = self.0.as_ref().filter(|shared| shared.over()) {
            let removed = shared.clone();
            drop(shared.scope.spawn_blocking(move || removed.remove()));
        }
    }

    fn shared(&self) -> io::Result<&Arc<Shared>> {
        let nowhere = || io::Error::new(io::ErrorKind::NotFound, "this worker has no directory for jobs");
        self.0.as_ref().ok_or_else(nowhere)
    }
}

impl Shared {
    fn path(&self) -> PathBuf {
        match &self.place {
            Place::Lent(path) => path.clone(),
            Place::Own(root, number) => root.directory(*number),
        }
    }

    fn make(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.path().join(name);
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
        std::mem::take(&mut state.made) && !matches!(self.place, Place::Lent(_))
    }

    fn remove(&self) {
        let path = self.path();
        for _ in 0..REMOVALS_MAX {
            match fs::remove_dir_all(&path) {
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
