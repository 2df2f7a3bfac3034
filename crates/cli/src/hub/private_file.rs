//! Files with secrets: only their owner may read them, and they are made once.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::unix::fs::MetadataExt as _,
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

/// Of several processes that make one at the same time, all get that of the first.
fn make(path: &Path) -> Result<[u8; SECRET_BYTES], PrivateFileError> {
    let mut secret = [0; SECRET_BYTES];
    SystemRandom::new().fill(&mut secret).map_err(|_| PrivateFileError::Random)?;
    let directory = directory_of(path);
    // Only its owner may read it from the start, and no other process has its name.
    let mut file = tempfile::Builder::new().prefix(".secret-").tempfile_in(directory)?;
    writeln!(file, "{}", encoded(&secret))?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => {}
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            secret = decoded(&read(path)?).ok_or(PrivateFileError::Damaged)?;
        }
        Err(error) => return Err(error.error.into()),
    }
    // Also for who only read it: the other process may have come no further than the name.
    File::open(directory)?.sync_all()?;
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
        let made = secret(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(secret(&path).unwrap(), made);
        assert_ne!(secret(&directory.path().join("other")).unwrap(), made);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2, "nothing temporary is left");
    }

    #[test]
    fn who_makes_a_secret_at_the_same_time_gets_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        let start = std::sync::Barrier::new(16);
        let made: Vec<_> = std::thread::scope(|scope| {
            let one = || {
                start.wait();
                secret(&path).unwrap()
            };
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(one)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(made.iter().all(|one| *one == secret(&path).unwrap()), "all have what the file holds");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing temporary is left");
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
