//! A server in front of a hub that lets some calls through only when so many of them are there.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use tokio::sync::Barrier;

/// Calls that wait for each other.
#[derive(Clone, Debug)]
pub struct Meeting {
    /// The last part of their path.
    call: &'static str,
    together: Arc<Barrier>,
}

impl Meeting {
    /// Calls whose path ends with `call` go on by `count`.
    #[must_use]
    pub fn of(count: usize, call: &'static str) -> Self {
        Self { call, together: Arc::new(Barrier::new(count)) }
    }

    /// In front of `routes`.
    pub(crate) fn before(self, routes: Router) -> Router {
        routes.layer(from_fn_with_state(self, pass))
    }
}

async fn pass(State(meeting): State<Meeting>, request: Request, next: Next) -> Response {
    if request.uri().path().ends_with(meeting.call) {
        meeting.together.wait().await;
    }
    next.run(request).await
}
