//! Models that already lie on this machine, by flag and environment.

use std::fs;

use crate::{
    args::ModelDir,
    env::{Environment, names},
    exit::Failure,
};

/// The directories of `flags`, over those of the environment: each checked and absolute, so that it may be handed to another process.
///
/// # Errors
/// A malformed entry (exit 2), or a directory that is not there (exit 3).
pub(crate) fn resolve(flags: &[ModelDir], env: &Environment) -> Result<Vec<ModelDir>, Failure> {
    let mut entries = of_environment(env)?;
    entries.extend_from_slice(flags);
    for entry in &mut entries {
        let absolute = fs::read_dir(&entry.dir).and_then(|_| std::path::absolute(&entry.dir));
        entry.dir = absolute.map_err(|error| {
            Failure::model(format!("directory {} of model {}: {error}", entry.dir.display(), entry.model))
        })?;
    }
    Ok(entries)
}

fn of_environment(env: &Environment) -> Result<Vec<ModelDir>, Failure> {
    let Some(list) = env.text(&names::GEN_WORKER_MODELS)? else { return Ok(Vec::new()) };
    let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries
        .map(|entry| {
            let expected = |why| Failure::usage(format!("{}: {why}, got {entry:?}", names::GEN_WORKER_MODELS.name));
            entry.parse().map_err(expected)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_directory_is_exit_3_and_malformed_list_exit_2() {
        let dir = tempfile::tempdir().unwrap();
        let list = format!("a/b={}, c/d={}", dir.path().display(), dir.path().display());
        let env = Environment::of_pairs(&[("GEN_WORKER_MODELS", &list)]);
        assert_eq!(resolve(&[], &env).unwrap().len(), 2);
        let gone = ModelDir { model: "a/b".to_owned(), dir: dir.path().join("gone") };
        let failure = resolve(std::slice::from_ref(&gone), &env).unwrap_err();
        assert_eq!(failure.exit().code(), 3);
        assert!(failure.message().starts_with("model resolution failed") && failure.message().contains("a/b"));
        let env = Environment::of_pairs(&[("GEN_WORKER_MODELS", "nonsense")]);
        assert_eq!(resolve(&[], &env).unwrap_err().exit().code(), 2);
    }
}
