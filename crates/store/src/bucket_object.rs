//! The object that a grant names, as an address and as signed requests for it (Hub contract, 4d). Pure, but for the clock that
//! signatures name.

use std::fmt::Write as _;

use gen_worker_hub::{SignedUrl, api::TransferGrant};
use object_store::{
    aws::{AwsAuthorizer, AwsCredential},
    client::{HttpRequest, HttpRequestBody},
};
use reqwest::header::{self, HeaderMap, HeaderValue};

/// What is signed for.
const SERVICE: &str = "s3";

/// A request that cannot be signed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a request to the bucket of a grant cannot be signed")]
pub(crate) struct Unsignable;

/// The address of the object: bucket and key in the path (4.26). None when the grant names none.
pub(crate) fn address(grant: &TransferGrant) -> Option<SignedUrl> {
    let endpoint = grant.endpoint_url.reveal();
    // What follows a query or a fragment would not be the path.
    if endpoint.contains(['?', '#']) {
        return None;
    }
    let mut url = endpoint.trim_end_matches('/').to_owned();
    for part in std::iter::once(grant.bucket.as_str()).chain(grant.key.split('/')) {
        if matches!(part, "" | "." | "..") {
            return None;
        }
        url.push('/');
        for byte in part.bytes() {
            match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                true => url.push(char::from(byte)),
                // Writing to a string cannot fail.
                false => drop(write!(url, "%{byte:02X}")),
            }
        }
    }
    url.parse().ok()
}

/// Headers of a request for the object at `url` from byte `from` on, signed with `grant` (4.27).
pub(crate) fn signed(grant: &TransferGrant, url: &SignedUrl, from: u64) -> Result<HeaderMap, Unsignable> {
    let credential = AwsCredential {
        key_id: grant.access_key_id.clone(),
        secret_key: grant.secret_access_key.clone(),
        token: grant.session_token.clone(),
    };
    let mut request = HttpRequest::new(HttpRequestBody::empty());
    *request.uri_mut() = url.reveal().parse().map_err(|_| Unsignable)?;
    if from > 0 {
        let range = HeaderValue::from_str(&format!("bytes={from}-")).map_err(|_| Unsignable)?;
        request.headers_mut().insert(header::RANGE, range);
    }
    let authorizer = AwsAuthorizer::new(&credential, SERVICE, &grant.region);
    authorizer.try_authorize(&mut request, None).map_err(|_| Unsignable)?;
    Ok(std::mem::take(request.headers_mut()))
}
