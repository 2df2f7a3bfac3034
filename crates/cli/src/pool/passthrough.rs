//! Becoming the endpoint binary: same process, arguments, working directory and streams.

use std::{ffi::OsString, os::unix::process::CommandExt as _, process::Command};

use super::locate::Places;
use crate::{
    args::EndpointArgs,
    env::Environment,
    exit::{Exit, Failure, Outcome},
};

/// Finds the endpoint binary and replaces this process with it. `args` are those of this process, the program
/// included. Returns only when that fails.
pub(super) fn become_endpoint(endpoint: &EndpointArgs, env: &Environment, args: &[OsString]) -> Outcome {
    let binary = Places::of(env).endpoint(endpoint)?;
    let error = Command::new(&binary).args(args.get(1..).unwrap_or_default()).exec();
    Err(Failure::new(Exit::Usage, format!("could not start {}: {error}", binary.display())))
}
