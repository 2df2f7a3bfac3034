//! The client against a server on this machine that answers, and fails, as it is told.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod bases;
mod commits;
mod endpoint_tags;
mod faults;
mod keepalive;
mod repos;
mod resolves;
mod server;
mod sessions;
mod timing;
mod tls;
mod uploads;
