//! The hub over real sockets, with the client of `gen-worker-hub`.

mod blobs;
mod commits;
mod connections;
mod datasets;
mod environment;
mod finalize;
mod gate;
mod grants;
mod grants_refused;
mod kill;
mod limits;
mod old_files;
mod refusals;
mod releases;
mod renewal;
mod server;
mod sessions;
mod sign;
mod uploads;
