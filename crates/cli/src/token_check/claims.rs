//! What a genuine token has to say about its issuer, its audience and its time.

use serde::Deserialize;

/// How far clocks may differ, in seconds.
const SKEW_S: f64 = 60.0;

/// The claims that are checked. A claim of another type makes the whole token unreadable, not the claim absent.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    /// Seconds since 1970, fractions allowed.
    exp: Option<f64>,
    nbf: Option<f64>,
    iss: Option<String>,
    aud: Option<Audience>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// Why a genuine token does not count.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ClaimError {
    /// A token without an end would be good for ever.
    #[error("it has no expiry")]
    NoExpiry,
    /// Its time is over.
    #[error("it has expired")]
    Expired,
    /// Its time has not come.
    #[error("it is not valid yet")]
    NotYet,
    /// Somebody else issued it.
    #[error("its issuer is not the expected one")]
    Issuer,
    /// It is for somebody else.
    #[error("its audience is not the expected one")]
    Audience,
}

/// What claims must be. Nothing set means not checked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expected {
    /// `iss`.
    pub(crate) issuer: Option<String>,
    /// `aud`, or one of it.
    pub(crate) audience: Option<String>,
}

impl Expected {
    /// Whether `claims` hold at `now_s`, in seconds since 1970.
    pub(super) fn check(&self, claims: Claims, now_s: u64) -> Result<(), ClaimError> {
        // Seconds of any date fit a float exactly.
        let now = now_s as f64;
        let expiry = claims.exp.ok_or(ClaimError::NoExpiry)?;
        if now >= expiry + SKEW_S {
            return Err(ClaimError::Expired);
        }
        if claims.nbf.is_some_and(|start| now + SKEW_S < start) {
            return Err(ClaimError::NotYet);
        }
        if self.issuer.is_some() && self.issuer != claims.iss {
            return Err(ClaimError::Issuer);
        }
        let Some(wanted) = &self.audience else { return Ok(()) };
        let named = match &claims.aud {
            Some(Audience::One(audience)) => audience == wanted,
            Some(Audience::Many(audiences)) => audiences.contains(wanted),
            None => false,
        };
        if named { Ok(()) } else { Err(ClaimError::Audience) }
    }
}
