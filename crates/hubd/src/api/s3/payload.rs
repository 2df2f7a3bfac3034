//! A body that is hashed on its way, and does not end well when its hash is another than was signed.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http_body_util::{BodyExt as _, Limited};
use ring::digest::{Context, SHA256};

use super::error::S3Error;
use crate::{api::body::BODY_TIME, patience::Stalled, sigv4::Payload};

/// Why a body does not end.
type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// Whether a body was another than the one that was signed.
#[derive(Debug, Default)]
pub(super) struct Mismatch(AtomicBool);

impl Mismatch {
    /// What to answer to a body that failed.
    pub fn or(&self, error: impl Into<S3Error>) -> S3Error {
        if self.0.load(Ordering::Relaxed) { mismatch() } else { error.into() }
    }
}

/// `body`, with an error instead of its end when it is not what `payload` says; `seen` then knows.
pub(super) fn checked(
    body: Body,
    payload: Payload,
    seen: &Mismatch,
) -> impl Stream<Item = Result<Bytes, BodyError>> + Send {
    let Payload::Sha256(expected) = payload else {
        return body.into_data_stream().map(|piece| piece.map_err(BodyError::from)).left_stream();
    };
    let begin = (Some(Context::new(&SHA256)), body.into_data_stream());
    let checked = futures::stream::unfold(begin, move |(hash, mut body)| async move {
        let mut hash = hash?;
        match body.next().await {
            Some(Ok(piece)) => {
                hash.update(&piece);
                Some((Ok(piece), (Some(hash), body)))
            }
            Some(Err(error)) => Some((Err(BodyError::from(error)), (None, body))),
            None if hash.finish().as_ref() == expected => None,
            None => {
                seen.0.store(true, Ordering::Relaxed);
                Some((Err(BodyError::from("another hash")), (None, body)))
            }
        }
    });
    checked.right_stream()
}

/// A whole body of at most `bytes_max`.
pub(super) async fn collected(body: Body, payload: Payload, bytes_max: usize) -> Result<Bytes, S3Error> {
    let collected = tokio::time::timeout(BODY_TIME, Limited::new(body, bytes_max).collect()).await;
    let late = || S3Error::invalid("RequestTimeout", "the body did not come in time");
    let collected = collected.map_err(|_| late())?.map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            S3Error::invalid("MaxMessageLengthExceeded", format!("the body is over {bytes_max} bytes"))
        } else if Stalled::is_in(error.as_ref()) {
            late()
        } else {
            S3Error::invalid("IncompleteBody", "the body did not come to its end")
        }
    })?;
    let bytes = collected.to_bytes();
    match payload {
        Payload::Sha256(expected) if ring::digest::digest(&SHA256, &bytes).as_ref() != expected => Err(mismatch()),
        _ => Ok(bytes),
    }
}

fn mismatch() -> S3Error {
    S3Error::invalid("XAmzContentSHA256Mismatch", "the body does not have the hash that was signed")
}
