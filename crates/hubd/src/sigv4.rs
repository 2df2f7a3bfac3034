//! Signatures of S3 requests, version 4, in headers (Hub contract, 4.27). Pure: no clock, no state.
//!
//! ```text
//! Authorization ─> scope, signed headers, signature ──┐
//! method, path, query, those headers, payload hash ───┴─> canonical request ─> string to sign ─> HMAC, compared
//! ```
//! Only what is signed counts: every `x-amz-*` header that came must be among the signed ones.

mod canonical;

use axum::http::HeaderMap;
use jiff::{civil::DateTime, tz::TimeZone};
use ring::hmac;

/// How far the clock of a signer may be off, in seconds: what S3 allows.
const SKEW_S: u64 = 15 * 60;

/// Headers that one signature may name. Clients sign a handful.
const SIGNED_HEADERS_MAX: usize = 64;

/// What is in front of every header of this kind.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Why a signature does not count. Nothing of it is in this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignatureError {
    /// There is none.
    #[error("the request is not signed")]
    Absent,
    /// It is not of this form.
    #[error("the authorization is not of the form {ALGORITHM} for service s3")]
    Form,
    /// A header that has to be signed is not.
    #[error("the host and every x-amz header have to be signed")]
    Unsigned,
    /// The time is missing, or not that of the scope.
    #[error("the request does not say when it was signed")]
    Time,
    /// Signed too long ago, or in the future.
    #[error("the clock of the signer is off by more than {} minutes", SKEW_S / 60)]
    Skewed,
    /// No hash of the payload, or none of these.
    #[error("x-amz-content-sha256 is neither a hash nor UNSIGNED-PAYLOAD")]
    Payload,
    /// The payload is signed in chunks.
    #[error("payloads that are signed in chunks (STREAMING-…) are not taken; send the hash or UNSIGNED-PAYLOAD")]
    Streaming,
    /// It is of another request or by another key.
    #[error("the signature is not that of this request")]
    Wrong,
}

/// What a signer says of the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// Nothing.
    Unsigned,
    /// Its SHA-256.
    Sha256([u8; 32]),
}

/// A request as it came.
#[derive(Clone, Copy)]
pub(crate) struct Incoming<'a> {
    /// Its method.
    pub method: &'a str,
    /// The path that the signer saw, encoded.
    pub path: &'a str,
    /// Its query, encoded.
    pub query: &'a str,
    /// Its headers.
    pub headers: &'a HeaderMap,
}

/// The `Authorization` of a request.
#[derive(Debug)]
pub(crate) struct Authorization {
    /// Who signed.
    pub access_key_id: String,
    date: String,
    region: String,
    signed_headers: Vec<String>,
    signature: [u8; 32],
}

impl Authorization {
    /// Reads the header of `headers`.
    pub fn read(headers: &HeaderMap) -> Result<Self, SignatureError> {
        let text = one(headers, "authorization").ok_or(SignatureError::Absent)?;
        Self::parse(text).ok_or(SignatureError::Form)
    }

    fn parse(text: &str) -> Option<Self> {
        let fields = text.strip_prefix(ALGORITHM)?;
        let (mut credential, mut signed, mut signature) = (None, None, None);
        for field in fields.split(',') {
            match field.trim().split_once('=')? {
                ("Credential", value) => credential = Some(value),
                ("SignedHeaders", value) => signed = Some(value),
                ("Signature", value) => signature = Some(value),
                _ => return None,
            }
        }
        let scope: Vec<&str> = credential?.split('/').collect();
        let [access_key_id, date, region, "s3", "aws4_request"] = scope.as_slice() else { return None };
        let signed_headers: Vec<String> = signed?.split(';').map(str::to_owned).collect();
        // In order, each once, and in lower case: then there is one canonical form.
        let ordered = signed_headers.is_sorted_by(|one, other| one < other);
        let lower = signed_headers.iter().all(|name| !name.is_empty() && *name == name.to_ascii_lowercase());
        if !ordered || !lower || signed_headers.len() > SIGNED_HEADERS_MAX {
            return None;
        }
        Some(Self {
            access_key_id: (*access_key_id).to_owned(),
            date: (*date).to_owned(),
            region: (*region).to_owned(),
            signed_headers,
            signature: sha256_of_hex(signature?)?,
        })
    }

    /// Checks that `incoming` was signed with `secret` not long before or after `now_s`, and gives what was said of the payload.
    /// The signature is compared in constant time.
    pub fn check(&self, secret: &str, incoming: Incoming<'_>, now_s: u64) -> Result<Payload, SignatureError> {
        let headers = incoming.headers;
        let is_signed = |name: &str| self.signed_headers.iter().any(|signed| signed == name);
        let amz = headers.keys().filter(|name| name.as_str().starts_with("x-amz-"));
        if !is_signed("host") || !amz.map(axum::http::HeaderName::as_str).all(is_signed) {
            return Err(SignatureError::Unsigned);
        }
        let payload_text = one(headers, "x-amz-content-sha256").ok_or(SignatureError::Payload)?;
        let payload = payload_of(payload_text)?;
        let time = one(headers, "x-amz-date").ok_or(SignatureError::Time)?;
        let signed_s = seconds(time).filter(|_| time.starts_with(&self.date)).ok_or(SignatureError::Time)?;
        let request = canonical::request(incoming, &self.signed_headers, payload_text).ok_or(SignatureError::Wrong)?;
        let scope = format!("{}/{}/s3/aws4_request", self.date, self.region);
        let hash = hex(ring::digest::digest(&ring::digest::SHA256, request.as_bytes()).as_ref());
        let to_sign = format!("{ALGORITHM}\n{time}\n{scope}\n{hash}");
        let key = self.signing_key(secret);
        hmac::verify(&key, to_sign.as_bytes(), &self.signature).map_err(|_| SignatureError::Wrong)?;
        if signed_s.abs_diff(now_s) > SKEW_S { Err(SignatureError::Skewed) } else { Ok(payload) }
    }

    fn signing_key(&self, secret: &str) -> hmac::Key {
        let first = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{secret}").as_bytes());
        [self.date.as_str(), &self.region, "s3", "aws4_request"]
            .into_iter()
            .fold(first, |key, text| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, text.as_bytes()).as_ref()))
    }
}

/// The value of a header that came once.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

fn payload_of(text: &str) -> Result<Payload, SignatureError> {
    match text {
        "UNSIGNED-PAYLOAD" => Ok(Payload::Unsigned),
        text if text.starts_with("STREAMING-") => Err(SignatureError::Streaming),
        text => sha256_of_hex(text).map(Payload::Sha256).ok_or(SignatureError::Payload),
    }
}

/// Seconds since 1970 of a time such as `20130524T000000Z`.
fn seconds(text: &str) -> Option<u64> {
    let time = DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    let time = TimeZone::UTC.to_timestamp(time).ok()?;
    u64::try_from(time.as_second()).ok()
}

fn sha256_of_hex(text: &str) -> Option<[u8; 32]> {
    let digest: gen_worker_hub::Digest = format!("sha256:{text}").parse().ok()?;
    Some(*digest.as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
