//! A program that times one batch for each line it is given, so that two of them can take turns.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::Times;
use crate::process::describe;

/// A started program. Its input ends when this is dropped, and with it the program, which is waited for.
pub(super) struct Turns {
    line: String,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// What it answers.
#[derive(Debug, Deserialize)]
struct Turn {
    ms: Times,
}

impl Turns {
    /// Starts `command`; what it says on standard error goes to ours.
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        let line = describe(command);
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.with_context(|| format!("start `{line}`"))?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("stdout is piped")?);
        Ok(Self { line, child, input, output })
    }

    /// Times `batch` once. Fails when the program ends, or answers with something else.
    pub(super) fn take(&mut self, batch: &str) -> Result<Times> {
        let input = self.input.as_mut().context("stdin is piped")?;
        let mut answer = String::new();
        writeln!(input, "{batch}")
            .and_then(|()| self.output.read_line(&mut answer))
            .with_context(|| format!("`{}` did not take the turn {batch}", self.line))?;
        parse(&answer).with_context(|| format!("`{}` answered {batch} with {answer:?}", self.line))
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.input = None;
        // It ends by itself, with its input; there is nobody to tell if not.
        let _ = self.child.wait();
    }
}

/// The times of one answer.
pub(super) fn parse(answer: &str) -> Result<Times> {
    Ok(serde_json::from_str::<Turn>(answer)?.ms)
}
