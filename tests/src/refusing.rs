//! A server in front of a hub that refuses some calls, as a hub in need does, and that writes down all of them.

use std::{collections::VecDeque, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;

/// What refusals say.
const BODY: &str = r#"{"error":{"code":"refused","message":"not now"}}"#;

/// A refusal: its status, and what it says in `Retry-After`.
pub type Refusal = (u16, Option<&'static str>);

/// What is left to refuse, and what was asked.
#[derive(Debug)]
pub struct Refusing {
    rules: Mutex<Vec<Rule>>,
    seen: Mutex<Vec<Seen>>,
}

/// A call that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Such as `PUT`.
    pub method: String,
    /// Without its query.
    pub path: String,
    /// What was answered, by whomever.
    pub status: u16,
}

#[derive(Debug)]
struct Rule {
    method: &'static str,
    /// The end of the path, or a whole segment of it.
    call: &'static str,
    refusals: VecDeque<Refusal>,
}

impl Refusing {
    /// Refuses no call yet.
    #[must_use]
    pub fn none() -> Arc<Self> {
        Arc::new(Self { rules: Mutex::default(), seen: Mutex::default() })
    }

    /// Refuses the next calls of this method whose path has a segment `call`: with these answers, in their order. Those after them
    /// reach the hub.
    pub fn refuse(&self, method: &'static str, call: &'static str, refusals: &[Refusal]) {
        self.rules.lock().push(Rule { method, call, refusals: refusals.iter().copied().collect() });
    }

    /// What was asked since the last time.
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock())
    }

    /// In front of `routes`.
    pub(crate) fn before(self: Arc<Self>, routes: Router) -> Router {
        routes.layer(from_fn_with_state(self, pass))
    }

    fn refusal(&self, method: &str, path: &str) -> Option<Refusal> {
        let mut rules = self.rules.lock();
        let is_meant = |rule: &&mut Rule| rule.method == method && path.split('/').any(|segment| segment == rule.call);
        rules.iter_mut().filter(is_meant).find_map(|rule| rule.refusals.pop_front())
    }
}

async fn pass(State(refusing): State<Arc<Refusing>>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
    let reply = match refusing.refusal(&method, &path) {
        Some((status, after)) => {
            // To its end, unlike a hub: the server around this one does not wait for clients that still send, and what they hear then
            // is chance. One that does not end it has gone away.
            drop(request.into_body().collect().await);
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let after = after.map(|after| [(header::RETRY_AFTER, after)]);
            after.map_or_else(|| (status, BODY).into_response(), |after| (status, after, BODY).into_response())
        }
        None => next.run(request).await,
    };
    refusing.seen.lock().push(Seen { method, path, status: reply.status().as_u16() });
    reply
}
