use super::*;

fn hashed(content: &[u8], subtrees: &Subtrees) -> Option<Blake3Hash> {
    let mut hashes = Vec::new();
    for (at, part) in subtrees.parts().iter().enumerate() {
        let mut hasher = subtrees.hasher(at).unwrap();
        let bytes = &content[usize::try_from(part.start).unwrap()..usize::try_from(part.end).unwrap()];
        bytes.chunks(777).for_each(|piece| hasher.update(piece));
        hashes.push(hasher.finish()?);
    }
    subtrees.join(&hashes)
}

#[test]
fn h12_1_a_hash_of_parts_is_the_hash_of_the_whole() {
    let content: Vec<u8> =
        (0u32..70_000).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).take(70_001).collect();
    for len in [0, 1, 1023, 1024, 1025, 2048, 2049, 3072, 4096, 5000, 65_536, 65_537, 70_001] {
        for part_bytes in [0, 1024, 1500, 4096, 1 << 20] {
            let subtrees = Subtrees::of(len as u64, part_bytes);
            assert_eq!(
                hashed(&content[..len], &subtrees),
                Some(Blake3Hash::of(&content[..len])),
                "{len} in {part_bytes}"
            );
            assert!(subtrees.parts().iter().all(|part| part.end - part.start <= part_bytes.max(1024)));
        }
    }
}

#[test]
fn h12_1_too_few_or_too_many_bytes_or_parts_have_no_hash() {
    let subtrees = Subtrees::of(3000, 1024);
    for bytes in [&[0; 1023][..], &[0; 1025], &[]] {
        let mut hasher = subtrees.hasher(1).unwrap();
        hasher.update(bytes);
        assert!(hasher.finish().is_none());
    }
    assert!(subtrees.join(&[]).is_none() && subtrees.hasher(3).is_none());
}
