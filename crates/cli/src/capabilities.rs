//! Which capability tokens this machine has (endpoint rule E-33): of those that functions ask for, since there is no end
//! to what a machine could have. Owns no state.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use gen_worker_core::Registry;

use crate::env::{Environment, names};

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

/// The tokens that functions of `registry` ask for and that are there, sorted: `cuda` with an accelerator, else a
/// program of that name on `PATH`, or a shared object `lib<token>.so`.
pub(crate) fn present(registry: &Registry, has_gpu: bool, env: &Environment) -> Vec<String> {
    let asked = registry.functions().iter().flat_map(|function| function.resources().libraries());
    let asked: BTreeSet<&String> = asked.collect();
    let split = |variable| -> Vec<PathBuf> {
        env.raw(variable).map(|path| std::env::split_paths(path).collect()).unwrap_or_default()
    };
    let programs = split(&names::PATH);
    let mut libraries = split(&names::LD_LIBRARY_PATH);
    libraries.extend(LIBRARY_DIRECTORIES.map(PathBuf::from));
    let there = |token: &&String| match token.as_str() {
        "cuda" => has_gpu,
        token => has_program(&programs, token) || has_library(&libraries, token),
    };
    asked.into_iter().filter(there).cloned().collect()
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
    let name = format!("lib{token}.so");
    if directory.join(&name).exists() {
        return true;
    }
    let versioned = format!("{name}.");
    let entries = directory.read_dir().into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.file_name().to_str().is_some_and(|entry| entry.starts_with(&versioned)))
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
