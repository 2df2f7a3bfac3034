//! Python environments: one whose pip fetches things, and one for each version of the real peer.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{Need, Part, mark};
use crate::environment;
use crate::paths::Paths;
use crate::process;

/// The peers need Python 3.11; newest first, then what the system calls python3.
const INTERPRETERS: [&str; 4] = ["python3", "python3.13", "python3.12", "python3.11"];

/// The versions of the Python package `gen-worker` that we prove ourselves against, each with all it needs, pinned.
const PEERS: [(&str, &str); 2] = [
    ("0.11.2", include_str!("../../requirements/gen-worker-0.11.2.txt")),
    ("0.13.34", include_str!("../../requirements/gen-worker-0.13.34.txt")),
];

/// An S3 server that others wrote, with all it needs, pinned.
const S3_SERVER: &str = include_str!("../../requirements/moto.txt");

/// A Python that is new enough and can make environments with pip, which Debian splits off.
pub(super) fn interpreter() -> Option<PathBuf> {
    let able = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))";
    INTERPRETERS
        .iter()
        .filter_map(|name| environment::find_program(name))
        .find(|python| process::succeeds(Command::new(python).args(["-I", "-c", able])))
}

/// The environment whose pip fetches things.
pub(super) fn environment() -> Part {
    Part {
        name: "Python environment .venv".to_owned(),
        need: Need::Demo,
        missing: Box::new(|paths| mark::missing(&paths.python_env(), "")),
        install: Box::new(|paths| make(paths, &paths.python_env(), "")),
    }
}

/// For each version of the real peer, the environment that holds it.
pub(super) fn peers() -> impl Iterator<Item = Part> {
    PEERS.into_iter().map(|(version, requirements)| Part {
        name: format!("the Python peer gen-worker {version}"),
        need: Need::Test,
        missing: Box::new(move |paths| mark::missing(&paths.peer(version), requirements)),
        install: Box::new(move |paths| make(paths, &paths.peer(version), requirements)),
    })
}

/// The environment that holds an S3 server.
pub(super) fn s3_server() -> Part {
    Part {
        name: "the S3 server moto".to_owned(),
        need: Need::Test,
        missing: Box::new(|paths| mark::missing(&paths.s3_server(), S3_SERVER)),
        install: Box::new(|paths| make(paths, &paths.s3_server(), S3_SERVER)),
    }
}

/// Makes sure that `dir` is an environment with exactly `requirements` in it. One that has them but was made by hand is kept.
pub(crate) fn ensure(paths: &Paths, dir: &Path, requirements: &str) -> Result<()> {
    let Some(reason) = mark::missing(dir, requirements) else { return Ok(()) };
    if holds(dir, requirements) {
        return mark::write(dir, requirements);
    }
    process::say(&format!("setup: installing {} ({reason})", dir.display()));
    make(paths, dir, requirements)
}

/// Are all packages of `requirements` in `dir`, in these versions?
fn holds(dir: &Path, requirements: &str) -> bool {
    let wanted = requirements.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let check = "import sys, importlib.metadata as m; \
                 sys.exit(any(m.version(w.split('==')[0]) != w.split('==')[1] for w in sys.argv[1:]))";
    process::succeeds(Command::new(dir.join("bin/python")).args(["-I", "-c", check]).args(wanted))
}

/// Makes the environment `dir` anew, with exactly `requirements` in it.
fn make(paths: &Paths, dir: &Path, requirements: &str) -> Result<()> {
    mark::clear(dir)?;
    let python = interpreter().context("no Python 3.11 or newer with venv was found")?;
    process::run(paths.command(python).args(["-m", "venv"]).arg(dir))?;
    if !requirements.is_empty() {
        let list = dir.join("requirements.txt");
        std::fs::write(&list, requirements).with_context(|| format!("write {}", list.display()))?;
        let mut pip = paths.command(dir.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(list);
        process::run(&mut pip)?;
    }
    mark::write(dir, requirements)
}
