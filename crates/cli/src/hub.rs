//! `gen-worker hub`: a hub of one's own, alone or inside `up`, and checkpoints on their way to one.
//!
//! ```text
//! hub ──> Directory (lock, secret, token) ──> LocalHub (metadata, objects, tidying) ──> serve: listener, signals
//!                                                └──────────────────────────────────> up: beside the orchestrator
//! hub token ──> a token for who publishes or promotes releases
//! hub push DIR REF ──> tree (walk, hash) ──> commit, parts, finalize ──HTTP──> any hub
//! ```

pub(crate) mod args;
mod bucket;
mod directory;
mod local;
mod private_file;
mod public_url;
mod push;
mod serve;
mod stores;
mod token;

use self::args::{HubArgs, HubCommand};
pub(crate) use self::{
    directory::Directory,
    local::{HubSettings, LocalHub, Tidy},
    public_url::{given_public_url, local_url},
    stores::Stores,
};
use crate::{env::Environment, exit::Outcome};

/// Runs the command.
pub(crate) fn run(args: HubArgs, env: &Environment) -> Outcome {
    match args.command {
        Some(HubCommand::Push(push)) => push::run(*push, env),
        Some(HubCommand::Token(token)) => token::run(*token, env),
        None => serve::run(args.serve, env),
    }
}
