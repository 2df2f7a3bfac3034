//! The hub over real sockets, with the client of `gen-worker-hub`.

mod blobs;
mod commits;
mod connections;
mod server;
mod uploads;
