use gen_worker_hub::Blake3Hash;
use serde_json::json;

use super::*;

fn piece(content: &str) -> Piece {
    Piece { blake3: Blake3Hash::of(content.as_bytes()), size_bytes: Some(content.len() as u64) }
}

fn tree(paths: &[&str]) -> Vec<TreeFile> {
    joined(paths.iter().map(|path| (path.parse().unwrap(), piece(path))).collect())
}

#[test]
fn m6_17_pieces_are_one_file_in_the_order_of_their_numbers() {
    let files = tree(&["w/m.part0010", "w/m.part0002", "w/m.parts.json", "w/n.part1", "x.parts.json", "c.json"]);
    let names: Vec<_> = files.iter().map(|file| (file.path.as_str(), file.pieces.len())).collect();
    assert_eq!(names, [("w/m", 2), ("c.json", 1), ("w/n.part1", 1), ("x.parts.json", 1)]);
    assert_eq!(files[0].pieces, [piece("w/m.part0002"), piece("w/m.part0010")]);
    assert_eq!(files[0].size_bytes(), Some(24));
}

#[test]
fn m6_17_a_description_says_what_is_listed() {
    let files = tree(&["m.part1", "m.part2", "m.parts.json"]);
    let (one, two) = (Digest::from(piece("m.part1").blake3), Digest::from(piece("m.part2").blake3));
    let check = |text: serde_json::Value| check_description(&files[0], text.to_string().as_bytes());
    let parts = json!([{"digest": one}, {"digest": two}]);
    assert_eq!(check(json!({"original_path": "/m", "parts": parts, "size_bytes": 14})), Ok(None));
    assert_eq!(check(json!({"original_path": "m", "parts": parts, "digest": one})), Ok(Some(one)));
    for bad in [
        json!({"parts": parts}),
        json!({"original_path": "m"}),
        json!({"original_path": "m", "parts": [{}]}),
        json!({"original_path": "n", "parts": parts}),
        json!({"original_path": "m", "parts": parts, "size_bytes": 15}),
        json!({"original_path": "m", "parts": [{"digest": two}, {"digest": one}]}),
        json!({"original_path": "m", "parts": [{"digest": one}]}),
        json!([]),
    ] {
        assert!(check(bad.clone()).is_err(), "{bad}");
    }
}
