//! Refusals, all of one shape (Hub contract, 1.9).

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use gen_worker_hub::api::{ErrorBody, ErrorDetail};
use serde_json::{Map, Value};

use crate::{
    blobs::ReceiveError,
    disk::DiskFault,
    hub::{Busy, FinalizeError, Sha256Error},
    metadata::MetadataError,
};

/// When who has too many open commits may come again: some may have ended.
const TOO_MANY_AFTER_S: u64 = 30;

/// When who finds no room may come again: the next round of tidying may make some, and somebody who is told of it may too.
const NO_ROOM_AFTER_S: u64 = 5;

/// A refusal. Its text names what is wrong and holds no secret.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    detail: Box<ErrorDetail>,
    retry_after_s: Option<u64>,
}

impl ApiError {
    pub fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        let detail = ErrorDetail { code: code.to_owned(), message: message.into(), more: Map::new() };
        Self { status, detail: Box::new(detail), retry_after_s: None }
    }

    /// Something is not there, or not for this caller: nothing tells which.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no such {what}"))
    }

    /// The request is not what this route takes.
    pub fn invalid(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    /// Adds a field.
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.detail.more.insert(name.to_owned(), value);
        self
    }

    /// Says when to come again.
    pub fn after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// The body did not come in time. Not 408, after which clients do not come again.
    pub fn stalled() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "stalled", "the body did not come in time").after(1)
    }

    /// The stores cannot be used now.
    pub fn unavailable(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::warn!(error, "request refused");
        let fault = DiskFault::of(error);
        let (status, code) = match fault {
            Some(DiskFault::Full) => (StatusCode::INSUFFICIENT_STORAGE, "insufficient_storage"),
            Some(DiskFault::ReadOnly) => (StatusCode::SERVICE_UNAVAILABLE, "storage_read_only"),
            None => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        };
        let message = fault.map_or("the hub cannot do this now", DiskFault::message);
        Self::new(status, code, message).after(if fault.is_some() { NO_ROOM_AFTER_S } else { 1 })
    }

    /// A refusal of the metadata, about an upload.
    pub fn of_upload(error: MetadataError) -> Self {
        match error {
            MetadataError::Closed => Self::not_found("upload"),
            MetadataError::Changed => Self::new(StatusCode::CONFLICT, "upload_incomplete", error.to_string()),
            MetadataError::RefExists => Self::new(StatusCode::CONFLICT, "ref_exists", "the ref exists already"),
            MetadataError::OverBudget { .. } => Self::over_budget(&error),
            error => error.into(),
        }
    }

    /// A refusal of the metadata, about a commit.
    pub fn of_commit(error: MetadataError) -> Self {
        match error {
            MetadataError::Closed => Self::new(StatusCode::GONE, "commit_closed", "the commit is not open any more"),
            MetadataError::Missing(paths) => {
                Self::new(StatusCode::CONFLICT, "upload_incomplete", "files of the commit are missing")
                    .with("missing", paths.into())
            }
            MetadataError::Unfit(why) => Self::invalid("invalid_commit", why),
            MetadataError::OverBudget { .. } => Self::over_budget(&error),
            MetadataError::TooMany { .. } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_open", error.to_string()).after(TOO_MANY_AFTER_S)
            }
            error => Self::unavailable(&error),
        }
    }
}

impl ApiError {
    /// The job has no bytes left (Hub contract, 9.1).
    fn over_budget(error: &MetadataError) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "total_too_large", error.to_string())
    }

    /// A refusal to finalize.
    pub fn of_finalize(error: FinalizeError) -> Self {
        match error {
            FinalizeError::Metadata(error) => Self::of_commit(error),
            error => Self::unavailable(&error),
        }
    }
}

impl From<ReceiveError> for ApiError {
    fn from(error: ReceiveError) -> Self {
        match error {
            ReceiveError::Size => Self::new(StatusCode::BAD_REQUEST, "wrong_size", error.to_string()),
            ReceiveError::Body => Self::new(StatusCode::BAD_REQUEST, "incomplete_body", error.to_string()),
            ReceiveError::Stall => Self::stalled(),
            ReceiveError::Store(_) => Self::unavailable(&error),
        }
    }
}

impl From<Busy> for ApiError {
    fn from(error: Busy) -> Self {
        Self::unavailable(&error)
    }
}

impl From<Sha256Error> for ApiError {
    fn from(error: Sha256Error) -> Self {
        Self::unavailable(&error)
    }
}

impl From<MetadataError> for ApiError {
    fn from(error: MetadataError) -> Self {
        match error {
            // It would not fit the next time either.
            MetadataError::Unfit(why) => Self::invalid("invalid_text", why),
            error => Self::unavailable(&error),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&ErrorBody { error: *self.detail }).unwrap_or_default();
        let mut response = (self.status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
