//! Our matrix kernel for AVX2 and FMA: a tile of up to 6 rows by 16 columns held in registers.
//!
//! Twelve of the sixteen vector registers accumulate, two hold a row of the packed panel, one a broadcast value: per
//! step of depth 12 multiply-adds for 8 loads, so the two multiply units are the bound. A panel of 16 columns by
//! [`super::DEPTH_BLOCK`] stays in the first-level cache while all row tiles of a block pass over it, and the
//! activations are read in place: nothing is packed at run time.
//!
//! Row tiles are balanced (11 rows are 6 + 5, not 6 + 5 x 1), because four rows or more keep the multiply units busy.

use core::arch::x86_64::{
    __m256, __m256i, _mm256_broadcast_ss, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_maskload_ps,
    _mm256_maskstore_ps, _mm256_setzero_ps, _mm256_storeu_ps,
};

use super::{Operand, Target};

/// Columns of one tile: two vectors.
const COLUMNS: usize = 16;
/// Values of one vector.
const LANES: usize = 8;
/// Rows of the largest tile.
const ROWS: usize = 6;

/// Sliding window that gives a mask of the first `n` lanes at offset `LANES - n`.
static MASKS: [i32; 2 * LANES] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

/// Pointers and strides of one tile.
#[derive(Clone, Copy)]
struct Tile {
    depth: usize,
    a: *const f32,
    a_stride: usize,
    b: *const f32,
    b_stride: usize,
    c: *mut f32,
    c_stride: usize,
    columns: usize,
}

/// `c += a * b`.
///
/// # Safety
///
/// The CPU has AVX2 and FMA, and the last value of each operand, `(rows - 1) * stride + columns - 1` in its own
/// shape, lies inside its slice. No dimension is zero.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn multiply_add(
    (rows, depth, columns): (usize, usize, usize),
    a: Operand<'_>,
    b: Operand<'_>,
    c: Target<'_>,
) {
    let tiles = rows.div_ceil(ROWS);
    let (base, larger) = (rows / tiles, rows % tiles);
    let mut column = 0;
    while column < columns {
        let width = (columns - column).min(COLUMNS);
        let mut row = 0;
        for index in 0..tiles {
            let height = base + usize::from(index < larger);
            // SAFETY: `row < rows` and `column < columns`, so each offset lies inside its slice.
            let tile = unsafe {
                Tile {
                    depth,
                    a: a.values.as_ptr().add(row * a.stride),
                    a_stride: a.stride,
                    b: b.values.as_ptr().add(column),
                    b_stride: b.stride,
                    c: c.values.as_mut_ptr().add(row * c.stride + column),
                    c_stride: c.stride,
                    columns: width,
                }
            };
            // SAFETY: the tile covers `height` rows from `row` and `width` columns from `column`, inside the shape.
            unsafe {
                match height {
                    1 => run::<1>(tile),
                    2 => run::<2>(tile),
                    3 => run::<3>(tile),
                    4 => run::<4>(tile),
                    5 => run::<5>(tile),
                    _ => run::<6>(tile),
                }
            }
            row += height;
        }
        column += width;
    }
}

/// # Safety
///
/// As [`multiply_add`], for `HEIGHT` rows and `tile.columns` columns from the tile's pointers.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn run<const HEIGHT: usize>(tile: Tile) {
    // SAFETY: same contract.
    unsafe { if tile.columns == COLUMNS { full::<HEIGHT>(tile) } else { partial::<HEIGHT>(tile) } }
}

/// # Safety
///
/// As [`run`], with exactly 16 columns.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn full<const HEIGHT: usize>(tile: Tile) {
    let mut sums = [[_mm256_setzero_ps(); 2]; HEIGHT];
    // SAFETY: row `r < HEIGHT` of `a` and `c` and row `p < depth` of `b` have 16 (`a`: `depth`) values each.
    unsafe {
        for (row, sum) in sums.iter_mut().enumerate() {
            let c = tile.c.add(row * tile.c_stride);
            *sum = [_mm256_loadu_ps(c), _mm256_loadu_ps(c.add(LANES))];
        }
        let mut b = tile.b;
        for p in 0..tile.depth {
            let right = [_mm256_loadu_ps(b), _mm256_loadu_ps(b.add(LANES))];
            step(&mut sums, tile.a.add(p), tile.a_stride, right);
            b = b.wrapping_add(tile.b_stride);
        }
        for (row, sum) in sums.iter().enumerate() {
            let c = tile.c.add(row * tile.c_stride);
            _mm256_storeu_ps(c, sum[0]);
            _mm256_storeu_ps(c.add(LANES), sum[1]);
        }
    }
}

/// # Safety
///
/// As [`run`], with fewer than 16 columns: masked loads and stores touch only those.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn partial<const HEIGHT: usize>(tile: Tile) {
    let masks = [mask(tile.columns.min(LANES)), mask(tile.columns.saturating_sub(LANES))];
    let mut sums = [[_mm256_setzero_ps(); 2]; HEIGHT];
    // SAFETY: masked-off lanes are not accessed, so only the tile's own columns are; the second half's address may
    // lie past the slice when all its lanes are off, hence `wrapping_add`.
    unsafe {
        for (row, sum) in sums.iter_mut().enumerate() {
            let c = tile.c.add(row * tile.c_stride);
            *sum = [_mm256_maskload_ps(c, masks[0]), _mm256_maskload_ps(c.wrapping_add(LANES), masks[1])];
        }
        let mut b = tile.b;
        for p in 0..tile.depth {
            let right = [_mm256_maskload_ps(b, masks[0]), _mm256_maskload_ps(b.wrapping_add(LANES), masks[1])];
            step(&mut sums, tile.a.add(p), tile.a_stride, right);
            b = b.wrapping_add(tile.b_stride);
        }
        for (row, sum) in sums.iter().enumerate() {
            let c = tile.c.add(row * tile.c_stride);
            _mm256_maskstore_ps(c, masks[0], sum[0]);
            _mm256_maskstore_ps(c.wrapping_add(LANES), masks[1], sum[1]);
        }
    }
}

/// One step of depth: `sums[r] += a[r] * right`.
///
/// # Safety
///
/// `a + r * stride` is readable for `r < HEIGHT`.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn step<const HEIGHT: usize>(
    sums: &mut [[__m256; 2]; HEIGHT],
    a: *const f32,
    stride: usize,
    right: [__m256; 2],
) {
    for (row, sum) in sums.iter_mut().enumerate() {
        // SAFETY: the caller's contract.
        let left = unsafe { _mm256_broadcast_ss(&*a.add(row * stride)) };
        sum[0] = _mm256_fmadd_ps(left, right[0], sum[0]);
        sum[1] = _mm256_fmadd_ps(left, right[1], sum[1]);
    }
}

/// The mask whose first `lanes` lanes are on.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn mask(lanes: usize) -> __m256i {
    debug_assert!(lanes <= LANES);
    // SAFETY: eight integers from offset `8 - lanes` lie inside the sixteen of `MASKS`, since `lanes <= 8`.
    unsafe { _mm256_loadu_si256(MASKS.as_ptr().add(LANES - lanes).cast()) }
}
