use bytes::Bytes;
use gen_worker_hub::api::PartRange;

use super::*;
use crate::upload::content::{Measured, UploadContent};

fn lengths(size_bytes: u64, part_bytes: u64) -> Vec<(u32, u64, u64)> {
    ranges(size_bytes, part_bytes).map(|part| (part.number, part.offset, part.length)).collect()
}

#[test]
fn h4_25_parts_cover_a_file_without_gap_or_rest() {
    assert_eq!(lengths(10, 10), [(1, 0, 10)]);
    assert_eq!(lengths(21, 10), [(1, 0, 10), (2, 10, 10), (3, 20, 1)]);
    assert_eq!(lengths(0, 10), []);
    assert_eq!(lengths(u64::MAX, u64::MAX), [(1, 0, u64::MAX)]);
}

#[test]
fn a_part_is_the_same_from_memory_and_from_a_file() {
    let bytes: Vec<u8> = (0..3 * PIECE_BYTES + 5).map(|at| (at % 251) as u8).collect();
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a");
    std::fs::write(&path, &bytes).expect("a file");
    let range = PartRange { number: 2, offset: 7, length: 2 * PIECE_BYTES + 9 };
    for content in [UploadContent::File(path), UploadContent::Bytes(bytes.clone().into())] {
        let measured = Measured::of(content, u64::MAX).expect("content");
        let part = read(&measured.source, range).expect("a part");
        assert_eq!(part.iter().map(Bytes::len).max(), Some(PIECE_BYTES as usize), "it is sent piece by piece");
        assert_eq!(Bytes::from(part), bytes[7..][..2 * PIECE_BYTES as usize + 9]);
    }
}
