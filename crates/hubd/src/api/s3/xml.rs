//! XML of calls about transfers, in and out.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use gen_worker_hub::{ServerId, api::PARTS_MAX};
use quick_xml::escape::escape;
use serde::Deserialize;

use super::error::S3Error;

/// Largest end of a transfer in bytes: as many parts as there can be, each with a hash and tags around it.
pub(super) const FINISH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The namespace of all replies.
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

#[derive(Deserialize)]
struct Finish {
    #[serde(rename = "Part", default)]
    parts: Vec<FinishPart>,
}

#[derive(Deserialize)]
struct FinishPart {
    #[serde(rename = "PartNumber")]
    number: u32,
    #[serde(rename = "ETag")]
    etag: String,
}

/// The parts that the end of a transfer names, in order, with their ETags without quotes.
pub(super) fn parts(body: &[u8]) -> Result<Vec<(u32, String)>, S3Error> {
    let malformed = || S3Error::invalid("MalformedXML", "the body names no parts that can be read");
    let text = std::str::from_utf8(body).map_err(|_| malformed())?;
    // Entities of its own a document cannot have here, so it cannot grow.
    let Finish { parts } = quick_xml::de::from_str(text).map_err(|_| malformed())?;
    if parts.is_empty() || parts.len() > PARTS_MAX {
        return Err(malformed());
    }
    if !parts.is_sorted_by(|one, other| one.number < other.number) {
        return Err(S3Error::invalid("InvalidPartOrder", "the parts are not named in order, each once"));
    }
    Ok(parts.into_iter().map(|part| (part.number, part.etag.trim().trim_matches('"').to_owned())).collect())
}

/// The reply to the begin of a transfer.
pub(super) fn begun(bucket: &str, key: &str, transfer: &ServerId) -> Response {
    reply("InitiateMultipartUploadResult", &[("Bucket", bucket), ("Key", key), ("UploadId", transfer.as_str())])
}

/// The reply to the end of a transfer.
pub(super) fn finished(bucket: &str, key: &str, etag: &str) -> Response {
    let etag = format!("\"{etag}\"");
    reply("CompleteMultipartUploadResult", &[("Bucket", bucket), ("Key", key), ("ETag", &etag)])
}

fn reply(name: &str, fields: &[(&str, &str)]) -> Response {
    let fields: String = fields.iter().map(|(name, text)| format!("<{name}>{}</{name}>", escape(*text))).collect();
    let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{name} xmlns=\"{NAMESPACE}\">{fields}</{name}>");
    (StatusCode::OK, [(header::CONTENT_TYPE, "application/xml")], body).into_response()
}

#[cfg(test)]
mod tests;
