//! The hub over real sockets, with the client of `gen-worker-hub`.

mod blobs;
mod commits;
mod datasets;
mod environment;
mod grants;
mod grants_refused;
mod old_files;
mod renewal;
mod server;
mod sessions;
mod sign;
mod uploads;
