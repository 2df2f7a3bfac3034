//! What was typed: the flags of each command, unresolved. What they mean together with the environment is decided
//! by the commands.
//!
//! Long flags may be cut to a unique prefix, `--flag=value` works, and flags and words mix in any order.

mod embedded;
mod log;
mod model;
mod parse;
mod spool;
#[cfg(test)]
mod tests;

pub(crate) use embedded::{Command, DescribeArgs, Embedded, EndpointArgs, PrefetchArgs, RunArgs, SlotArgs, WorkerArgs};
pub(crate) use log::{LogArgs, LogFormat};
pub(crate) use model::ModelDir;
#[cfg(feature = "pool")]
pub(crate) use parse::seconds;
pub(crate) use parse::{Parsed, parse};
pub(crate) use spool::{SPOOL_POLICIES, spool_policy};
