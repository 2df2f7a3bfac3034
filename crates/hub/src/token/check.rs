//! Tells good tokens from bad ones.

use ring::hmac;
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    claims::{CapabilityClaims, GRANTS_MAX},
    decode,
    role::RoleClaims,
    signer::{KeyError, key},
};
use crate::secret::BearerToken;

/// How far clocks may differ, in seconds.
const SKEW_S: u64 = 60;

/// How long after its end a token may still be renewed, in seconds (Hub contract, 9.4).
const RENEWAL_GRACE_S: u64 = 5 * 60;

/// Most keys of one check: the one in use and a few that are being replaced.
const KEYS_MAX: usize = 16;

/// Checks tokens. Who can check can also sign: its keys are secret.
#[derive(Clone, Debug)]
pub struct TokenCheck(Vec<hmac::Key>);

/// Why a token does not count. Nothing of the token is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not three parts of base64url, or not claims in them.
    #[error("it is no capability token")]
    Form,
    /// Signed in another way than these tokens are, `none` included.
    #[error("its algorithm is not HS256")]
    Algorithm,
    /// No key of the check has signed it.
    #[error("its signature is wrong")]
    Signature,
    /// Its time is over.
    #[error("it has expired")]
    Expired,
    /// Its time has not come.
    #[error("it is not valid yet")]
    NotYet,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    crit: Option<serde::de::IgnoredAny>,
}

impl TokenCheck {
    /// A check that trusts the signers of `seeds`, 32 secret bytes each.
    ///
    /// # Errors
    /// When one has another length, or when there are none or more than a hub has.
    pub fn new(seeds: &[&[u8]]) -> Result<Self, KeyError> {
        if seeds.is_empty() || seeds.len() > KEYS_MAX {
            return Err(KeyError);
        }
        seeds.iter().map(|seed| key(seed)).collect::<Result<_, _>>().map(Self)
    }

    /// A check that trusts one signer.
    pub(super) fn of(key: hmac::Key) -> Self {
        Self(vec![key])
    }

    /// What `token` says, if it is genuine and in time at `now_s`.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn verify(&self, token: &BearerToken, now_s: u64) -> Result<CapabilityClaims, TokenError> {
        self.verify_until(token, now_s, 0)
    }

    /// The same for a renewal: an end that is no more than five minutes ago does not count.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn verify_for_renewal(&self, token: &BearerToken, now_s: u64) -> Result<CapabilityClaims, TokenError> {
        self.verify_until(token, now_s, RENEWAL_GRACE_S)
    }

    /// What a role token says, if it is genuine and in time at `now_s`. Keys of capability tokens and of role tokens are not the
    /// same: neither counts as the other.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn verify_role(&self, token: &BearerToken, now_s: u64) -> Result<RoleClaims, TokenError> {
        let claims: RoleClaims = self.signed(token)?;
        in_time(claims.iat, claims.exp, now_s)?;
        Ok(claims)
    }

    fn verify_until(&self, token: &BearerToken, now_s: u64, grace_s: u64) -> Result<CapabilityClaims, TokenError> {
        let claims: CapabilityClaims = self.signed(token)?;
        if claims.grants.len() > GRANTS_MAX {
            return Err(TokenError::Form);
        }
        in_time(claims.iat, claims.exp.saturating_add(grace_s), now_s)?;
        Ok(claims)
    }

    /// What is under a signature of one of the keys.
    fn signed<T: DeserializeOwned>(&self, token: &BearerToken) -> Result<T, TokenError> {
        let (signed, signature) = token.reveal().rsplit_once('.').ok_or(TokenError::Form)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Form)?;
        let header = decode(header).and_then(|header| serde_json::from_slice::<Header>(&header).ok());
        let header = header.ok_or(TokenError::Form)?;
        if header.alg != "HS256" || header.crit.is_some() {
            return Err(TokenError::Algorithm);
        }
        let signature = decode(signature).ok_or(TokenError::Form)?;
        if !self.0.iter().any(|key| hmac::verify(key, signed.as_bytes(), &signature).is_ok()) {
            return Err(TokenError::Signature);
        }
        decode(claims).and_then(|claims| serde_json::from_slice(&claims).ok()).ok_or(TokenError::Form)
    }
}

fn in_time(since_s: u64, until_s: u64, now_s: u64) -> Result<(), TokenError> {
    if now_s >= until_s {
        return Err(TokenError::Expired);
    }
    if since_s > now_s.saturating_add(SKEW_S) {
        return Err(TokenError::NotYet);
    }
    Ok(())
}
