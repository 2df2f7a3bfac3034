//! The closed set of error codes, each with its HTTP status (contract, section 7).

use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

/// Code of an error body. Programs branch on it; the text beside it is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The payload, an option or the form of the request is wrong. 400
    Invalid,
    /// A field or query parameter that the route does not know. 400
    UnknownField,
    /// No or bad credentials. 401
    Unauthenticated,
    /// Not allowed for this caller. 403
    Forbidden,
    /// No such request, worker or route, or it belongs to another tenant. 404
    NotFound,
    /// No worker has ever offered the function. 404
    UnknownFunction,
    /// The route does not take this method. 405
    MethodNotAllowed,
    /// The id is taken by another body. 409
    IdConflict,
    /// The request had ended. 409
    AlreadyFinished,
    /// The request is in another attempt. 409
    AttemptMismatch,
    /// The request does not run. 409
    NotRunning,
    /// The body is larger than the limit. 413
    PayloadTooLarge,
    /// The queue is full. 429
    QueueFull,
    /// No worker can run the function. 424
    NoWorker,
    /// Canceled while the caller waited. 499
    Canceled,
    /// The function failed for good. 500
    Failed,
    /// Every attempt failed for a passing reason. 503
    RetriesExhausted,
    /// The store cannot be used, or the server is going down. 503
    Unavailable,
    /// The deadline passed. 504
    DeadlineExceeded,
}

impl Code {
    /// Its status.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Invalid | Self::UnknownField => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound | Self::UnknownFunction => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::IdConflict | Self::AlreadyFinished | Self::AttemptMismatch | Self::NotRunning => StatusCode::CONFLICT,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::QueueFull => StatusCode::TOO_MANY_REQUESTS,
            Self::NoWorker => StatusCode::FAILED_DEPENDENCY,
            Self::Canceled => StatusCode::from_u16(499).expect("three digits"),
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
            Self::RetriesExhausted | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// Whether a reply with this code says when to come back.
    #[must_use]
    pub fn wants_retry_after(self) -> bool {
        matches!(self, Self::QueueFull | Self::RetriesExhausted | Self::Unavailable)
    }

    /// The code of a request that ended without success, from the record's own word for it.
    #[must_use]
    pub fn of_ending(word: &str) -> Self {
        match word {
            "invalid" => Self::Invalid,
            "retries_exhausted" => Self::RetriesExhausted,
            "deadline_exceeded" => Self::DeadlineExceeded,
            "canceled" => Self::Canceled,
            "no_worker" => Self::NoWorker,
            _ => Self::Failed,
        }
    }
}
