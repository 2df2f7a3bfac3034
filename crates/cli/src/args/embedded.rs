//! The commands that every endpoint binary has.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::{LogArgs, ModelDir};

/// The command line of an endpoint binary.
#[derive(Debug, Parser)]
#[command(
    name = "gen-worker",
    about = "Run the functions of this endpoint, once or as a worker of a pool",
    version,
    infer_long_args = true,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub(crate) struct Embedded {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where else settings come from, for those who read the help.
const SETTINGS: &str = "Settings come from flags, then the environment, `.env` in the working directory, \
    /run/secrets/NAME, /etc/gen-worker/config.yaml or gen-worker.yaml, and then defaults. Secrets have no flags. \
    All names: docs/env.md.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run one function on this machine and print its result
    Run(Box<RunArgs>),
    /// Join a pool: connect to an orchestrator and serve its jobs
    #[command(after_help = SETTINGS)]
    Worker(Box<WorkerArgs>),
    /// Bring the models of every function to this machine, and run nothing
    Prefetch(PrefetchArgs),
    /// Serve one slot of a worker; started by workers only
    #[command(hide = true)]
    Slot(SlotArgs),
    /// Print the description document (same as `run --list`)
    #[command(hide = true)]
    Describe(DescribeArgs),
}

/// Which endpoint. `gen-worker` picks the binary by these and hands them on; the binary itself is already picked.
#[derive(Debug, Default, Args)]
pub(crate) struct EndpointArgs {
    /// Project directory or project file that names the endpoint binary
    #[arg(long, value_name = "PATH")]
    pub(crate) config: Option<PathBuf>,
    /// Name of the endpoint binary
    #[arg(long, value_name = "NAME")]
    pub(crate) module: Option<String>,
}

#[derive(Debug, Default, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) endpoint: EndpointArgs,
    /// Only functions of this type
    #[arg(long, value_name = "NAME")]
    pub(crate) class: Option<String>,
    /// Only this function, by handler name or slug
    #[arg(long, value_name = "NAME")]
    pub(crate) method: Option<String>,
    /// Base payload
    #[arg(long, value_name = "JSON", conflicts_with = "payload_file", allow_hyphen_values = true)]
    pub(crate) payload: Option<String>,
    /// File with the base payload
    #[arg(long, value_name = "PATH")]
    pub(crate) payload_file: Option<PathBuf>,
    /// Words merged over the base payload: FIELD=VALUE, FIELD:=JSON, FIELD@PATH, or one bare value
    #[arg(value_name = "FIELD=VALUE", allow_negative_numbers = true)]
    pub(crate) tokens: Vec<String>,
    /// No network for models
    #[arg(long)]
    pub(crate) offline: bool,
    /// Device that handlers see, such as `cpu`
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<String>,
    /// Local directory of a model; repeatable
    #[arg(long = "model", value_name = "REF=DIR")]
    pub(crate) models: Vec<ModelDir>,
    /// Print the description document, run nothing
    #[arg(long)]
    pub(crate) list: bool,
    /// Indent the documents on stdout
    #[arg(long)]
    pub(crate) pretty: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PrefetchArgs {
    /// Project directory or project file that names the endpoint binary
    #[arg(long, value_name = "PATH")]
    pub(crate) config: Option<PathBuf>,
    /// No network: only say whether the models are here
    #[arg(long)]
    pub(crate) offline: bool,
    /// Print events as JSON lines on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DescribeArgs {
    #[command(flatten)]
    pub(crate) endpoint: EndpointArgs,
    /// The document is always JSON; accepted for callers of the peer
    #[arg(long)]
    pub(crate) json: bool,
    /// Indent the document
    #[arg(long)]
    pub(crate) pretty: bool,
}

#[derive(Debug, Default, Args)]
pub(crate) struct SlotArgs {
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

#[derive(Debug, Default, Args)]
pub(crate) struct WorkerArgs {
    #[command(flatten)]
    pub(crate) log: LogArgs,
    /// Address of the orchestrator; repeatable, later ones are tried after the first
    #[arg(long = "addr", value_name = "ADDRESS")]
    pub(crate) addresses: Vec<String>,
    /// PEM file with the only roots that TLS connections trust
    #[arg(long, value_name = "PATH")]
    pub(crate) ca_bundle: Option<PathBuf>,
    /// Identity of this worker
    #[arg(long, value_name = "ID")]
    pub(crate) worker_id: Option<String>,
    /// Release this worker belongs to
    #[arg(long, value_name = "ID")]
    pub(crate) release_id: Option<String>,
    /// Local directory of a model; repeatable
    #[arg(long = "model", value_name = "REF=DIR")]
    pub(crate) models: Vec<ModelDir>,
    /// Jobs that run at once; 0 = no limit
    #[arg(long, value_name = "N")]
    pub(crate) max_concurrency: Option<usize>,
    /// Seconds that running jobs get after SIGTERM or SIGINT
    #[arg(long, value_name = "SECONDS", value_parser = super::parse::seconds)]
    pub(crate) drain_timeout: Option<std::time::Duration>,
    /// Serve counts in the Prometheus text format at http://ADDRESS/metrics
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) metrics_addr: Option<std::net::SocketAddr>,
    /// Directory for finished results that are not delivered yet
    #[arg(long, value_name = "PATH")]
    pub(crate) spool_dir: Option<PathBuf>,
    /// Results to keep on disk until they are delivered: those of handlers that ran 100 ms or longer, all, or none
    #[arg(long, value_name = "auto|always|never", value_parser = super::spool::spool_policy)]
    pub(crate) spool: Option<gen_worker_core::SpoolPolicy>,
    /// Seconds that an isolated handler has to end after its cancel or deadline, before its process is killed
    #[arg(long, value_name = "SECONDS", value_parser = super::parse::seconds)]
    pub(crate) cancel_grace: Option<std::time::Duration>,
    /// Seconds without a connection after which the worker exits; 0 = never
    #[arg(long, value_name = "SECONDS", value_parser = super::parse::seconds)]
    pub(crate) disconnect_limit: Option<std::time::Duration>,
    /// Threads that drive asynchronous handlers and the connection
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Exit at once when stdin ends: how a parent process makes sure that no worker outlives it
    #[arg(long)]
    pub(crate) exit_with_stdin: bool,
}
