//! Virtual time: it stands still while anything runs, and jumps to the next timer when everything waits.

use std::time::Duration;

/// Lets virtual time pass.
pub(crate) async fn pass(time: Duration) {
    // tidy: the clock is paused, nothing waits in real time
    tokio::time::sleep(time).await;
}
