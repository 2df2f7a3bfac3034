//! Two grades of cancel, in a parent-child tree.

use tokio_util::sync::CancellationToken;

/// A handle on the cancellation of a scope. Clones refer to the same scope; it is cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    stop: CancellationToken,
    kill: CancellationToken,
}

impl Cancel {
    /// A root that nothing has cancelled.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A child: cancelled with its parent, or alone.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { stop: self.stop.child_token(), kill: self.kill.child_token() }
    }

    /// Asks for a clean finish. Idempotent.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Ends now: tasks are dropped at their next await point. Implies [`Cancel::stop`]. Idempotent.
    pub fn kill(&self) {
        self.stop.cancel();
        self.kill.cancel();
    }

    /// Whether a stop or kill was asked for.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Whether a kill was asked for.
    #[must_use]
    pub fn is_killed(&self) -> bool {
        self.kill.is_cancelled()
    }

    /// Completes once a stop or kill was asked for.
    ///
    /// # Cancel safety
    /// Holds no state; may be dropped and awaited again.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Completes once a kill was asked for.
    ///
    /// # Cancel safety
    /// Holds no state; may be dropped and awaited again.
    pub async fn killed(&self) {
        self.kill.cancelled().await;
    }
}
