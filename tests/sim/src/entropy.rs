//! The operating system's entropy, from the seed. Owns the process's generator.
//!
//! Hash maps, `tokio::select!`, wake-ups of watchers, the jitter of a redial, random names: all of them draw, directly
//! or as a seed of their own, from `getrandom(2)`. A program that defines this function itself takes the place of the
//! C library's, so that everything below draws the same numbers for the same seed and no library has to know of it.
//! Some of those generators live as long as the process does, which is why one process runs one seed.

use std::{
    ffi::{c_uint, c_void},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// What splitmix64 adds at each step; see [`crate::rng`].
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

static STATE: AtomicU64 = AtomicU64::new(0);

/// Sets what everything in this process draws from now on.
pub(crate) fn seed(seed: u64) {
    STATE.store(seed, Relaxed);
    // Naming it here keeps the linker from leaving it out in favour of the C library's.
    std::hint::black_box(getrandom as unsafe extern "C" fn(*mut c_void, usize, c_uint) -> isize);
}

/// `getrandom(2)`, never interrupted, never short.
///
/// # Safety
/// `buffer` is valid for writes of `len` bytes, as the system call wants it.
#[expect(unsafe_code, reason = "the symbol of the C library, with its signature")]
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(buffer: *mut c_void, len: usize, _flags: c_uint) -> isize {
    if buffer.is_null() || len == 0 {
        return 0;
    }
    // SAFETY: the caller promises `len` writable bytes at `buffer`; any bit pattern is a valid `u8`.
    let bytes = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), len) };
    for chunk in bytes.chunks_mut(8) {
        let mut rng = crate::rng::Rng::new(STATE.fetch_add(STEP, Relaxed));
        let drawn = rng.next().to_le_bytes();
        chunk.iter_mut().zip(drawn).for_each(|(byte, drawn)| *byte = drawn);
    }
    isize::try_from(len).unwrap_or(isize::MAX)
}
