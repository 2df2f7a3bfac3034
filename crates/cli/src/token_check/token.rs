//! A token as it was received: its form, and nothing believed.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, de::IgnoredAny};

use super::claims::Claims;

/// Longest token in bytes: it travels in a header, and servers refuse larger ones.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// Why a text is no token that could be checked.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum TokenError {
    /// Not three parts of base64url, or not JSON in them.
    #[error("it is no signed token")]
    Form,
    /// Longer than any server takes.
    #[error("it is longer than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    /// Signed by an algorithm that is not trusted here, `none` among them.
    #[error("its algorithm is none of RS256, ES256 and EdDSA")]
    Algorithm,
    /// It asks for extensions to be understood.
    #[error("it has critical extensions")]
    Critical,
}

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Rs256,
    Es256,
    Ed25519,
}

impl Algorithm {
    /// By its name in headers and keys.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            "EdDSA" | "Ed25519" => Some(Self::Ed25519),
            _ => None,
        }
    }
}

/// A token of the right form.
#[derive(Debug)]
pub(super) struct Unverified<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<String>,
    /// What the signature is of.
    pub(super) signed: &'a [u8],
    pub(super) signature: Vec<u8>,
    claims: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<IgnoredAny>,
}

impl<'a> Unverified<'a> {
    /// Reads the form of `token`.
    pub(super) fn parse(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Form)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Form)?;
        let decoded = |part| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Form);
        let header: Header = serde_json::from_slice(&decoded(header)?).map_err(|_| TokenError::Form)?;
        let algorithm = Algorithm::named(&header.alg).ok_or(TokenError::Algorithm)?;
        if header.crit.is_some() {
            return Err(TokenError::Critical);
        }
        let (signature, claims) = (decoded(signature)?, decoded(claims)?);
        Ok(Self { algorithm, key_id: header.kid, signed: signed.as_bytes(), signature, claims })
    }

    /// What it claims. To be believed only after its signature was verified.
    pub(super) fn claims(&self) -> Result<Claims, TokenError> {
        serde_json::from_slice(&self.claims).map_err(|_| TokenError::Form)
    }
}
