//! An allocator that counts.

#![expect(
    unsafe_code,
    reason = "an allocator is an unsafe trait; every call is handed on unchanged, see the SAFETY note"
)]

use std::{
    alloc::{GlobalAlloc, Layout},
    sync::atomic::{AtomicU64, Ordering},
};

use gen_worker_allocator::Allocator;

/// The allocator of the other binaries, with a count of what is asked of it. Counting costs a contended atomic per
/// call, so what is counted is not timed.
#[derive(Debug, Default)]
pub struct Counting {
    allocations: AtomicU64,
    bytes: AtomicU64,
}

impl Counting {
    /// An allocator that has counted nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { allocations: AtomicU64::new(0), bytes: AtomicU64::new(0) }
    }

    /// Calls that gave memory (a growing buffer counts each time it grows), and the bytes they asked for.
    #[must_use]
    pub fn counted(&self) -> (u64, u64) {
        (self.allocations.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    fn count(&self, size: usize) {
        self.allocations.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(size as u64, Ordering::Relaxed);
    }
}

// SAFETY: each method hands its arguments on to an allocator that keeps the contract, and returns what it gave.
// Counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.count(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { Allocator.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, and the memory is from the same allocator.
        unsafe { Allocator.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.count(layout.size());
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { Allocator.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.count(size);
        // SAFETY: the caller keeps the contract of `realloc`, and the memory is from the same allocator.
        unsafe { Allocator.realloc(pointer, layout, size) }
    }
}
