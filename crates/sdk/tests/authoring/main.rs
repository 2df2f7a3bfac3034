//! Endpoints written the way an author writes them, and what becomes of them.
#![expect(clippy::panic, reason = "what the tests share ends a test like an assertion")]

mod functions;
mod payloads;
mod readme;
mod support;
mod tiers;
mod types;
