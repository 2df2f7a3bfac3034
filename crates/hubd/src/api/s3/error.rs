//! Refusals, as clients of S3 read them.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use quick_xml::escape::escape;

use crate::{blobs::ReceiveError, disk::DiskFault, metadata::MetadataError, sigv4::SignatureError};

/// A refusal. Its text holds no secret.
#[derive(Debug)]
pub(super) struct S3Error {
    status: StatusCode,
    code: &'static str,
    message: String,
    resource: String,
}

impl S3Error {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), resource: String::new() }
    }

    pub fn denied(message: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "AccessDenied", message)
    }

    pub fn no_token() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidToken", "the session token is none of this hub")
    }

    pub fn expired() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ExpiredToken", "the credentials have expired")
    }

    /// The request is not what the operation takes.
    pub fn invalid(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub fn no_upload() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NoSuchUpload", "there is no such upload, or it is over")
    }

    pub fn no_key() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NoSuchKey", "there is no such object")
    }

    /// The stores cannot be used now. Clients come again.
    pub fn unavailable(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::warn!(error, "request refused");
        let busy = Self::busy();
        // Under the code that clients come again after; people read the rest.
        let message = DiskFault::of(error).map(|fault| fault.message().to_owned());
        Self { message: message.unwrap_or(busy.message), ..busy }
    }

    /// The stores cannot be used now, which is on record already.
    pub fn busy() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", "the hub cannot do this now")
    }

    /// Says which object it is about.
    pub fn at(mut self, resource: &str) -> Self {
        resource.clone_into(&mut self.resource);
        self
    }
}

impl From<SignatureError> for S3Error {
    fn from(error: SignatureError) -> Self {
        let message = error.to_string();
        match error {
            SignatureError::Absent | SignatureError::Unsigned | SignatureError::Time => Self::denied(&message),
            SignatureError::Form => Self::invalid("AuthorizationHeaderMalformed", message),
            SignatureError::Skewed => Self::new(StatusCode::FORBIDDEN, "RequestTimeTooSkewed", message),
            SignatureError::Payload => Self::invalid("InvalidRequest", message),
            SignatureError::Streaming => Self::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", message),
            SignatureError::Wrong => Self::new(StatusCode::FORBIDDEN, "SignatureDoesNotMatch", message),
        }
    }
}

impl From<MetadataError> for S3Error {
    fn from(error: MetadataError) -> Self {
        Self::unavailable(&error)
    }
}

impl From<ReceiveError> for S3Error {
    fn from(error: ReceiveError) -> Self {
        match error {
            ReceiveError::Size | ReceiveError::Body => Self::invalid("IncompleteBody", error.to_string()),
            ReceiveError::Stall => Self::invalid("RequestTimeout", error.to_string()),
            ReceiveError::Store(_) => Self::unavailable(&error),
        }
    }
}

impl IntoResponse for S3Error {
    fn into_response(self) -> Response {
        let Self { status, code, message, resource } = self;
        let (message, resource) = (escape(message.as_str()), escape(resource.as_str()));
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>\
             <Resource>{resource}</Resource></Error>"
        );
        (status, [(header::CONTENT_TYPE, "application/xml")], body).into_response()
    }
}
