//! The real worker and the real orchestrator in one process, on virtual time and a network that fails by seed.
//!
//! ```text
//! seed -> scenario -> clients --Handle--> orchestrator process --journal--> disk (outlives processes)
//!             |                                |  gRPC over pipes
//!             +-> troubles ----> network: delay, hold, cut, take apart
//!                                              |
//!                                worker processes -> handlers -> ledger
//! ```
//!
//! Everything runs on one thread and a paused clock. The only chance is the seed: what libraries draw from the operating
//! system comes from it too (`entropy`), so a seed gives the same event log every time, bit by bit.
//! What must hold (design, section 8): an accepted request reaches one end and keeps it, whatever crashes; a result is
//! that of the current attempt; a stream is items, one end, nothing; permits are conserved.

mod client;
mod clock;
mod entropy;
mod handlers;
mod journal;
mod ledger;
mod network;
mod orchestrator;
mod outcomes;
mod reader;
mod rng;
mod run;
mod scenario;
mod seeds;
mod trace;
mod trouble;
mod workers;
mod world;

pub use run::{Report, simulate};
pub use seeds::{Seeds, run_seeds};
