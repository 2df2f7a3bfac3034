//! Running programs: every one is shown before it runs, and a failure names the whole command line.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Runs `command` with our own input and output. Fails unless it exits with 0.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = describe(command);
    say(&format!("  $ {line}"));
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed: {status}");
    }
    Ok(())
}

/// Runs `command` silently and returns what it printed. Fails, with its error output, unless it exits with 0.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let line = describe(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("start `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` failed: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim_end());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{line}` printed something that is not UTF-8"))
}

/// Runs `command` and returns what it printed; what it says on standard error goes to ours as it comes.
pub(crate) fn output_with_log(command: &mut Command) -> Result<String> {
    command.stderr(Stdio::inherit());
    output(command)
}

/// Does `command` exit with 0? Also false when it cannot be started.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The command line, for messages.
pub(crate) fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// One line on stderr, in order with the output of the programs we run.
pub(crate) fn say(line: &str) {
    let mut stderr = std::io::stderr().lock();
    // Nobody reads us any more: then there is nobody to tell either.
    let _ = writeln!(stderr, "{line}");
}
