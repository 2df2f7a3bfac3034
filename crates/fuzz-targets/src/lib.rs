//! What the fuzz targets do with their input. A target takes any bytes and panics when something does not hold that
//! must hold for all of them.
//!
//! Two programs use it: the fuzzers in `fuzz/`, which look for such bytes (`cargo xtask fuzz`), and the test of this
//! crate, which replays every input that was kept in `fuzz/corpus`.

mod hub_contract;
mod json_payload;
mod oracle;
mod payload_codec;
mod slot_frame;
#[cfg(test)]
mod tests;
mod wire_decoder;

pub use hub_contract::hub_contract;
pub use json_payload::json_payload;
pub use payload_codec::payload_codec;
pub use slot_frame::slot_frame;
pub use wire_decoder::wire_decoder;

/// A target by its name, which is that of its program and of its corpus.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 5] = [
    ("hub_contract", hub_contract),
    ("json_payload", json_payload),
    ("payload_codec", payload_codec),
    ("slot_frame", slot_frame),
    ("wire_decoder", wire_decoder),
];
