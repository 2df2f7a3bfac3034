//! A hub that takes long for one call, and a server in front of it that does not wait so long.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use anyhow::{Context, Result};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{StatusCode, request::Parts},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use gen_worker_tasks::Scope;
use object_store::ObjectStore;
use parking_lot::Mutex;

use crate::read_gate::ReadGate;

/// Largest body of a call.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Holds up whoever reads the bytes of a hub, until the client of one kind of call has been told to come again.
#[derive(Debug)]
pub struct Slow {
    /// The last part of the path of the call.
    call: &'static str,
    objects: ReadGate,
    is_first: AtomicBool,
    told: Mutex<Vec<u16>>,
    scope: Scope,
}

impl Slow {
    /// Slow at the first `call`, `complete` or `finalize`.
    #[must_use]
    pub fn at(call: &'static str) -> Arc<Self> {
        Arc::new(Self {
            call,
            // Parts are read as soon as they come; then nothing would be left to do at the end.
            objects: ReadGate::new(call == "complete"),
            is_first: AtomicBool::new(true),
            told: Mutex::default(),
            scope: Scope::new("slow"),
        })
    }

    /// What clients were answered to their calls so far.
    #[must_use]
    pub fn told(&self) -> Vec<u16> {
        self.told.lock().clone()
    }

    /// The bytes of the hub.
    pub(crate) fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::new(self.objects.clone())
    }

    /// In front of `routes`.
    pub(crate) fn before(self: Arc<Self>, routes: Router) -> Router {
        routes.layer(from_fn_with_state(self, pass))
    }

    async fn answer(&self, request: Request, next: Next) -> Result<Response> {
        if self.is_first.swap(false, SeqCst) {
            self.objects.close();
            if self.call == "complete" {
                return self.give_up(request, next).await;
            }
        }
        let reply = next.run(request).await;
        if matches!(reply.status(), StatusCode::ACCEPTED | StatusCode::CONFLICT) {
            self.objects.open();
        }
        Ok(reply)
    }

    /// Sends a call on, and gives up on it once it is certain that the hub is at it: the same call again is refused.
    async fn give_up(&self, request: Request, next: Next) -> Result<Response> {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, BODY_BYTES_MAX).await?;
        let send = |parts: Parts| {
            let (next, body) = (next.clone(), Body::from(body.clone()));
            self.scope.spawn_bare(async move { next.run(Request::from_parts(parts, body)).await })
        };
        let (one, other) = (send(parts.clone()), send(parts));
        let refused = tokio::select! {
            refused = one => refused,
            refused = other => refused,
        };
        anyhow::ensure!(refused.context("the call")?.status() == StatusCode::CONFLICT, "the hub was not held up");
        Ok(StatusCode::GATEWAY_TIMEOUT.into_response())
    }
}

async fn pass(State(slow): State<Arc<Slow>>, request: Request, next: Next) -> Response {
    if !request.uri().path().ends_with(slow.call) {
        return next.run(request).await;
    }
    // What goes wrong here is seen in what the client was told.
    let reply = slow.answer(request, next).await;
    let reply = reply.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response());
    slow.told.lock().push(reply.status().as_u16());
    reply
}
