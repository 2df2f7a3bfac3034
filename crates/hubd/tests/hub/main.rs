//! The hub over real sockets, with the client of `gen-worker-hub`.

mod blobs;
mod commits;
mod connections;
mod finalize;
mod gate;
mod kill;
mod limits;
mod refusals;
mod server;
mod uploads;
