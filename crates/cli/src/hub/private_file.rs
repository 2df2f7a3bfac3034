//! Files with secrets: only their owner may read them, and they are made once.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom as _, SystemRandom};

/// Most bytes read of a file with secrets: some hundred tokens.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Random bytes of a secret.
const SECRET_BYTES: usize = 32;

/// Why a secret cannot be had. Nothing of it is in the text.
#[derive(Debug, thiserror::Error)]
pub(super) enum PrivateFileError {
    /// The file cannot be read or made.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Others than its owner may use it.
    #[error("others may read it: chmod 600")]
    Open,
    /// Larger than any such file.
    #[error("it is larger than {FILE_BYTES_MAX} bytes")]
    TooLarge,
    /// Something else is in it.
    #[error(
        "it holds no secret of {SECRET_BYTES} bytes; without it a new one is made, and tokens and signed addresses end"
    )]
    Damaged,
    /// The system gives no random bytes.
    #[error("the system has no random bytes")]
    Random,
}

/// The text of a file that only its owner may read.
pub(super) fn read(path: &Path) -> Result<String, PrivateFileError> {
    let file = File::open(path)?;
    if file.metadata()?.mode() & 0o077 != 0 {
        return Err(PrivateFileError::Open);
    }
    let mut text = String::new();
    if file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)? as u64 > FILE_BYTES_MAX {
        return Err(PrivateFileError::TooLarge);
    }
    Ok(text)
}

/// The secret in `path`; one by chance is written there when there is no such file, and outlives a loss of power.
pub(super) fn secret(path: &Path) -> Result<[u8; SECRET_BYTES], PrivateFileError> {
    match read(path) {
        Ok(text) => decoded(&text).ok_or(PrivateFileError::Damaged),
        Err(PrivateFileError::Io(error)) if error.kind() == io::ErrorKind::NotFound => make(path),
        Err(error) => Err(error),
    }
}

/// A secret as text that fits into a header.
pub(super) fn encoded(secret: &[u8; SECRET_BYTES]) -> String {
    URL_SAFE_NO_PAD.encode(secret)
}

fn decoded(text: &str) -> Option<[u8; SECRET_BYTES]> {
    URL_SAFE_NO_PAD.decode(text.trim()).ok()?.try_into().ok()
}

fn make(path: &Path) -> Result<[u8; SECRET_BYTES], PrivateFileError> {
    let mut secret = [0; SECRET_BYTES];
    SystemRandom::new().fill(&mut secret).map_err(|_| PrivateFileError::Random)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = path.with_file_name(name);
    // What an earlier process left when it was killed was never used.
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    writeln!(file, "{}", encoded(&secret))?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    File::open(directory_of(path))?.sync_all()?;
    Ok(secret)
}

/// Where a file is: a bare name is in the working directory.
fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_is_made_once_and_only_its_owner_may_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        std::fs::write(directory.path().join("secret.new"), "left behind").unwrap();
        let made = secret(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(secret(&path).unwrap(), made);
        assert_ne!(secret(&directory.path().join("other")).unwrap(), made);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2, "nothing temporary is left");
    }

    #[test]
    fn a_bare_name_is_in_the_working_directory() {
        assert_eq!(directory_of(Path::new("hub.secret")), Path::new("."));
        assert_eq!(directory_of(Path::new("keys/hub.secret")), Path::new("keys"));
    }

    #[test]
    fn what_is_no_secret_of_ours_is_refused_and_not_shown() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        std::fs::write(&path, "hunter2").unwrap();
        assert!(matches!(secret(&path), Err(PrivateFileError::Open)));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let error = secret(&path).unwrap_err();
        assert!(matches!(error, PrivateFileError::Damaged) && !error.to_string().contains("hunter2"), "{error}");
        let file = File::create(&path).unwrap();
        file.set_len(FILE_BYTES_MAX + 1).unwrap();
        assert!(matches!(secret(&path), Err(PrivateFileError::TooLarge)));
    }
}
