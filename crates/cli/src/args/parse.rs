//! Arguments to commands: help goes to stdout, mistakes become one [`Failure`].

use std::{ffi::OsString, time::Duration};

use clap::{Parser, error::ErrorKind};

use crate::exit::Failure;

/// What came of the arguments.
#[derive(Debug)]
pub(crate) enum Parsed<C> {
    /// A command to run.
    Command(C),
    /// Help or version to print on stdout; the command succeeded.
    Text(String),
}

/// Parses `args`, whose first entry is the program itself.
///
/// # Errors
/// Bad usage, with exit 2. Without any command the message is the help.
pub(crate) fn parse<C: Parser>(args: impl IntoIterator<Item = OsString>) -> Result<Parsed<C>, Failure> {
    let error = match C::try_parse_from(args) {
        Ok(command) => return Ok(Parsed::Command(command)),
        Err(error) => error,
    };
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(Parsed::Text(error.render().to_string())),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            Err(Failure::usage(error.render().to_string().trim_end()))
        }
        _ => Err(Failure::usage(essence(&error.render().to_string()))),
    }
}

/// The part of a usage error that names the mistake: without its label, the usage lines and the pointer to the help.
fn essence(rendered: &str) -> String {
    let text = rendered.strip_prefix("error: ").unwrap_or(rendered);
    let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("For more information"));
    lines.collect::<Vec<_>>().join("\n")
}

/// A number of seconds on the command line.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().map_err(|_| "expected a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "expected a number of seconds, 0 or more".to_owned())
}
