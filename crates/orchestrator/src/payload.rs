//! JSON at the door, MessagePack inside: payloads and outputs change form here and nowhere else.
//!
//! ```text
//! JSON body ──from_json──> MessagePack (queue, wire, worker) ──AsJson──> JSON reply
//! ```
//!
//! Both directions go straight over the bytes; no tree is built. Nothing here recurses deeper than a named limit,
//! and every failure says where (`$` path, line, column for JSON; byte offset for MessagePack).
//!
//! # What maps to what
//! | JSON | MessagePack | back to JSON |
//! |---|---|---|
//! | integer in [-2^63, 2^64) | integer, shortest form | integer |
//! | any other number | float64 | shortest text that reads back the same; NaN and infinities become `null` |
//! | `{"$bytes": "<base64>"}` | bin | the same, standard alphabet with padding |
//! | string, true, false, null, array, object | str, bool, nil, array, map | the same |
//! | - | timestamp (extension -1) | RFC 3339 text, UTC, as many digits as it has |
//! | - | other extension | `{"$ext": {"type": n, "data": "<base64>"}}` |
//! | - | map with integer, float or bool keys | the key as text |
//! | - | map with any other keys | refused: [`AsJson`] fails to serialize |
//!
//! Refused on the way in: numbers beyond 64 bits, duplicate keys, depth over [`DEPTH_MAX`], invalid UTF-8, lone
//! surrogates, a `$bytes` key beside other keys, anything but an object on top.

mod canonical;
mod json;
mod keys;
mod number;
mod read;
mod scan;
mod show;
mod source;
mod write;

pub use canonical::{check_map, digest};
pub use json::{JsonError, Problem, from_json};
pub use read::{ReadError, Reader, Token};
pub use show::AsJson;
pub use source::source;

/// Deepest nesting of a payload (contract P-4) and of an output shown as JSON. Recursion over values is bounded by
/// it, so no input can exhaust a stack.
pub const DEPTH_MAX: usize = 64;

/// Key of the object that stands for bytes in JSON.
const BYTES_KEY: &str = "$bytes";

#[cfg(test)]
mod tests;
