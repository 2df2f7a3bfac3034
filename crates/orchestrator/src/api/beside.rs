//! What else answers on the address of the API: the hub, when it is in this process. Its routes are not the API's: they have a
//! contract, and tokens, of their own.

use axum::{
    extract::{FromRequestParts as _, Request, State},
    response::{IntoResponse as _, Response},
};
use tower::ServiceExt as _;

use super::{Shared, code::Code, error::ApiError, extract::Caller};

/// Below these paths it answers.
const PREFIXES: [&str; 2] = ["/api/", "/s3/"];

/// What is none of the API's routes goes to the other server, or nowhere.
pub(super) async fn elsewhere(State(api): State<Shared>, request: Request) -> Response {
    let path = request.uri().path();
    match &api.options.beside {
        Some(beside) if PREFIXES.iter().any(|prefix| path.starts_with(prefix)) => {
            beside.clone().oneshot(request).await.unwrap_or_else(|never| match never {})
        }
        _ => {
            // Who may not call learns nothing of the routes.
            let (mut parts, _) = request.into_parts();
            let caller = Caller::from_request_parts(&mut parts, &api).await;
            let refused = caller.map(|_| ApiError::new(Code::NotFound, "there is no such route"));
            refused.unwrap_or_else(|refused| refused).into_response()
        }
    }
}
