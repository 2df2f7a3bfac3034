//! The flags of the command.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::Args;

use crate::args::EndpointArgs;

#[derive(Debug, Args)]
pub(crate) struct ChaosArgs {
    #[command(flatten)]
    pub(super) endpoint: EndpointArgs,
    /// Seed of the first round, the next round has the next one; without it a new one is made and printed
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
    /// Rounds to run; twelve have every kind of fault once
    #[arg(long, value_name = "N", default_value_t = 48, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) rounds: u32,
    /// Function to call; without it every function that needs no payload of yours
    #[arg(long, value_name = "NAME", conflicts_with = "payloads")]
    pub(super) function: Option<String>,
    /// Payload of its calls
    #[arg(long, value_name = "JSON", requires = "function", allow_hyphen_values = true)]
    pub(super) payload: Option<String>,
    /// File of calls, one {"function": NAME, "payload": JSON} per line
    #[arg(long, value_name = "PATH")]
    pub(super) payloads: Option<PathBuf>,
    /// Seconds after which a job that did not end counts as lost, and a worker that did not come back as gone
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = crate::args::seconds)]
    pub(super) patience: Duration,
    /// Print the report as one JSON document
    #[arg(long)]
    pub(super) json: bool,
    /// Tell of every round, and pass on what the worker prints
    #[arg(long)]
    pub(super) verbose: bool,
    /// Endpoint binary and arguments for its `worker` command; without it, the one that the project names
    #[arg(last = true, value_name = "ENDPOINT BINARY")]
    pub(super) program: Vec<OsString>,
}
