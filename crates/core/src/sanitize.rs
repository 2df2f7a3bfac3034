//! What may leave the machine inside an error text: the wire contract, section 10. Owns no state.

use gen_worker_proto::limits::SAFE_MESSAGE_CHARS_MAX;

/// The client-visible form of `text`: what [`gen_worker_hub::redact`] leaves, at most [`SAFE_MESSAGE_CHARS_MAX`] characters.
#[must_use]
pub fn sanitize(text: &str) -> String {
    gen_worker_hub::redact(text, SAFE_MESSAGE_CHARS_MAX)
}

#[cfg(test)]
mod tests;
