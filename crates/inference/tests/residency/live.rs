//! An allocator that knows how much is in use.

#![expect(
    unsafe_code,
    reason = "an allocator is an unsafe trait; every call is handed on unchanged, see the SAFETY note"
)]

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicUsize, Ordering};

use gen_worker_allocator::Allocator;

/// Bytes that were given and not taken back.
#[derive(Debug)]
pub struct Live(AtomicUsize);

impl Live {
    pub const fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

// SAFETY: each method hands its arguments on to an allocator that keeps the contract, and returns what it gave.
// Counting allocates nothing.
unsafe impl GlobalAlloc for Live {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.0.fetch_add(layout.size(), Ordering::SeqCst);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { Allocator.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        self.0.fetch_sub(layout.size(), Ordering::SeqCst);
        // SAFETY: the caller keeps the contract of `dealloc`, and the memory is from the same allocator.
        unsafe { Allocator.dealloc(pointer, layout) }
    }
}
