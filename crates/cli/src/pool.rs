//! The `gen-worker` program: a pool on this machine, and requests to one.

mod args;
pub(crate) mod locate;
mod passthrough;
mod project;
mod submit;
mod up;

use std::{ffi::OsString, process::ExitCode};

use self::args::{Command, Pool};
use crate::{
    args::{Parsed, parse},
    chaos,
    embedded::{finish, print_text},
    env::{ConfigFiles, Environment},
    exit::{Failure, Outcome},
    hub,
};

/// The command line of the program `gen-worker`: call it from `main` and return what it returns.
#[must_use]
pub fn pool_main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    finish(&args, dispatch(&args))
}

fn dispatch(args: &[OsString]) -> Outcome {
    let command = match parse::<Pool>(args.iter().cloned())? {
        Parsed::Text(text) => return print_text(&text),
        Parsed::Command(Pool { command }) => command,
    };
    let process = Environment::of_process;
    let env = || process().with_files(&ConfigFiles::of_process());
    match command {
        Command::Up(args) => up::run(*args, &env()?),
        Command::Submit(args) => {
            let env = env()?;
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| Failure::failed(format!("could not start the runtime: {error}")))?;
            runtime.block_on(submit::run(*args, &env))
        }
        Command::Chaos(args) => chaos::run(*args, &env()?),
        Command::Hub(args) => hub::run(*args, &env()?),
        Command::Run(run) => passthrough::become_endpoint(&run.endpoint, &process(), args),
        Command::Describe(describe) => passthrough::become_endpoint(&describe.endpoint, &process(), args),
    }
}
