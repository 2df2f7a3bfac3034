use std::io::Write as _;

use super::*;

#[test]
fn a_file_in_parts_has_the_hash_of_its_bytes() {
    let mut file = tempfile::tempfile().expect("a file");
    let bytes: Vec<u8> = (0..2 * PART_BYTES + 5).map(|at| (at % 251) as u8).collect();
    file.write_all(&bytes).expect("bytes");
    for len in [0, 1, PART_BYTES, PART_BYTES + 1, bytes.len() as u64] {
        let hash = hash(&file, len).expect("a hash");
        assert_eq!(hash, Some(Blake3Hash::of(&bytes[..len as usize])), "{len} bytes");
    }
    assert_eq!(hash(&file, bytes.len() as u64 + 1).expect("a read"), None, "it is shorter");
}

#[test]
fn what_cannot_be_read_is_an_error() {
    let directory = File::open(std::env::temp_dir()).expect("a directory");
    assert!(hash(&directory, 3 * PART_BYTES).is_err());
}
