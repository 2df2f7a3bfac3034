//! The hub over real sockets, with the client of `gen-worker-hub`.

mod addresses;
mod blobs;
mod bucket_faults;
mod child;
mod commits;
mod connections;
mod datasets;
mod disks;
mod environment;
mod finalize;
mod gate;
mod grants;
mod grants_refused;
mod kill;
mod limits;
mod old_files;
mod old_resolve;
mod refusals;
mod releases;
mod renewal;
mod selections;
mod server;
mod sessions;
mod sign;
mod unknown_fields;
mod uploads;
