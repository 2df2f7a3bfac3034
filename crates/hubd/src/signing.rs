//! Addresses that carry their own permission: method, path and end are signed, headers never (Hub contract, 3.9). What an address
//! says of the kind of its content is signed as well.

use gen_worker_hub::{BearerToken, SignedUrl, token::TokenSigner};
use ring::hmac;

use crate::content_kind::ContentKind;

/// Bytes of the secret of a hub.
pub const SECRET_BYTES: usize = 32;

/// Why an address does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not signed by this hub, or for another method or path.
    #[error("the address is not signed for this")]
    Wrong,
    /// Its time is over.
    #[error("the address has expired")]
    Expired,
}

/// What a signed address may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// `GET` and `HEAD`.
    Read,
    /// `PUT`.
    Write,
}

/// Signs and checks addresses with a key derived from the secret of the hub.
pub struct UrlSigner {
    key: hmac::Key,
    base: String,
}

impl UrlSigner {
    /// Addresses start with `public_url`; a slash at its end is dropped.
    #[must_use]
    pub fn new(secret: &[u8; SECRET_BYTES], public_url: &str) -> Self {
        let key = blake3::derive_key("gen-worker hub 2026 signed addresses", secret);
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key), base: public_url.trim_end_matches('/').to_owned() }
    }

    /// `path` at this hub, good for `right` until `expires_s`. None when the public URL is no address.
    #[must_use]
    pub fn sign(&self, right: Use, path: &str, expires_s: u64) -> Option<SignedUrl> {
        self.address(right, path, None, expires_s)
    }

    /// The same for reading content of which the address tells the kind.
    #[must_use]
    pub fn sign_content(&self, path: &str, kind: Option<&ContentKind>, expires_s: u64) -> Option<SignedUrl> {
        self.address(Use::Read, path, kind, expires_s)
    }

    fn address(&self, right: Use, path: &str, kind: Option<&ContentKind>, expires_s: u64) -> Option<SignedUrl> {
        let tag = hmac::sign(&self.key, &signed(right, path, kind, expires_s));
        let signature: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let mut url = format!("{}{path}?expires={expires_s}", self.base);
        if let Some(kind) = kind {
            url.push_str("&type=");
            url.extend(form_urlencoded::byte_serialize(kind.as_str().as_bytes()));
        }
        format!("{url}&signature={signature}").parse().ok()
    }

    /// Checks what came with a request for `path`. The kind of the content, if the address was signed with one.
    ///
    /// # Errors
    /// See [`SignatureError`]. The signature is compared in constant time.
    pub fn check(
        &self,
        right: Use,
        path: &str,
        query: &str,
        now_s: u64,
    ) -> Result<Option<ContentKind>, SignatureError> {
        let (mut expires, mut signature, mut kind) = (None, None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "expires" => expires = value.parse::<u64>().ok(),
                "signature" => signature = unhex(&value),
                "type" => kind = Some(value.parse().map_err(|_| SignatureError::Wrong)?),
                _ => {}
            }
        }
        let (expires_s, signature) = expires.zip(signature).ok_or(SignatureError::Wrong)?;
        let signed = signed(right, path, kind.as_ref(), expires_s);
        hmac::verify(&self.key, &signed, &signature).map_err(|_| SignatureError::Wrong)?;
        if now_s >= expires_s { Err(SignatureError::Expired) } else { Ok(kind) }
    }
}

/// When the address with this query ends, in seconds since 1970.
pub(crate) fn expiry(query: &str) -> Option<u64> {
    let (_, expires) = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "expires").last()?;
    expires.parse().ok()
}

impl std::fmt::Debug for UrlSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UrlSigner").field("base", &self.base).finish_non_exhaustive()
    }
}

/// The signer of capability tokens of the hub with this secret.
///
/// # Errors
/// Never in practice: the derived key has the right length.
pub fn token_signer(secret: &[u8; SECRET_BYTES]) -> Result<TokenSigner, gen_worker_hub::token::KeyError> {
    TokenSigner::from_seed(&blake3::derive_key("gen-worker hub 2026 capability tokens", secret))
}

/// Signs role tokens with another key derived from the secret of the hub, so that neither kind counts as the other.
///
/// # Errors
/// Never in practice: a derived key has the right length.
pub fn role_signer(secret: &[u8; SECRET_BYTES]) -> Result<TokenSigner, gen_worker_hub::token::KeyError> {
    TokenSigner::from_seed(&blake3::derive_key("gen-worker hub 2026 role tokens", secret))
}

/// Whether two tokens are the same, without telling by the time it takes where they differ.
pub(crate) fn same_token(one: &BearerToken, other: &BearerToken) -> bool {
    // Hashes of BLAKE3 compare in constant time.
    blake3::hash(one.reveal().as_bytes()) == blake3::hash(other.reveal().as_bytes())
}

/// Neither a path nor a number nor a kind has a line end, so that nothing else is written like it.
fn signed(right: Use, path: &str, kind: Option<&ContentKind>, expires_s: u64) -> Vec<u8> {
    let method = match right {
        Use::Read => "GET",
        Use::Write => "PUT",
    };
    let mut text = format!("{method}\n{path}\n{expires_s}");
    if let Some(kind) = kind {
        text.push('\n');
        text.push_str(kind.as_str());
    }
    text.into_bytes()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digest: gen_worker_hub::Blake3Hash = text.parse().ok()?;
    Some(*digest.as_bytes())
}

#[cfg(test)]
mod tests;
