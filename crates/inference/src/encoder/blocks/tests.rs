use super::*;

#[test]
fn blocks_cover_all_rows_evenly() {
    for threads in [1, 2, 3, 16] {
        for rows in [1, 5, 6, 7, 16, 47, 48, 49, 96, 97, 512, 1376, 4096] {
            let ranges = cut(rows, threads);
            assert_eq!(ranges.iter().flat_map(Clone::clone).collect::<Vec<_>>(), (0..rows).collect::<Vec<_>>());
            let sizes: Vec<usize> = ranges.iter().map(ExactSizeIterator::len).collect();
            let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
            assert!(most - least <= 1 && *most <= ROWS_MAX, "{rows} rows on {threads} threads: {sizes:?}");
        }
    }
    assert_eq!(cut(0, 2).len(), 1);
}

#[test]
fn overlaps_are_the_parts_of_blocks() {
    let ranges = [0..4, 4..8, 8..11];
    assert_eq!(overlaps(&ranges, 3..9).collect::<Vec<_>>(), [(0..4, 3..4), (4..8, 4..8), (8..11, 8..9)]);
    assert_eq!(overlaps(&ranges, 4..8).collect::<Vec<_>>(), vec![(4..8, 4..8)]);
    assert_eq!(overlaps(&ranges, 8..8).count(), 0);
}
