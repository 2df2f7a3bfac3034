//! Where the project keeps what is not source: the one place that knows.
//!
//! Two roots must not be confused. `target/` of the workspace holds what `setup` installs, under a fixed name, so that tests find
//! it relative to the workspace. Cargo's target directory holds what Cargo builds and moves with `CARGO_TARGET_DIR`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// The model of the tests and the demo.
pub(crate) const MODEL_REF: &str = "sentence-transformers/all-MiniLM-L6-v2";

/// The workspace, and everything found relative to it.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    root: PathBuf,
}

impl Paths {
    /// The workspace this binary was built from.
    pub(crate) fn of_workspace() -> Result<Self> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
        let root = root.canonicalize().with_context(|| format!("find the workspace at {}", root.display()))?;
        Ok(Self { root })
    }

    /// The workspace root.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// `target/` of the workspace, whatever `CARGO_TARGET_DIR` says.
    pub(crate) fn target(&self) -> PathBuf {
        self.root.join("target")
    }

    /// Notes of one command for another, such as the last test summary.
    pub(crate) fn notes(&self) -> PathBuf {
        self.target().join("xtask")
    }

    /// The environment whose pip fetches things; not the peers'.
    pub(crate) fn python_env(&self) -> PathBuf {
        self.root.join(".venv")
    }

    /// The environment that holds one version of the real peer.
    pub(crate) fn peer(&self, version: &str) -> PathBuf {
        self.target().join("peers").join(format!("gen-worker-{version}"))
    }

    /// The environment that holds an S3 server.
    pub(crate) fn s3_server(&self) -> PathBuf {
        self.target().join("peers").join("moto")
    }

    /// The directory with the weights of [`MODEL_REF`].
    pub(crate) fn model(&self) -> PathBuf {
        self.target().join("models/all-MiniLM-L6-v2")
    }

    /// The environment with PyTorch, made by `parity` only.
    pub(crate) fn parity_env(&self) -> PathBuf {
        self.target().join("parity-venv")
    }

    /// The README.
    pub(crate) fn readme(&self) -> PathBuf {
        self.root.join("README.md")
    }

    /// Where Cargo puts the binaries of `profile` (`debug` or `release`).
    pub(crate) fn built(&self, profile: &str) -> Result<PathBuf> {
        let mut command = self.cargo();
        command.args(["metadata", "--format-version=1", "--no-deps"]);
        let metadata: serde_json::Value =
            serde_json::from_str(&process::output(&mut command)?).context("read cargo metadata")?;
        let dir = metadata.get("target_directory").and_then(|value| value.as_str());
        Ok(PathBuf::from(dir.context("cargo metadata names no target_directory")?).join(profile))
    }

    /// Cargo in the workspace root, as if called from a shell.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = self.command("cargo");
        for name in crate::environment::set_by_cargo() {
            // Build scripts watch some of these; inherited from `cargo run` they would rebuild crates for nothing.
            command.env_remove(name);
        }
        command
    }

    /// A program in the workspace root.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        command
    }
}
