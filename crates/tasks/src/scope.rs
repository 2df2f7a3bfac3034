//! The owner of a group of tasks. Owns their handles; must not know what they do.

use std::{future::Future, panic::AssertUnwindSafe, time::Duration};

use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, error, info_span};

use crate::Cancel;

/// What the end of a task with an error means for its scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// It is logged; the others go on.
    Log,
    /// It is logged and the scope is stopped: the component cannot work without this task.
    Stop,
}

/// How [`Scope::join`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinOutcome {
    /// Every task ended by itself.
    Completed,
    /// The time was up: what was left was killed and dropped.
    TimedOut,
}

/// Error type of tasks that can fail.
pub type TaskError = Box<dyn std::error::Error + Send + Sync>;

/// Owns tasks. Dropping the scope kills what still runs.
#[derive(Debug)]
pub struct Scope {
    name: &'static str,
    cancel: Cancel,
    tracker: TaskTracker,
}

impl Scope {
    /// A root scope.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self::under(name, &Cancel::new())
    }

    /// A scope whose cancellation is a child of `cancel`.
    #[must_use]
    pub fn under(name: &'static str, cancel: &Cancel) -> Self {
        Self { name, cancel: cancel.child(), tracker: TaskTracker::new() }
    }

    /// Handle on the cancellation of this scope.
    #[must_use]
    pub fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// Tasks that have not ended.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tracker.len()
    }

    /// Whether no task runs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tracker.is_empty()
    }

    /// Starts a task that cannot fail. It is dropped at its next await point when the scope is killed, and is
    /// expected to watch [`Scope::cancel`] for a stop. A panic is logged with the task's name.
    pub fn spawn<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.spawn_fallible(name, OnError::Log, async move {
            future.await;
            Ok(())
        });
    }

    /// Starts a task that can fail; `on_error` says what that means for the scope. A panic counts as a failure.
    pub fn spawn_fallible<F>(&self, name: &'static str, on_error: OnError, future: F)
    where
        F: Future<Output = Result<(), TaskError>> + Send + 'static,
    {
        let cancel = self.cancel.clone();
        let span = info_span!("task", scope = self.name, task = name);
        self.tracked(
            async move {
                let guarded = futures_catch(future);
                let outcome = tokio::select! {
                    biased;
                    () = cancel.killed() => return,
                    outcome = guarded => outcome,
                };
                match outcome {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        error!(task = name, error = %error, "task failed");
                        if on_error == OnError::Stop {
                            cancel.stop();
                        }
                    }
                    Err(panic) => {
                        error!(task = name, panic = panic_text(panic.as_ref()), "task panicked");
                        if on_error == OnError::Stop {
                            cancel.stop();
                        }
                    }
                }
            }
            .instrument(span),
        );
    }

    /// Starts a future on the hot path: no span, no panic guard, not interrupted by a kill. The caller's future
    /// does what of this it needs. Still owned: [`Scope::join`] waits for it.
    pub fn spawn_bare<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tracked(future)
    }

    /// Runs a closure on the runtime's blocking pool. It cannot be interrupted; [`Scope::join`] waits for it.
    pub fn spawn_blocking<F, T>(&self, work: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.tracker.spawn_blocking(work)
    }

    /// Starts a named thread for work that blocks for as long as the component lives (a store's writer). It cannot
    /// be interrupted: the caller gives it a way to learn of the end, such as a channel that closes.
    /// [`Scope::join`] waits for it. A panic is logged with the thread's name and ends this thread only.
    ///
    /// # Errors
    /// When the system has no thread left to give.
    pub fn spawn_thread<F>(&self, name: &'static str, work: F) -> std::io::Result<()>
    where
        F: FnOnce() + Send + 'static,
    {
        let token = self.tracker.token();
        let span = info_span!("thread", scope = self.name, thread = name);
        // The handle is dropped on purpose: the token is what `join` waits for.
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            // Moved in, so that the scope counts this thread until its very end.
            let _token = token;
            let _entered = span.enter();
            // The closure is consumed by the call, so nobody observes what a panic left half-done.
            if let Err(panic) = std::panic::catch_unwind(AssertUnwindSafe(work)) {
                error!(thread = name, panic = panic_text(panic.as_ref()), "thread panicked");
            }
        })?;
        Ok(())
    }

    /// Waits until every task has ended, at most `limit`; then kills what is left and waits for the drop of its
    /// futures. New tasks may still be started while it waits. Blocking closures and threads cannot be killed:
    /// past the limit they are left behind.
    pub async fn join(&self, limit: Duration) -> JoinOutcome {
        self.tracker.close();
        if tokio::time::timeout(limit, self.tracker.wait()).await.is_ok() {
            return JoinOutcome::Completed;
        }
        self.cancel.kill();
        // A killed future ends at its next await; a second bounds one that never yields.
        drop(tokio::time::timeout(Duration::from_secs(1), self.tracker.wait()).await);
        JoinOutcome::TimedOut
    }

    fn tracked<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tracker.spawn(future)
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        self.cancel.kill();
    }
}

type Panic = Box<dyn std::any::Any + Send>;

/// Polls `future` and turns a panic into a value.
async fn futures_catch<F: Future>(future: F) -> Result<F::Output, Panic> {
    let mut future = Box::pin(future);
    std::future::poll_fn(move |cx| {
        // The future is dropped right after a panic, so no broken state is observed.
        match std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => std::task::Poll::Ready(Err(panic)),
        }
    })
    .await
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}

#[cfg(test)]
mod tests;
