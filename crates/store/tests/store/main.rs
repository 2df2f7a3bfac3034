//! The store against a server of its own on real sockets: one that lies, stalls, truncates, closes and flips bits.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod bad_bodies;
mod bad_disks;
mod child;
mod commits;
mod defaults;
mod deliveries;
mod disk;
mod downloads;
mod eviction;
mod faults;
mod granted_downloads;
mod grants;
mod hub_grants;
mod hub_inputs;
mod hub_server;
mod hub_uploads;
mod inputs;
mod kills;
mod parallel;
mod part_times;
mod pool;
mod present;
mod processes;
mod providers;
mod server;
mod snapshots;
mod two_disks;
mod upload_server;
mod uploads;
