//! Where the binaries under test and the real weights are.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The workspace this was built from.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// A binary of the same build as the running one: beside it, or beside the directory that test binaries lie in.
///
/// # Errors
/// When it is not built; the text says how to.
pub fn built(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("find the running program")?;
    for dir in own.ancestors().skip(1).take(2) {
        let path = dir.join(name);
        if path.is_file() {
            return Ok(path);
        }
    }
    bail!(
        "binary `{name}` is not built beside {}: run `cargo xtask test`, or `cargo build --bins` first",
        own.display()
    )
}

/// The directory of the all-MiniLM-L6-v2 weights.
///
/// # Errors
/// When it is not installed; the text says how to.
pub fn model_dir() -> Result<PathBuf> {
    let dir = workspace().join("target/models/all-MiniLM-L6-v2");
    if dir.join("model.safetensors").is_file() {
        return Ok(dir);
    }
    bail!("no weights in {}: run `cargo xtask setup`", dir.display())
}
