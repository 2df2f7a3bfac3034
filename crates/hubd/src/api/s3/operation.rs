//! What a request asks for: its method and its query say. Pure.

use axum::http::{HeaderMap, Method, StatusCode};
use gen_worker_hub::{ServerId, api::PARTS_MAX};

use super::error::S3Error;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// `GetObject` and `HeadObject`.
    Read,
    /// Something that changes the object.
    Write(Write),
}

/// What changes the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Write {
    /// `PutObject`.
    Whole,
    /// `CreateMultipartUpload`.
    Begin,
    /// `UploadPart` of this transfer, counted from 1.
    Part(ServerId, u32),
    /// `CompleteMultipartUpload`.
    Finish(ServerId),
    /// `AbortMultipartUpload`.
    Abort(ServerId),
}

impl Operation {
    pub fn of(method: &Method, query: &str, headers: &HeaderMap) -> Result<Self, S3Error> {
        let Asked { begins, transfer, number } = Asked::of(query)?;
        let transfer = transfer.map(|id| id.parse::<ServerId>().map_err(|_| S3Error::no_upload())).transpose()?;
        if headers.contains_key("x-amz-copy-source") {
            return Err(not_here());
        }
        match (method.as_str(), begins, transfer, number) {
            ("GET" | "HEAD", false, None, None) => Ok(Self::Read),
            ("PUT", false, None, None) => Ok(Self::Write(Write::Whole)),
            ("PUT", false, Some(transfer), Some(number)) => Ok(Self::Write(Write::Part(transfer, part(&number)?))),
            ("POST", true, None, None) => Ok(Self::Write(Write::Begin)),
            ("POST", false, Some(transfer), None) => Ok(Self::Write(Write::Finish(transfer))),
            ("DELETE", false, Some(transfer), None) => Ok(Self::Write(Write::Abort(transfer))),
            _ => Err(not_here()),
        }
    }
}

/// What of a query says which operation is meant.
#[derive(Default)]
struct Asked {
    begins: bool,
    transfer: Option<String>,
    number: Option<String>,
}

impl Asked {
    fn of(query: &str) -> Result<Self, S3Error> {
        let mut asked = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "uploads" => asked.begins = true,
                "uploadId" => asked.transfer = Some(value.into_owned()),
                "partNumber" => asked.number = Some(value.into_owned()),
                // Some clients name the operation a second time.
                "x-id" => {}
                _ => return Err(not_here()),
            }
        }
        Ok(asked)
    }
}

fn part(number: &str) -> Result<u32, S3Error> {
    let number = number.parse::<u32>().ok().filter(|number| (1..=PARTS_MAX as u32).contains(number));
    number.ok_or_else(|| S3Error::invalid("InvalidArgument", format!("parts are counted from 1 to {PARTS_MAX}")))
}

fn not_here() -> S3Error {
    S3Error::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", "the hub does not do this operation of S3")
}

#[cfg(test)]
mod tests;
