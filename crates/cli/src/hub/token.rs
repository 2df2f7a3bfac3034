//! `gen-worker hub token`: a token for somebody who publishes or promotes releases. Made of the secret that the hub reads.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use gen_worker_hub::{model_ref::RepoName, token::RoleClaims};
use gen_worker_hubd::signing::role_signer;
use tracing::level_filters::LevelFilter;

use super::{args::TokenArgs, directory, serve};
use crate::{
    env::Environment,
    exit::{Failure, Outcome},
    logging,
};

/// Longest name of a person or a build system, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// Runs the command. The hub of the directory may run meanwhile.
pub(super) fn run(args: TokenArgs, env: &Environment) -> Outcome {
    logging::start(&args.log, env, LevelFilter::WARN)?;
    let path: PathBuf = serve::directory_of(args.dir.as_deref(), env);
    let tenant = format!("{}/any", args.tenant).parse::<RepoName>();
    let tenant = tenant.map_err(|_| Failure::usage(format!("tenant {:?} is no name", args.tenant)))?;
    let is_printable = |name: &str| !name.trim().is_empty() && !name.contains(|c: char| c.is_control());
    if !is_printable(&args.name) || args.name.len() > NAME_BYTES_MAX {
        return Err(Failure::usage(format!("a name has 1 to {NAME_BYTES_MAX} printable characters")));
    }
    let elsewhere = serve::secret_file_of(args.secret_file, env);
    let signer = role_signer(&directory::known_secret(&path, elsewhere.as_deref())?);
    let signer = signer.map_err(|error| Failure::failed(format!("token: {error}")))?;
    let iat = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let life = Duration::from_secs(u64::from(args.days) * 24 * 60 * 60);
    let claims = RoleClaims {
        sub: args.name,
        tenant: tenant.to_lowercase().owner().to_owned(),
        roles: args.roles.into_iter().map(Into::into).collect(),
        iat,
        exp: iat.saturating_add(life.as_secs()),
    };
    let token = signer.sign_role(&claims).map_err(|error| Failure::failed(format!("token: {error}")))?;
    crate::embedded::print_text(&format!("{}\n", token.reveal()))
}
