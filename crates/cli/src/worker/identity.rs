//! Who this worker is: by flag, environment, or the claims of its token.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

/// What a token says about its bearer. Not verified here: the orchestrator does that; a wrong claim only makes it
/// refuse us.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Claims {
    /// `sub`: the worker's id.
    pub(super) worker_id: Option<String>,
    /// `release_id`.
    pub(super) release_id: Option<String>,
}

impl Claims {
    /// Reads the claims of a JWT; a token of another form has none.
    pub(super) fn of(token: &str) -> Self {
        let body = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok());
        let claims: Value = body.and_then(|body| serde_json::from_slice(&body).ok()).unwrap_or_default();
        let text = |name: &str| {
            claims.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        Self { worker_id: text("sub"), release_id: text("release_id") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_name_worker_and_release() {
        let token = |claims: &str| format!("e30.{}.signature", URL_SAFE_NO_PAD.encode(claims));
        let claims = Claims::of(&token(r#"{"sub":" w-1 ","release_id":"r","exp":1}"#));
        assert_eq!(claims, Claims { worker_id: Some("w-1".to_owned()), release_id: Some("r".to_owned()) });
        for other in [token("[]"), token("{\"sub\":1}"), "opaque".to_owned(), String::new(), "a.!.b".to_owned()] {
            assert_eq!(Claims::of(&other), Claims::default(), "{other}");
        }
    }
}
