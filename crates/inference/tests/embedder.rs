//! The embedder from outside: small random models written by the tests, both implementations, every bad input.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

#[path = "embedder/adapters.rs"]
mod adapters;
#[path = "embedder/agreement.rs"]
mod agreement;
#[path = "embedder/bad_models.rs"]
mod bad_models;
#[path = "embedder/calls.rs"]
mod calls;
#[path = "embedder/endpoint.rs"]
mod endpoint;
#[path = "embedder/placement.rs"]
mod placement;
#[path = "embedder/reference.rs"]
mod reference;
#[path = "embedder/tiny_model.rs"]
mod tiny_model;
