//! The worker against a scripted orchestrator that speaks only what sections 1 to 7 of the wire contract say.
//!
//! Everything runs in one process on a paused clock: connections are in-memory pipes, so that time moves only when
//! nothing else can.

#![expect(clippy::panic, reason = "helpers of tests fail like tests")]

mod boot;
mod cancellation;
mod connection;
mod devices;
mod drain;
mod faults;
mod fixture;
mod functions;
mod inputs;
mod instances;
mod jobs;
mod ledger;
mod loras;
mod metrics;
mod models;
mod orchestrator;
mod output_streams;
mod queue;
mod renewals;
mod saves;
mod shelf;
mod slots;
mod sources;
mod spool;
mod streams;
mod tiers;
mod uploads;
