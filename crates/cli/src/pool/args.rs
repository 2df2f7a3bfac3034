//! The commands of the `gen-worker` binary.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

use crate::{
    args::{DescribeArgs, LogArgs, ModelDir, RunArgs},
    chaos::ChaosArgs,
    hub::args::HubArgs,
};

/// The command line of `gen-worker`.
#[derive(Debug, Parser)]
#[command(
    name = "gen-worker",
    about = "Run AI work on a pool of machines, beginning with this one",
    version,
    infer_long_args = true,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub(super) struct Pool {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Start an orchestrator and workers on this machine
    Up(Box<UpArgs>),
    /// Send a request to a running orchestrator and print its result
    Submit(Box<SubmitArgs>),
    /// Run one function of this project's endpoint, without a pool
    Run(Box<RunArgs>),
    /// Put an endpoint binary through drops, duplicates, restarts and cancels, and report what of the contract it breaks
    Chaos(Box<ChaosArgs>),
    /// Serve a hub: repositories of models, and files of jobs; or send a checkpoint to one
    Hub(Box<HubArgs>),
    /// Print the description document of this project's endpoint
    #[command(hide = true)]
    Describe(DescribeArgs),
}

#[derive(Debug, Args)]
pub(super) struct UpArgs {
    #[command(flatten)]
    pub(super) log: LogArgs,
    /// Address of the HTTP API; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(super) listen: SocketAddr,
    /// Address that workers connect to; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    pub(super) wire_listen: SocketAddr,
    /// Allow addresses that other machines can reach; there is no authentication yet
    #[arg(long)]
    pub(super) dev_allow_remote: bool,
    /// Queue file; made when it does not exist
    #[arg(long, value_name = "PATH", conflicts_with = "memory")]
    pub(super) db: Option<PathBuf>,
    /// Keep the queue in memory; it is gone with this process
    #[arg(long)]
    pub(super) memory: bool,
    /// Days that ended requests are kept in the queue file, 0 for ever; ids and idempotency keys hold as long
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    pub(super) history_days: u16,
    /// Directory of the pool's hub; by default beside the queue file, and gone with this process without one
    #[arg(long, value_name = "PATH")]
    pub(super) hub_dir: Option<PathBuf>,
    /// Where workers and clients find this pool, when that is not the address it listens on
    #[arg(long, value_name = "URL")]
    pub(super) public_url: Option<String>,
    /// Endpoint binary to start workers of; repeatable
    #[arg(long = "endpoint", value_name = "PATH")]
    pub(super) endpoints: Vec<PathBuf>,
    /// Workers per endpoint binary
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) workers: u16,
    /// Local directory of a model; repeatable
    #[arg(long = "model", value_name = "REF=DIR")]
    pub(super) models: Vec<ModelDir>,
    /// Seconds that running jobs get when the pool stops
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = crate::args::seconds)]
    pub(super) drain_timeout: Duration,
    /// Seconds that jobs wait for a worker whose connection broke to come back before they go elsewhere
    #[arg(long, value_name = "SECONDS", default_value = "15", value_parser = crate::args::seconds)]
    pub(super) reconnect_window: Duration,
    /// File to write addresses and workers to, once every worker is ready
    #[arg(long, value_name = "PATH")]
    pub(super) ready_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct SubmitArgs {
    /// Name of the function
    pub(super) function: String,
    /// FIELD=VALUE, FIELD:=JSON, FIELD@PATH; or one word: `-` for stdin, `@PATH`, JSON, or a bare value
    #[arg(value_name = "FIELD=VALUE", allow_negative_numbers = true)]
    pub(super) words: Vec<String>,
    /// Base payload
    #[arg(long, value_name = "JSON", conflicts_with = "payload_file", allow_hyphen_values = true)]
    pub(super) payload: Option<String>,
    /// File with the base payload
    #[arg(long, value_name = "PATH")]
    pub(super) payload_file: Option<PathBuf>,
    /// Address of the orchestrator's HTTP API
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// Id of the request: submitting it again gives the same request
    #[arg(long, value_name = "ID")]
    pub(super) id: Option<String>,
    /// Print stream items as they arrive
    #[arg(long)]
    pub(super) stream: bool,
    /// Print the request object and do not wait for the result
    #[arg(long, conflicts_with_all = ["stream", "timeout"])]
    pub(super) no_wait: bool,
    /// Seconds to wait for the end; the request goes on
    #[arg(long, value_name = "SECONDS", value_parser = crate::args::seconds)]
    pub(super) timeout: Option<Duration>,
    /// Indent the documents on stdout
    #[arg(long)]
    pub(super) pretty: bool,
}
