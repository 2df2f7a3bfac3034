use std::io::Cursor;

use super::*;

fn piece(content: &[u8]) -> Piece {
    Piece { blake3: Blake3Hash::of(content), size_bytes: Some(content.len() as u64) }
}

/// Gives some bytes, then an error of the system.
struct Failing(Cursor<Vec<u8>>, Errno);

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::Error::from_raw_os_error(self.1.raw_os_error())),
            read => Ok(read),
        }
    }
}

#[test]
fn m6_1_pieces_follow_each_other_and_nothing_follows_them() {
    let right = |content: &[u8], pieces: &[Piece]| has_hashes(content, content.len() as u64, pieces).unwrap();
    assert!(right(b"onetwo", &[piece(b"one"), piece(b"two")]));
    assert!(right(b"one", &[Piece { size_bytes: None, ..piece(b"one") }]));
    for wrong in [&b"onetwo!"[..], b"onetw", b"twoone", b""] {
        assert!(!right(wrong, &[piece(b"one"), piece(b"two")]));
    }
}

#[test]
fn m6_25_what_the_disk_cannot_read_is_damage_and_other_errors_are_errors() {
    let read = |errno| has_hashes(Failing(Cursor::new(b"on".to_vec()), errno), 3, &[piece(b"one")]).unwrap_err();
    assert!(is_damage(&read(Errno::IO)) && is_damage(&read(Errno::BADMSG)));
    assert!(!is_damage(&read(Errno::ACCESS)) && !is_damage(&read(Errno::MFILE)));
    assert!(!is_damage(&io::ErrorKind::UnexpectedEof.into()));
}

#[test]
fn m6_1_what_is_no_file_is_wrong_and_what_is_absent_is_nothing() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(check(dir.path(), &[piece(b"one")]).unwrap(), Found::Wrong);
    assert_eq!(check(&dir.path().join("absent"), &[piece(b"one")]).unwrap(), Found::Nothing);
}
