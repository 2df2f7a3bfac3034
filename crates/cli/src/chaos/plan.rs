//! What was asked for, checked before anything is started.

#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use super::{args::ChaosArgs, call::Call};
use crate::{
    bounded,
    env::Environment,
    exit::{Exit, Failure},
    pool::locate::Places,
};

/// Largest description document that is read.
const DOCUMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A run.
#[derive(Debug)]
pub(super) struct Plan {
    /// Seed of the first round.
    pub(super) seed: u64,
    pub(super) rounds: u32,
    /// What rounds call; at least one.
    pub(super) calls: Vec<Call>,
    /// What is not called although the endpoint has it, in sentences.
    pub(super) skipped: Vec<String>,
    /// The endpoint binary.
    pub(super) program: PathBuf,
    /// Further arguments of its `worker` command.
    pub(super) args: Vec<OsString>,
    pub(super) patience: Duration,
    pub(super) json: bool,
    pub(super) verbose: bool,
    /// Where its workers keep results.
    pub(super) spool: ScratchDir,
    /// The flags that a replay needs besides its seed and its number of rounds.
    flags: Vec<OsString>,
}

/// A directory of this run, made by whoever needs it first and gone with this value.
#[derive(Debug)]
pub(super) struct ScratchDir(PathBuf);

impl ScratchDir {
    pub(super) fn named() -> Self {
        Self(std::env::temp_dir().join(format!("gen-worker-chaos-{}", uuid::Uuid::new_v4().simple())))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        // It is not there unless a worker kept something.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

impl Plan {
    /// Checks what was asked for, and asks the endpoint binary for its functions when no payload was given.
    ///
    /// # Errors
    /// Anything that cannot be run, as usage.
    pub(super) fn make(args: ChaosArgs, env: &Environment) -> Result<Self, Failure> {
        let mut program = args.program.iter().cloned();
        let binary = match program.next() {
            Some(binary) => std::path::absolute(&binary)
                .map_err(|error| Failure::usage(format!("endpoint {}: {error}", Path::new(&binary).display())))?,
            None => Places::of(env).endpoint(&args.endpoint)?,
        };
        let (calls, skipped) = match (&args.payloads, &args.function, &args.payload) {
            (Some(path), ..) => (Call::file(path)?, Vec::new()),
            (None, Some(function), Some(payload)) => (vec![Call::given(function, payload)?], Vec::new()),
            (None, function, _) => Call::described(&describe(&binary)?, function.as_deref())?,
        };
        let random = || u64::from(uuid::Uuid::new_v4().as_fields().0);
        Ok(Self {
            seed: args.seed.unwrap_or_else(random),
            rounds: args.rounds,
            calls,
            skipped,
            args: program.collect(),
            patience: args.patience,
            json: args.json,
            verbose: args.verbose,
            spool: ScratchDir::named(),
            flags: replay_flags(&args),
            program: binary,
        })
    }

    /// The command that runs the round with this seed alone.
    pub(super) fn replay(&self, seed: u64) -> String {
        let mut words = vec!["gen-worker".into(), "chaos".into(), "--seed".into(), seed.to_string().into()];
        words.extend(["--rounds".into(), "1".into()]);
        words.extend(self.flags.iter().cloned());
        words.extend(["--".into(), self.program.clone().into_os_string()]);
        words.extend(self.args.iter().cloned());
        words.iter().map(|word: &OsString| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
    }
}

fn replay_flags(args: &ChaosArgs) -> Vec<OsString> {
    let mut flags = Vec::new();
    let mut flag = |name: &str, value: Option<OsString>| {
        if let Some(value) = value {
            flags.extend([OsString::from(name), value]);
        }
    };
    flag("--function", args.function.clone().map(Into::into));
    flag("--payload", args.payload.clone().map(Into::into));
    flag("--payloads", args.payloads.clone().map(Into::into));
    flags
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The description document of an endpoint binary.
fn describe(program: &Path) -> Result<Value, Failure> {
    let shown = program.display();
    let failed = |why: String| Failure::new(Exit::Usage, format!("{shown} describe --json: {why}"));
    let cannot = |error: io::Error| failed(error.to_string());
    let mut child = Command::new(program)
        .args(["describe", "--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(cannot)?;
    let output = child.stdout.take().map_or(Ok(Vec::new()), |stdout| bounded::read(stdout, DOCUMENT_BYTES_MAX));
    let output = output.inspect_err(|_| drop(child.kill()));
    let status = child.wait().map_err(cannot)?;
    let output = output.map_err(cannot)?;
    if !status.success() {
        return Err(failed(format!("it ended with {status}")));
    }
    serde_json::from_slice(&output).map_err(|error| failed(format!("not a description document: {error}")))
}
