use std::fs;

use super::*;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// Whether the kernel may use huge pages for the memory at `at`; none when this kernel does not tell.
fn is_welcome(at: usize) -> Option<bool> {
    let map = fs::read_to_string("/proc/self/smaps").ok()?;
    let mut inside = false;
    for line in map.lines() {
        if let Some((from, to)) = line.split_once(' ').and_then(|(range, _)| range.split_once('-'))
            && let (Ok(from), Ok(to)) = (usize::from_str_radix(from, 16), usize::from_str_radix(to, 16))
        {
            inside = (from..to).contains(&at);
        } else if inside && let Some(flags) = line.strip_prefix("VmFlags:") {
            return Some(flags.split_whitespace().any(|flag| flag == "hg"));
        }
    }
    None
}

#[test]
fn large_buffers_may_have_huge_pages_and_small_ones_may_not() {
    let small = vec![1u8; 1000];
    let zeroed = vec![0u8; 3 * LARGE_BYTES];
    let mut grown = Vec::<u8>::with_capacity(LARGE_BYTES / 2);
    grown.resize(2 * LARGE_BYTES, 3);
    if let Some(is_welcome) = is_welcome(small.as_ptr().addr()) {
        assert!(!is_welcome);
    }
    // Kernels without huge pages refuse the advice.
    let possible = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").is_ok();
    for large in [&zeroed, &grown] {
        if let Some(is_welcome) = is_welcome(large.as_ptr().addr() + LARGE_BYTES / 2) {
            assert_eq!(is_welcome, possible);
        }
    }
    assert!(
        zeroed.iter().all(|byte| *byte == 0)
            && grown.iter().all(|byte| *byte == 3)
            && small.iter().all(|byte| *byte == 1)
    );
}
