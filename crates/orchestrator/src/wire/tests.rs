//! Sessions against a scripted worker that speaks only the wire. Connections are in memory and time is paused, so that
//! every wait of the contract passes at once and nothing depends on the machine.

mod declared;
mod faults;
mod harness;
mod jobs;
mod lifecycle;
mod models;
mod placement;
mod recovery;
mod shelf;
mod streams;
mod tenants;
