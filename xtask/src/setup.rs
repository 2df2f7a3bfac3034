//! `cargo xtask setup`: installs what this machine lacks, and says each thing it installs.
//!
//! A part knows how to tell that it is there (fast, without network) and how to install itself. Installing is idempotent and leaves
//! either a complete part or none: a part counts as there only once its mark is written, and the mark is written last.

mod fetched;
mod mark;
mod python;
mod system;
mod tools;

pub(crate) use python::ensure as ensure_python;

use anyhow::{Result, bail};

use crate::paths::Paths;
use crate::process::say;

/// What a command needs on this machine. Each contains the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// Build, and run the demo on the real model.
    Demo,
    /// Also run every test, against the real peers.
    Test,
    /// Also what only CI checks with.
    Ci,
}

type Missing = dyn Fn(&Paths) -> Option<String>;
type Install = dyn Fn(&Paths) -> Result<()>;

/// One thing that can be missing.
struct Part {
    /// What it is, for people.
    name: String,
    /// From which need on it is wanted.
    need: Need,
    /// Why it counts as missing, or `None` when it is there.
    missing: Box<Missing>,
    /// Installs it.
    install: Box<Install>,
}

/// Installs every missing part of `need`. Fast and silent about what is there.
pub(crate) fn run(paths: &Paths, need: Need) -> Result<()> {
    for part in parts(need) {
        let Some(reason) = (part.missing)(paths) else { continue };
        say(&format!("setup: installing {} ({reason})", part.name));
        if let Err(error) = (part.install)(paths) {
            return Err(error.context(format!("install {}", part.name)));
        }
        if let Some(reason) = (part.missing)(paths) {
            bail!("{} is still missing after its installation: {reason}", part.name);
        }
    }
    Ok(())
}

/// Reports every missing part of `need` and installs nothing. Fails when one is missing.
pub(crate) fn check(paths: &Paths, need: Need) -> Result<()> {
    let mut missing = 0;
    for part in parts(need) {
        match (part.missing)(paths) {
            None => say(&format!("setup: {}: there", part.name)),
            Some(reason) => {
                missing += 1;
                say(&format!("setup: {}: missing ({reason})", part.name));
            }
        }
    }
    if missing > 0 {
        bail!("{missing} missing; `cargo xtask setup` installs them");
    }
    Ok(())
}

/// The parts in the order in which they need each other.
fn parts(need: Need) -> Vec<Part> {
    let mut parts = vec![system::packages(), python::environment(), fetched::model()];
    parts.extend(python::peers());
    parts.extend([python::s3_server(), system::servers()]);
    parts.extend(tools::all());
    parts.retain(|part| part.need <= need);
    parts
}
