use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::exit::Exit;

#[test]
fn one_process_has_a_directory() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("deep/hub");
    let directory = Directory::open(&path).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let second = Directory::open(&path).unwrap_err();
    assert_eq!(second.exit(), Exit::Failed);
    assert!(second.message().contains("in use"), "{second:?}");
    drop(directory);
    Directory::open(&path).unwrap();
}

#[test]
fn a_path_that_is_no_directory_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let failure = Directory::open(file.path()).unwrap_err();
    assert_eq!(failure.exit(), Exit::Usage);
    assert!(failure.message().contains(&file.path().display().to_string()), "{failure:?}");
}

#[test]
fn secret_and_token_stay_the_same() {
    let parent = tempfile::tempdir().unwrap();
    let read = || {
        let directory = Directory::open(parent.path()).unwrap();
        let tokens = directory.tokens(&[]).unwrap();
        (directory.secret(None).unwrap(), tokens.iter().map(|token| token.0.reveal().to_owned()).collect::<Vec<_>>())
    };
    let first = read();
    assert_eq!(read(), first);
    assert_eq!(first.1, [std::fs::read_to_string(parent.path().join(TOKEN)).unwrap().trim()]);
}

#[test]
fn given_tokens_replace_the_own_one() {
    let parent = tempfile::tempdir().unwrap();
    let directory = Directory::open(&parent.path().join("hub")).unwrap();
    let file = parent.path().join("tokens");
    let write = |text: &str| {
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        directory.tokens(std::slice::from_ref(&file))
    };
    assert_eq!(write("0123456789abcdef\n\n fedcba9876543210 \n").unwrap().len(), 2);
    assert!(!directory.token_file().exists());
    for (text, part) in [("", "no token"), ("short\n", "line 1"), ("0123456789abcdef\n0123456789abc ef\n", "line 2")] {
        let failure = write(text).unwrap_err();
        assert!(failure.message().contains(part), "{failure:?}");
        assert!(!failure.message().contains("0123456789"), "{failure:?}");
    }
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let failure = directory.tokens(&[file]).unwrap_err();
    assert!(failure.message().contains("chmod 600"), "{failure:?}");
}
