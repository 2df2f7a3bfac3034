//! The directory of a hub: what is in it, and that one process has it.
//!
//! ```text
//! lock             held while the hub runs, by one process at a time
//! secret           from which the keys of tokens and addresses are made
//! operator-token   may do everything; made unless tokens are given
//! hub.sqlite       metadata
//! objects/         bytes
//! ```

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use gen_worker_hub::BearerToken;
use gen_worker_hubd::OperatorToken;

use super::private_file::{self, PrivateFileError};
use crate::exit::Failure;

const LOCK: &str = "lock";
const SECRET: &str = "secret";
const TOKEN: &str = "operator-token";
const METADATA: &str = "hub.sqlite";
const OBJECTS: &str = "objects";

/// Shortest token in a file of tokens: what can be guessed is none.
const TOKEN_BYTES_MIN: usize = 16;

/// A directory that this process has to itself.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Takes the directory, and makes it when it is not there.
    ///
    /// # Errors
    /// When another process has it (exit 1), or it cannot be used (exit 2).
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::usage(format!("hub directory {}: {error}", path.display()));
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        DirBuilder::new().recursive(true).mode(0o700).create(path.join(OBJECTS)).map_err(failed)?;
        let mut options = OpenOptions::new();
        let lock = options.write(true).create(true).truncate(false).open(path.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                Err(Failure::failed(format!("hub directory {} is in use by another process", path.display())))
            }
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Where the metadata are.
    pub(super) fn metadata(&self) -> PathBuf {
        self.path.join(METADATA)
    }

    /// Where the bytes are.
    pub(super) fn objects(&self) -> PathBuf {
        self.path.join(OBJECTS)
    }

    /// The secret of the hub, in the directory or in another file; made at its first start.
    pub(super) fn secret(&self, elsewhere: Option<&Path>) -> Result<[u8; 32], Failure> {
        let path = secret_path(&self.path, elsewhere);
        private_file::secret(&path).map_err(|error| unusable("secret of the hub", &path, &error))
    }

    /// Where the hub's own token is.
    pub(crate) fn token_file(&self) -> PathBuf {
        self.path.join(TOKEN)
    }

    /// The tokens in `files`, or the hub's own, which is made at its first start.
    pub(super) fn tokens(&self, files: &[PathBuf]) -> Result<Vec<OperatorToken>, Failure> {
        if files.is_empty() {
            let path = self.token_file();
            let secret = private_file::secret(&path).map_err(|error| unusable("token of the hub", &path, &error))?;
            let token = private_file::encoded(&secret).parse();
            let token = token.map_err(|error| Failure::failed(format!("token of the hub: {error}")))?;
            return Ok(vec![OperatorToken(token)]);
        }
        let mut tokens = Vec::new();
        for file in files {
            tokens.extend(read_tokens(file)?.into_iter().map(OperatorToken));
        }
        Ok(tokens)
    }
}

/// The secret of the hub in `path`, or in another file. The hub may run; it has to have been started once.
///
/// # Errors
/// When it is not there or cannot be read (exit 2).
pub(super) fn known_secret(path: &Path, elsewhere: Option<&Path>) -> Result<[u8; 32], Failure> {
    let secret = secret_path(path, elsewhere);
    if !secret.is_file() {
        return Err(Failure::usage(match elsewhere {
            Some(_) => {
                format!("secret of the hub {}: no such file; the first start of a hub makes it", secret.display())
            }
            None => format!("{}: no hub keeps its secret there; --secret-file names another place", path.display()),
        }));
    }
    private_file::secret(&secret).map_err(|error| unusable("secret of the hub", &secret, &error))
}

fn secret_path(directory: &Path, elsewhere: Option<&Path>) -> PathBuf {
    elsewhere.map_or_else(|| directory.join(SECRET), Path::to_owned)
}

/// The tokens in a file, one a line.
///
/// # Errors
/// A file that others may read, a line that is no token, or none at all (exit 2). No text of the file is in the error.
pub(super) fn read_tokens(path: &Path) -> Result<Vec<BearerToken>, Failure> {
    let text = private_file::read(path).map_err(|error| unusable("token file", path, &error))?;
    let lines = text.lines().zip(1..).map(|(line, number)| (line.trim(), number));
    let token = |(line, number): (&str, usize)| {
        let shown = path.display();
        if line.len() < TOKEN_BYTES_MIN {
            return Err(Failure::usage(format!(
                "token file {shown}, line {number}: a token has at least {TOKEN_BYTES_MIN} characters"
            )));
        }
        line.parse().map_err(|error| Failure::usage(format!("token file {shown}, line {number}: {error}")))
    };
    let tokens: Vec<BearerToken> = lines.filter(|(line, _)| !line.is_empty()).map(token).collect::<Result<_, _>>()?;
    if tokens.is_empty() {
        return Err(Failure::usage(format!("token file {} has no token", path.display())));
    }
    Ok(tokens)
}

fn unusable(what: &str, path: &Path, error: &PrivateFileError) -> Failure {
    Failure::usage(format!("{what} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
