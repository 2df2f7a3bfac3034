//! What else answers on the address of the API. Its routes are not the API's: they have a contract, and tokens, of their own.

use axum::Router;

use super::Shared;

/// Where it answers.
const PATHS: [&str; 2] = ["/api/{*path}", "/s3/{*path}"];

/// The API's routes, with `beside` next to them.
pub(super) fn mount(routes: Router<Shared>, beside: Option<&Router>) -> Router<Shared> {
    let Some(beside) = beside else { return routes };
    PATHS.into_iter().fold(routes, |routes, path| routes.route_service(path, beside.clone()))
}
