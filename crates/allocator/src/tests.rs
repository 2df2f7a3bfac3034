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

/// The number of an option is not part of mimalloc's interface, but its name in the environment is.
#[test]
#[expect(clippy::disallowed_methods, reason = "the environment is what is tested")]
fn a_thread_that_frees_keeps_no_page_unless_the_environment_says_so() {
    unsafe extern "C" {
        fn mi_option_get(option: c_int) -> c_long;
    }
    // SAFETY: reads an option that exists.
    let is = || unsafe { mi_option_get(PAGE_RECLAIM_ON_FREE) };
    if let Ok(expected) = std::env::var("EXPECTED_OPTION") {
        assert_eq!(is().to_string(), expected);
        return;
    }
    let name = "tests::a_thread_that_frees_keeps_no_page_unless_the_environment_says_so";
    for (set, expected) in [(None, "-1"), (Some("1"), "1")] {
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", name]).env_remove("MIMALLOC_PAGE_RECLAIM_ON_FREE").env("EXPECTED_OPTION", expected);
        again.envs(set.map(|set| ("MIMALLOC_PAGE_RECLAIM_ON_FREE", set)));
        let output = again.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
    }
}
