//! Which capability tokens this machine has (endpoint rule E-33): of those that functions ask for, since there is no end
//! to what a machine could have. Owns no state.

mod report;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use gen_worker_core::{
    Registry,
    gpu::{CudaDriver, GpuProbe as _},
};

use crate::env::{Environment, Variable, names};

/// Where the system's shared objects lie, besides `LD_LIBRARY_PATH`.
const LIBRARY_DIRECTORIES: [&str; 7] = [
    "/usr/local/lib",
    "/usr/lib",
    "/usr/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/local/cuda/lib64",
    "/lib",
];

pub(crate) use report::CapabilityReport;

/// What the accelerators of this machine are and what speeds them up (model contract, 10.11).
pub(crate) fn report(driver: &CudaDriver, env: &Environment) -> CapabilityReport {
    CapabilityReport::of(&driver.gpus(), driver.cuda_version(), &library_directories(env))
}

/// The tokens that this machine has and functions of `registry` ask for, and the libraries of the report, sorted: `cuda` with
/// an accelerator, else a program of that name on `PATH`, or a shared object `lib<token>.so`.
pub(crate) fn present(registry: &Registry, report: &CapabilityReport, env: &Environment) -> Vec<String> {
    let asked = registry.functions().iter().flat_map(|function| function.resources().libraries());
    let asked: BTreeSet<&String> = asked.collect();
    let (programs, libraries) = (directories(&names::PATH, env), library_directories(env));
    let there = |token: &&String| match token.as_str() {
        "cuda" => report.gpu_sm > 0,
        token => has_program(&programs, token) || has_library(&libraries, token),
    };
    let mut tokens: BTreeSet<String> = asked.into_iter().filter(there).cloned().collect();
    tokens.extend(report.installed_libs.iter().cloned());
    tokens.into_iter().collect()
}

fn directories(variable: &Variable, env: &Environment) -> Vec<PathBuf> {
    env.raw(variable).map(|path| std::env::split_paths(path).collect()).unwrap_or_default()
}

fn library_directories(env: &Environment) -> Vec<PathBuf> {
    let mut libraries = directories(&names::LD_LIBRARY_PATH, env);
    libraries.extend(LIBRARY_DIRECTORIES.map(PathBuf::from));
    libraries
}

/// A token is a name, never a path.
fn is_name(token: &str) -> bool {
    !token.is_empty() && !token.contains('/') && !token.starts_with('.')
}

fn has_program(directories: &[PathBuf], token: &str) -> bool {
    is_name(token) && directories.iter().any(|directory| directory.join(token).is_file())
}

fn has_library(directories: &[PathBuf], token: &str) -> bool {
    is_name(token) && directories.iter().any(|directory| has_shared_object(directory, token))
}

/// `lib<token>.so`, with or without a version behind it.
fn has_shared_object(directory: &Path, token: &str) -> bool {
    directory.join(format!("lib{token}.so")).exists() || versions(directory, token).next().is_some()
}

/// The longest version that a shared object of this name is marked with.
fn version_of(directories: &[PathBuf], token: &str) -> Option<String> {
    directories.iter().flat_map(|directory| versions(directory, token)).max_by_key(String::len)
}

/// What stands behind `lib<token>.so.` in this directory.
fn versions(directory: &Path, token: &str) -> impl Iterator<Item = String> {
    let versioned = format!("lib{token}.so.");
    let entries = directory.read_dir().into_iter().flatten().flatten();
    entries.filter_map(move |entry| entry.file_name().to_str()?.strip_prefix(&versioned).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e33_tokens_are_programs_and_shared_objects() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["ffmpeg", "libfoo.so", "libbar.so.3", "libbaz.a"] {
            std::fs::write(dir.path().join(file), b"").unwrap();
        }
        let dirs = [dir.path().to_owned()];
        assert!(has_program(&dirs, "ffmpeg") && !has_program(&dirs, "sox"));
        assert!(has_library(&dirs, "foo") && has_library(&dirs, "bar") && !has_library(&dirs, "baz"));
        assert!(!has_program(&dirs, "../ffmpeg") && !has_program(&dirs, ""), "a name, never a path");
    }
}
