//! Files that a payload names by their address on the web: on this machine before the handler runs (endpoint contract, E-120;
//! Hub contract, section 14).
//!
//! ```text
//! schema of the payload ──once──> FileShapes ──find──> files in the payload ──fetch──> the job's directory
//!                                                              └────────── local_path ──> payload, rewritten
//! ```
//! Works on encoded payloads and hands one on, so that handlers are called the same way wherever they run. Owns the client for
//! addresses; the directory and its end are the caller's.

mod bring;
mod found;
mod rewrite;
mod shapes;

pub(crate) use bring::Place;
pub use bring::{Inputs, InputsOptions};
pub(crate) use shapes::FileShapes;

#[cfg(test)]
mod tests;
