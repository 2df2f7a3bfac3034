//! Credentials for one object, for clients that speak S3 (Hub contract, 4d). Nothing of them is stored: the session token says
//! what they are for, and the secret is derived from it, so that only a token of this hub has a secret that signs.

use gen_worker_hub::{Blake3Hash, ServerId, SignedUrl, api::TransferGrant};
use jiff::Timestamp;
use ring::hmac;

use crate::signing::SECRET_BYTES;

/// How long credentials last, in seconds (Hub contract, 4.29).
pub(crate) const GRANT_S: u64 = 60 * 60;

/// Region that signatures are asked to name.
const REGION: &str = "auto";

/// Front of all tokens of this form.
const VERSION: &str = "v1";

/// Bucket of objects that are to be written.
const UPLOADS: &str = "uploads";

/// Bucket of objects that can be read.
const BLOBS: &str = "blobs";

/// Hexadecimal digits of an access key id.
const ID_DIGITS: usize = 20;

/// Which object may be used, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// The bytes of this upload may be written.
    Write(ServerId),
    /// This content may be read.
    Read(Blake3Hash),
}

/// What a session token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Granted {
    /// For what.
    pub access: Access,
    /// Until when.
    pub expires_s: u64,
    /// Who signs.
    pub access_key_id: String,
    /// With what.
    pub secret: String,
}

/// Makes and reads credentials with a key derived from the secret of the hub.
pub(crate) struct Grants {
    key: hmac::Key,
    endpoint: Option<SignedUrl>,
    prefix: String,
}

impl Access {
    /// Its bucket and key.
    pub fn place(&self) -> (&'static str, String) {
        match self {
            Self::Write(upload) => (UPLOADS, upload.to_string()),
            Self::Read(blob) => (BLOBS, blob.to_string()),
        }
    }
}

impl Grants {
    /// Credentials are for an endpoint below `public_url`.
    pub fn new(secret: &[u8; SECRET_BYTES], public_url: &str) -> Self {
        let key = blake3::derive_key("gen-worker hub 2026 transfer grants", secret);
        let base = public_url.trim_end_matches('/');
        let path = base.split_once("://").and_then(|(_, rest)| rest.find('/').and_then(|at| rest.get(at..)));
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            endpoint: format!("{base}/s3").parse().ok(),
            prefix: path.unwrap_or_default().to_owned(),
        }
    }

    /// The path of the public URL: signers see it, the hub behind its proxy does not.
    pub fn path_prefix(&self) -> &str {
        &self.prefix
    }

    /// Credentials for `access` from `now_s`. None when the public URL is no address.
    pub fn grant(&self, access: &Access, now_s: u64) -> Option<TransferGrant> {
        let expires_s = now_s.saturating_add(GRANT_S);
        let (bucket, key) = access.place();
        let token = format!("{VERSION}.{bucket}.{key}.{expires_s}");
        let (access_key_id, secret_access_key) = self.derived(&token);
        let expires = i64::try_from(expires_s).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
        Some(TransferGrant {
            endpoint_url: self.endpoint.clone()?,
            bucket: bucket.to_owned(),
            key,
            access_key_id,
            secret_access_key,
            session_token: Some(token),
            region: REGION.to_owned(),
            expires_at: expires.map(|time| time.to_string()),
        })
    }

    /// What `token` is for, and the secret that a signer has who got it from here. A token that was made up has a secret too,
    /// but nobody knows it.
    pub fn read(&self, token: &str) -> Option<Granted> {
        let fields: Vec<&str> = token.split('.').collect();
        let [VERSION, bucket, key, expires] = fields.as_slice() else { return None };
        let access = match *bucket {
            UPLOADS => Access::Write(key.parse().ok()?),
            BLOBS => Access::Read(key.parse().ok()?),
            _ => return None,
        };
        let (access_key_id, secret) = self.derived(token);
        Some(Granted { access, expires_s: expires.parse().ok()?, access_key_id, secret })
    }

    fn derived(&self, token: &str) -> (String, String) {
        let derive = |what: &str| {
            let tag = hmac::sign(&self.key, format!("{what}\n{token}").as_bytes());
            tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        let mut id = derive("id");
        id.truncate(ID_DIGITS);
        (id, derive("secret"))
    }
}

#[cfg(test)]
mod tests;
