//! The layers below the environment that are files: `.env`, one file per secret, and YAML. Owns no state: each is
//! read once, at the start of a command.

mod dotenv;
mod secrets;
#[cfg(test)]
mod tests;
mod yaml;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use super::{Effect, Layer, variables};
use crate::bounded;

/// Largest settings file in bytes: hundreds of variables and a handful of tokens take a tenth of it.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Settings by the names of variables.
type Values = BTreeMap<&'static str, OsString>;

/// Where settings files are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigFiles {
    /// What absolute paths are below; `/` except in tests.
    root: PathBuf,
    /// The working directory.
    directory: PathBuf,
}

/// Why the settings files do not count. Neither a value nor a piece of one is in it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// A file, or the directory of secrets, cannot be read.
    #[error("settings file {} cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// A file is not text.
    #[error("settings file {} is not UTF-8", .0.display())]
    NotText(PathBuf),
    /// A line makes no sense.
    #[error("settings file {}, line {line}: {why}", path.display())]
    Line { path: PathBuf, line: usize, why: &'static str },
    /// The directory of secrets holds more than anyone would mount.
    #[error("settings directory {} holds more than {max} files", path.display())]
    TooMany { path: PathBuf, max: usize },
}

/// What is wrong with a line, before it is known of which file.
#[derive(Debug, PartialEq, Eq)]
struct BadLine {
    line: usize,
    why: &'static str,
}

impl ConfigFiles {
    /// Those of this machine and of the working directory.
    pub(crate) fn of_process() -> Self {
        Self { root: PathBuf::from("/"), directory: PathBuf::new() }
    }

    /// Those below other directories.
    #[cfg(test)]
    pub(crate) fn below(root: &Path, directory: &Path) -> Self {
        Self { root: root.to_owned(), directory: directory.to_owned() }
    }

    /// The layers in order of preference. Files that are not there make none.
    pub(super) fn layers(&self) -> Result<Vec<Layer>, ConfigError> {
        let dotenv = read_with(self.directory.join(".env"), dotenv::parse)?;
        let secrets = secrets::read(&self.root.join("run/secrets"))?;
        // The first that is there counts alone, as at the peer.
        let yaml = match read_with(self.root.join("etc/gen-worker/config.yaml"), yaml::parse)? {
            Some(layer) => Some(layer),
            None => read_with(self.directory.join("gen-worker.yaml"), yaml::parse)?,
        };
        Ok([dotenv, secrets, yaml].into_iter().flatten().collect())
    }
}

/// The name under which a key of a file is known: the name of a variable, that in lower case, or the peer's own.
fn known(key: &str) -> Option<&'static str> {
    let fits =
        |name: &&'static str| *name == key || (name.eq_ignore_ascii_case(key) && key == key.to_ascii_lowercase());
    let ours = variables().filter(|variable| variable.effect != Effect::System);
    ours.into_iter().find_map(|variable| {
        let by_field = || variable.fields.contains(&key).then_some(variable.name);
        variable.names().find(fits).or_else(by_field)
    })
}

fn read_with(path: PathBuf, parse: fn(&str) -> Result<Values, BadLine>) -> Result<Option<Layer>, ConfigError> {
    let Some(text) = read_text(&path)? else { return Ok(None) };
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    match parse(text) {
        Ok(values) => Ok(Some(Layer { origin: path.display().to_string(), values })),
        Err(BadLine { line, why }) => Err(ConfigError::Line { path, line, why }),
    }
}

/// The text of a file; none when there is no file of that name. A directory is none: `.env` often is one.
fn read_text(path: &Path) -> Result<Option<String>, ConfigError> {
    let read = match path.metadata() {
        Ok(metadata) if metadata.is_file() => bounded::read_file(path, FILE_BYTES_MAX),
        Ok(_) => return Ok(None),
        Err(error) => Err(error),
    };
    match read {
        Ok(bytes) => String::from_utf8(bytes).map(Some).map_err(|_| ConfigError::NotText(path.to_owned())),
        Err(error) if is_absent(&error) => Ok(None),
        Err(source) => Err(ConfigError::Read { path: path.to_owned(), source }),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
