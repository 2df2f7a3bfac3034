//! The allocator of gen-worker's binaries: mimalloc, with huge pages for large buffers only and no pages that a thread keeps.
//!
//! Its arenas ask for no huge pages: a thread that allocates a little would hold two MiB of each of them, and a worker has dozens of
//! threads. Weights and tensors do gain from them: they are touched a hundred times faster, and found with fewer misses.
//!
//! This is for kernels that give huge pages to who asks (`madvise` in `/sys/kernel/mm/transparent_hugepage/enabled`, as most systems
//! have it). Where it says `always` small buffers get them, too. Memory of a large buffer that was freed keeps the advice.
//!
//! A page whose blocks were all given out belongs to nobody, and mimalloc gives it back to the thread that made it when that frees
//! one of them. Threads that block for others come by the hundred and rarely allocate again, so what they have is lost to the rest:
//! a hub that took 32 uploads held 103 MB so, and 50 MB without. `MIMALLOC_PAGE_RECLAIM_ON_FREE=0` in the environment brings it back.
#![expect(unsafe_code, reason = "an allocator hands out raw memory; see the SAFETY notes")]

use std::{
    alloc::{GlobalAlloc, Layout},
    ffi::{c_int, c_long},
    sync::atomic::{AtomicBool, Ordering},
};

use mimalloc::MiMalloc;

/// Buffers of so many bytes get huge pages: of those that end inside of one, little is wasted.
pub const LARGE_BYTES: usize = 8 * 1024 * 1024;

/// `mi_option_page_reclaim_on_free` of mimalloc 3.3, for which the library at hand has no name.
const PAGE_RECLAIM_ON_FREE: c_int = 35;

unsafe extern "C" {
    /// Of mimalloc, which the crate `mimalloc` links: sets an option that the environment does not set.
    fn mi_option_set_default(option: c_int, value: c_long);
}

/// Makes it the allocator of a program:
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: gen_worker_allocator::Allocator = gen_worker_allocator::Allocator;
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Allocator;

// SAFETY: every call goes to mimalloc with what it was given, so mimalloc's promises are kept; in between only the kernel is
// advised about pages, which changes no byte of them and allocates nothing.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        configure();
        // SAFETY: the caller's.
        advised(unsafe { MiMalloc.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's.
        advised(unsafe { MiMalloc.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: the caller's.
        unsafe { MiMalloc.dealloc(start, layout) }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: the caller's.
        advised(unsafe { MiMalloc.realloc(start, layout, bytes) }, bytes)
    }
}

/// Sets the options, once. This one is read whenever a block of such a page is freed, so what was allocated before needs nothing.
fn configure() {
    static DONE: AtomicBool = AtomicBool::new(false);
    if !DONE.load(Ordering::Relaxed) {
        DONE.store(true, Ordering::Relaxed);
        // SAFETY: an option of this number exists; a thread that reads it meanwhile gets the one value or the other, and both are
        // valid. It allocates nothing. What the environment says is kept.
        unsafe { mi_option_set_default(PAGE_RECLAIM_ON_FREE, -1) };
    }
}

/// The same buffer of `bytes`. If it is large the kernel is told that huge pages are welcome.
fn advised(start: *mut u8, bytes: usize) -> *mut u8 {
    if bytes >= LARGE_BYTES && !start.is_null() {
        welcome_huge_pages(start, bytes);
    }
    start
}

#[cfg(target_os = "linux")]
fn welcome_huge_pages(start: *mut u8, bytes: usize) {
    /// The page of every machine, or a divisor of it. The kernel takes no others.
    const PAGE: usize = 64 * 1024;
    let skipped = start.addr().next_multiple_of(PAGE) - start.addr();
    let whole = bytes.saturating_sub(skipped) / PAGE * PAGE;
    // SAFETY: the pages lie inside of the buffer, and this advice leaves their content as it is. A kernel without huge pages
    // refuses, which is no loss.
    let _hint =
        unsafe { rustix::mm::madvise(start.wrapping_add(skipped).cast(), whole, rustix::mm::Advice::LinuxHugepage) };
}

#[cfg(not(target_os = "linux"))]
fn welcome_huge_pages(_start: *mut u8, _bytes: usize) {}

#[cfg(all(test, target_os = "linux"))]
mod tests;
