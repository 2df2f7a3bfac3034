//! Replies that tell what went wrong, all of one shape (contract P-17).

use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use gen_worker_proto::RequestId;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{code::Code, request_id};
use crate::{
    payload::{JsonError, ReadError},
    pool::{PoolError, SubmitError},
};

/// Seconds after which a refused caller may try again: long enough to matter, short enough to notice recovery.
const RETRY_AFTER_SECONDS: u16 = 1;

/// Body of every error reply.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"error": {"code": "unknown_function", "message": "no worker has ever offered `embde`",
    "details": {"near": ["embed"]}}}))]
pub struct ErrorBody {
    /// The error.
    error: ErrorDetail,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorDetail {
    /// For programs.
    code: Code,
    /// For people: names the field or limit.
    message: String,
    /// The request it is about, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// More, depending on the code.
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Value>,
}

/// An error reply under construction.
#[derive(Debug)]
pub struct ApiError {
    detail: Box<ErrorDetail>,
}

impl ApiError {
    /// An error with a text that names what is wrong and holds no secret.
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { detail: Box::new(ErrorDetail { code, message: message.into(), request_id: None, details: None }) }
    }

    /// Nobody knows this request, or the caller may not know it.
    pub(super) fn no_such_request() -> Self {
        Self::new(Code::NotFound, "there is no request with this id")
    }

    /// The request it is about.
    pub(super) fn about(mut self, id: &RequestId) -> Self {
        self.detail.request_id = Some(id.as_str().to_owned());
        self
    }

    /// Adds details.
    pub(super) fn with(mut self, details: Value) -> Self {
        self.detail.details = Some(details);
        self
    }

    /// Refuses one request of a submit.
    pub(super) fn refused(error: SubmitError, function: &str) -> Self {
        match error {
            SubmitError::Conflict => {
                Self::new(Code::IdConflict, "this id or idempotency key belongs to a request with another body")
            }
            SubmitError::UnknownFunction { near } => {
                let message = format!("no worker has ever offered the function `{function}`");
                Self::new(Code::UnknownFunction, message).with(json!({ "near": near }))
            }
            SubmitError::NoWorker => {
                Self::new(Code::NoWorker, format!("no worker can run the function `{function}` now"))
            }
            SubmitError::QueueFull { limit } => {
                Self::new(Code::QueueFull, format!("the queue holds its limit of {limit} unfinished requests"))
            }
        }
    }
}

impl From<PoolError> for ApiError {
    fn from(error: PoolError) -> Self {
        let message = match &error {
            PoolError::Store(_) => "the request store cannot be used now",
            PoolError::Closed => "the server is shutting down",
        };
        tracing::warn!(error = &error as &dyn std::error::Error, "request refused");
        Self::new(Code::Unavailable, message)
    }
}

impl From<JsonError> for ApiError {
    fn from(error: JsonError) -> Self {
        let details = json!({ "path": error.path, "line": error.line, "column": error.column });
        Self::new(Code::Invalid, error.to_string()).with(details)
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        Self::new(Code::Invalid, format!("malformed MessagePack: {error}"))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let code = self.detail.code;
        let id = self.detail.request_id.as_deref().and_then(|id| HeaderValue::from_str(id).ok());
        let body = ErrorBody { error: *self.detail };
        let body = serde_json::to_vec(&body).expect("text, numbers and JSON values serialize");
        let mut response = (code.status(), [(header::CONTENT_TYPE, "application/json")], body).into_response();
        if let Some(id) = id {
            response.headers_mut().insert(request_id::HEADER, id);
        }
        if code.wants_retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
        }
        if code == Code::Unauthenticated {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
