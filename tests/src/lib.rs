//! What the system tests and the benches of the whole share: real binaries, real processes, real sockets.
//!
//! Nothing here knows a rule of the contracts; it starts things, waits for them with a limit, and ends them. Every
//! process belongs to a guard that ends it when the test does, however that is.

mod api;
mod binaries;
mod counting;
mod eventually;
mod figure;
mod files;
mod floor;
mod gated;
mod hub;
mod hub_peer;
mod hub_process;
mod meeting;
mod moto;
mod own_worker;
mod peer;
mod pool;
mod process;
mod proxy;
mod read_gate;
mod refusing;
mod relay;
mod scripted;
mod slow;
mod usage;

pub use api::{Answer, Api, SseEvent};
pub use binaries::{built, model_dir, workspace};
pub use counting::Counting;
pub use eventually::{LIMIT, eventually};
pub use figure::{Figure, percentile};
pub use files::Files;
pub use floor::floor;
pub use gated::Gated;
pub use hub::{OwnHub, PART_BYTES, RESOLVES_MAX};
pub use hub_process::{HubProcess, in_own_world};
pub use meeting::Meeting;
pub use moto::Moto;
pub use own_worker::{OwnWorker, own_dir};
pub use peer::{Peer, PeerWorker, Serves};
pub use pool::{Pool, PoolOptions};
pub use process::{Ended, Process, is_alive};
pub use proxy::Proxy;
pub use refusing::{Refusal, Refusing, Seen};
pub use relay::{Entry, Event, Relay};
pub use scripted::{Jobs, Scripted, ScriptedSession};
pub use slow::Slow;
pub use usage::{open_handles, resident_mb, resident_peak_mb};
