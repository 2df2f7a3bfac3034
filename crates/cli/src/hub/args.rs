//! The arguments of `gen-worker hub`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Subcommand, ValueEnum};

use crate::args::LogArgs;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct HubArgs {
    #[command(subcommand)]
    pub(super) command: Option<HubCommand>,
    #[command(flatten)]
    pub(super) serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum HubCommand {
    /// Send a directory to a hub as a checkpoint
    Push(Box<PushArgs>),
    /// Make a token for somebody who publishes releases, or says which of them callers get
    Token(Box<TokenArgs>),
}

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    pub(super) log: LogArgs,
    /// Address to listen on; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8070")]
    pub(super) listen: SocketAddr,
    /// Where clients find the hub; addresses that it signs start with it. By default the address it listens on
    #[arg(long, value_name = "URL")]
    pub(super) public_url: Option<String>,
    /// Directory of metadata, objects, secret and token; made when it does not exist
    #[arg(long, value_name = "PATH")]
    pub(super) dir: Option<PathBuf>,
    #[command(flatten)]
    pub(super) stores: StoreArgs,
    /// File with tokens that may do everything, one a line; repeatable. Without it the hub makes one in its directory
    #[arg(long = "token-file", value_name = "PATH")]
    pub(super) token_files: Vec<PathBuf>,
    /// Who may see repositories that are made from now on
    #[arg(long, value_name = "WHO", default_value = "private")]
    pub(super) visibility: VisibilityArg,
    /// Bytes of the parts in which files are uploaded: a power of two
    #[arg(long, value_name = "BYTES", default_value_t = gen_worker_hub::api::PART_SIZE_DEFAULT, value_parser = part_bytes)]
    pub(super) part_size: u64,
    /// Resolves without a token that one address may ask for in a minute
    #[arg(long, value_name = "N", default_value_t = 60)]
    pub(super) anonymous_rate: u32,
    /// Seconds between two rounds of removing what has expired and what nothing names
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = crate::args::seconds)]
    pub(super) tidy_interval: Duration,
    /// Seconds that content stays when nothing names it any more; addresses of it live for six hours
    #[arg(long, value_name = "SECONDS", default_value = "86400", value_parser = crate::args::seconds)]
    pub(super) unused_grace: Duration,
    /// Seconds that transfers get when the hub stops
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = crate::args::seconds)]
    pub(super) drain_timeout: Duration,
    /// File to write the address to, once the hub answers
    #[arg(long, value_name = "PATH")]
    pub(super) ready_file: Option<PathBuf>,
}

/// Where a hub keeps what it has, when that is not its directory.
#[derive(Debug, Default, Args)]
pub(super) struct StoreArgs {
    /// PostgreSQL database of the metadata, postgres://user@host/name; by default a file in the directory
    #[arg(long, value_name = "URL")]
    pub(super) database: Option<String>,
    /// Bucket of the objects, s3://bucket/prefix; by default a part of the directory
    #[arg(long, value_name = "URL")]
    pub(super) objects: Option<String>,
    /// Where the bucket is, when it is not at Amazon
    #[arg(long, value_name = "URL")]
    pub(super) objects_endpoint: Option<String>,
    /// How clients read what is in the bucket: `bucket` by presigned addresses of it, an address of the bucket that clients
    /// reach when the hub has another, or `hub` [default: bucket at Amazon, hub with --objects-endpoint]
    #[arg(long, value_name = "hub|bucket|URL")]
    pub(super) objects_reads: Option<String>,
    /// Region of the bucket
    #[arg(long, value_name = "NAME")]
    pub(super) objects_region: Option<String>,
    /// File with the secret of the hub, made when it does not exist; all processes of one hub have the same
    #[arg(long, value_name = "PATH")]
    pub(super) secret_file: Option<PathBuf>,
}

/// Who may see a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum VisibilityArg {
    /// Everybody who can reach the hub
    Public,
    /// Who has a token for it
    Private,
}

#[derive(Debug, Args)]
pub(super) struct PushArgs {
    #[command(flatten)]
    pub(super) log: LogArgs,
    /// Directory with the files of the checkpoint
    #[arg(value_name = "DIR")]
    pub(super) dir: PathBuf,
    /// Where to: owner/repo, then :tag and #flavor if wanted. The tag `latest` moves, too
    #[arg(value_name = "REF")]
    pub(super) reference: String,
    /// Address of the hub
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// File with tokens, one a line, that only you can read: the first counts
    #[arg(long, value_name = "PATH")]
    pub(super) token_file: Option<PathBuf>,
    /// Keep the files that the checkpoint of `latest` has and the directory has not: the one of this flavor, if REF has one
    #[arg(long)]
    pub(super) merge: bool,
    /// Text for people
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(super) message: String,
}

#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    #[command(flatten)]
    pub(super) log: LogArgs,
    /// Who gets it, for the log of changes
    #[arg(value_name = "NAME")]
    pub(super) name: String,
    /// Whose projects it is for
    #[arg(long, value_name = "TENANT")]
    pub(super) tenant: String,
    /// What they may do; repeatable
    #[arg(long = "role", value_name = "ROLE", required = true)]
    pub(super) roles: Vec<RoleArg>,
    /// Days until it ends
    #[arg(long, value_name = "DAYS", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub(super) days: u32,
    /// Directory of the hub
    #[arg(long, value_name = "PATH")]
    pub(super) dir: Option<PathBuf>,
    /// File with the secret of the hub, when that is not in its directory
    #[arg(long, value_name = "PATH")]
    pub(super) secret_file: Option<PathBuf>,
}

/// What somebody may do in the projects of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum RoleArg {
    /// Publish releases, and take them away
    Publisher,
    /// Point tags at releases
    Promoter,
}

impl From<RoleArg> for gen_worker_hub::token::Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Publisher => Self::Publisher,
            RoleArg::Promoter => Self::Promoter,
        }
    }
}

/// Parts are subtrees of a hash, and no request holds more than its share of a disk.
fn part_bytes(text: &str) -> Result<u64, String> {
    const SMALLEST: u64 = 1 << 10;
    const LARGEST: u64 = 1 << 30;
    let bytes: u64 = text.parse().map_err(|_| "not a number of bytes".to_owned())?;
    if bytes.is_power_of_two() && (SMALLEST..=LARGEST).contains(&bytes) {
        return Ok(bytes);
    }
    Err(format!("not a power of two from {SMALLEST} to {LARGEST}"))
}
