//! The command line of an endpoint binary, from arguments to exit code.

use std::{ffi::OsString, path::Path, process::ExitCode};

use crate::{
    args::{Command, Embedded, Parsed, parse},
    console::{print_line, report},
    env::{ConfigFiles, Environment},
    exit::{Exit, Failure, Outcome},
    prefetch, run, slot, worker,
};

/// Runs the command line of this process on every endpoint that is linked into it: call it from `main` and return
/// what it returns.
///
/// Commands are `run`, `worker` and `prefetch`. Results go to stdout, everything else to stderr.
#[must_use]
pub fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    finish(&args, dispatch(&args))
}

fn dispatch(args: &[OsString]) -> Outcome {
    match parse::<Embedded>(args.iter().cloned())? {
        Parsed::Text(text) => print_text(&text),
        Parsed::Command(Embedded { command }) => {
            let env = || Environment::of_process().with_files(&ConfigFiles::of_process());
            let main = name_of_program(args);
            match command {
                // Listings need no settings, and hosts ask for them in directories that they know nothing of.
                Command::Run(args) if args.list => run::run(&args, &Environment::of_process(), &main),
                Command::Run(args) => run::run(&args, &env()?, &main),
                Command::Worker(args) => worker::run(&args, &env()?),
                Command::Prefetch(args) => prefetch::run(&args, &env()?),
                Command::Slot(args) => slot::run(&args, &env()?),
                Command::Describe(args) => run::describe(&args, &Environment::of_process(), &main),
            }
        }
    }
}

/// Prints help or version.
pub(crate) fn print_text(text: &str) -> Outcome {
    print_line(text.trim_end())?;
    Ok(Exit::Success)
}

/// Reports a failure under the command that was typed, and gives the exit code.
pub(crate) fn finish(args: &[OsString], outcome: Outcome) -> ExitCode {
    let failure = match outcome {
        Ok(exit) => return exit.into(),
        Err(failure) => failure,
    };
    report_failure(args, &failure);
    failure.exit().into()
}

fn report_failure(args: &[OsString], failure: &Failure) {
    let command = args.get(1).map(|command| command.to_string_lossy()).filter(|command| !command.starts_with('-'));
    match command {
        Some(command) => report(&command, failure.message()),
        // Without a command there is nothing to name; the message is the help.
        None => crate::console::note(failure.message()),
    }
}

/// The name of the endpoint binary: its file name, whatever it was called as.
fn name_of_program(args: &[OsString]) -> String {
    let called = args.first().map(Path::new).unwrap_or(Path::new(""));
    let program = std::env::current_exe().unwrap_or_else(|_| called.to_owned());
    program.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
