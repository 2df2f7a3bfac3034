//! The routes (Hub contract, sections 3, 4, 6 and 7): who asks, what is meant, and what is answered. Owns no state.

mod blob;
mod body;
mod caller;
mod commits;
mod complete;
mod datasets;
mod envelope;
mod environment;
mod error;
pub(crate) mod large;
mod media;
mod old_files;
mod old_resolve;
mod parts;
mod projects;
mod renewal;
mod repeat;
pub(crate) mod repos;
mod s3;
mod sessions;
mod text;
mod transferred;
pub(crate) mod uploads;
mod visibility;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    Router,
    extract::{ConnectInfo, DefaultBodyLimit, Request},
    http::StatusCode,
    middleware::{map_request, map_response},
    routing::{any, delete, get, post, put},
};

pub use caller::OperatorToken;
pub(crate) use error::ApiError;

use crate::hub::Hub;

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub IpAddr);

/// The routes over `hub`; [`crate::serve`] is this with a listener. Another server that wants limits by address puts
/// [`ConnectInfo`] into its requests.
pub fn router(hub: Arc<Hub>) -> Router {
    Router::new()
        .route("/api/v1/repos/{owner}/{repo}/resolve", get(repos::resolve).post(old_resolve::resolve))
        .route("/api/v1/repos/{owner}/{repo}/snapshots/{digest}/manifest", get(old_resolve::snapshot))
        .route("/api/v1/objects/{digest}/manifest", get(old_resolve::object))
        .route("/api/v1/repos/{owner}/{repo}/metadata", get(repos::metadata).put(repos::put_metadata))
        .route("/api/v1/repos/{owner}/{repo}/visibility", get(visibility::get).put(visibility::put))
        .route("/api/v1/repos/{owner}/{repo}/commits", post(commits::create))
        .route("/api/v1/repos/{owner}/{repo}/commits/{revision}", delete(commits::abort))
        .route("/api/v1/repos/{owner}/{repo}/commits/{revision}/finalize", post(commits::finalize))
        .route("/api/v1/repos/{owner}/{repo}/commits/{revision}/uploads/{upload}/complete", post(commits::complete))
        .route("/api/v1/media/{owner}/uploads", post(uploads::create))
        .route("/api/v1/media/{owner}/uploads/{upload}", delete(uploads::abort))
        .route("/api/v1/media/{owner}/uploads/{upload}/complete", post(uploads::complete))
        .route("/api/v1/media/urls", post(media::urls))
        .route("/api/v1/blobs/{digest}/content", get(blob::by_token))
        .route("/api/v1/files/{digest}", get(blob::by_address))
        .route("/api/v1/parts/{upload}/{number}", put(parts::put))
        .route("/s3/{*place}", any(s3::call))
        .route("/api/v1/repos/{owner}/{repo}/revisions", post(sessions::open))
        .route("/api/v1/repos/{owner}/{repo}/revisions/{session}", delete(sessions::close))
        .route("/api/v1/repos/{owner}/{repo}/revisions/{session}/finalize", post(sessions::finalize))
        .route("/api/v1/repos/{owner}/{repo}/revisions/{session}/uploads", post(sessions::create))
        .route("/api/v1/repos/{owner}/{repo}/revisions/{session}/uploads/{upload}", delete(sessions::abort))
        .route("/api/v1/repos/{owner}/{repo}/revisions/{session}/uploads/{upload}/complete", post(sessions::complete))
        .route("/api/v1/datasets", get(datasets::list).post(datasets::create))
        .route("/api/v1/datasets/{id}", get(datasets::get).patch(datasets::change))
        .route("/api/v1/datasets/{id}/materialize", get(datasets::materialize))
        .route("/api/v1/endpoints/{owner}/{endpoint}/env", get(environment::list).post(environment::create))
        .route(
            "/api/v1/endpoints/{owner}/{endpoint}/env/{name}",
            get(environment::resolve).put(environment::put).delete(environment::remove),
        )
        .route("/api/v1/file/{*ref}", get(old_files::read).put(old_files::write).post(old_files::write))
        .route("/v1/worker/capability/renew", post(renewal::renew))
        .merge(projects::routes())
        .fallback(async || ApiError::new(StatusCode::NOT_FOUND, "not_found", "there is no such route"))
        .method_not_allowed_fallback(async || {
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this route does not take this method")
        })
        // Bodies are bounded where they are read.
        .layer(DefaultBodyLimit::disable())
        .layer(map_response(envelope::enveloped))
        .layer(map_request(with_peer))
        .with_state(hub)
}

/// Where a request comes from, as another server says it.
async fn with_peer(mut request: Request) -> Request {
    let from = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(from)| Peer(from.ip()));
    if let Some(peer) = from {
        request.extensions_mut().insert(peer);
    }
    request
}

#[cfg(test)]
mod tests;
