//! The matrix kernel of every other CPU: the `gemm` crate, single-threaded, over blocks our callers cut.
//!
//! `gemm` picks SSE2, AVX2, AVX-512, NEON or plain code at run time. It is given shapes for which it needs no packing
//! of its own: row-contiguous panels and at most [`ROWS`] rows per call, the largest for which it reads the panel
//! in place.

use gemm::Parallelism;

use super::{Operand, Target};

/// Rows per call. `gemm` copies the panel when there are more than eight of its register tiles (4 rows with AVX2).
const ROWS: usize = 32;

/// `c += a * b`.
///
/// # Safety
///
/// The last value of each operand, `(rows - 1) * stride + columns - 1` in its own shape, lies inside its slice.
pub(super) unsafe fn multiply_add(
    (rows, depth, columns): (usize, usize, usize),
    a: Operand<'_>,
    b: Operand<'_>,
    c: Target<'_>,
) {
    // Strides are lengths inside slices, so they are at most `isize::MAX`.
    let signed = |stride: usize| isize::try_from(stride).expect("a stride inside a slice fits isize");
    let (a_stride, b_stride, c_stride) = (signed(a.stride), signed(b.stride), signed(c.stride));
    let mut row = 0;
    while row < rows {
        let height = (rows - row).min(ROWS);
        // SAFETY: rows `row..row + height` of `a` and `c` and all of `b` are inside their slices by the caller's
        // contract; `c` is exclusively borrowed and cannot alias the shared operands.
        unsafe {
            gemm::gemm(
                height,
                columns,
                depth,
                c.values.as_mut_ptr().add(row * c.stride),
                1,
                c_stride,
                true,
                a.values.as_ptr().add(row * a.stride),
                1,
                a_stride,
                b.values.as_ptr(),
                1,
                b_stride,
                1.0,
                1.0,
                false,
                false,
                false,
                Parallelism::None,
            );
        }
        row += height;
    }
}
