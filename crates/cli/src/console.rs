//! The two streams of a command: results on stdout, everything else on stderr, both flushed per line.

use std::io::{self, Write as _};

use serde_json::Value;

use crate::exit::{Exit, Failure};

/// Prints one result document on stdout, indented by two spaces when `pretty`.
///
/// # Errors
/// When nobody reads stdout any more; the command then ends as if interrupted, quietly.
pub(crate) fn print_document(document: &Value, pretty: bool) -> Result<(), Failure> {
    // The alternate form of a JSON value is the indented one, with two spaces.
    if pretty { print_line(&format!("{document:#}")) } else { print_line(&document.to_string()) }
}

/// Prints one line on stdout.
///
/// # Errors
/// As [`print_document`].
pub(crate) fn print_line(line: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(line.as_bytes()).and_then(|()| stdout.write_all(b"\n")).and_then(|()| stdout.flush()).map_err(
        |error| {
            let exit = if error.kind() == io::ErrorKind::BrokenPipe { Exit::Interrupted } else { Exit::Failed };
            Failure::new(exit, format!("could not write to stdout: {error}"))
        },
    )
}

/// Writes one line on stderr in one piece, so that lines of several threads never mix.
pub(crate) fn note(line: &str) {
    let mut text = String::with_capacity(line.len() + 1);
    text.push_str(line);
    text.push('\n');
    // Nobody reads us any more: then there is nobody to tell either.
    drop(io::stderr().lock().write_all(text.as_bytes()));
}

/// Reports why `command` failed. Every line starts with the command, so that hosts can find it among other output.
pub(crate) fn report(command: &str, message: &str) {
    for line in message.lines() {
        note(&format!("gen-worker {command}: {line}"));
    }
}
