//! The exponential function for auto-vectorised loops.
//!
//! Reduction by Cody and Waite, then the degree-6 minimax polynomial of the Cephes library's `expf` (S. Moshier).
//! Over the range used here, where the result is a normal number, the largest measured error is below 2 units in
//! the last place (`kernel::tests::exponential_error`).

use super::fused;

/// Below this the result is replaced by that of the bound (about 1e-38), which is zero for every sum it enters.
const LOWEST: f32 = -87.3;
/// Above this the result would be infinite.
const HIGHEST: f32 = 88.3;
/// Adding and subtracting 1.5 * 2^23 rounds a small number to the nearest integer.
const ROUND: f32 = 12_582_912.0;
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// `e^x` for `x` in -87.3..=88.3; outside, the value at the nearer bound. NaN gives NaN or a bound's value.
#[inline(always)]
pub(super) fn exponential<const FUSED: bool>(x: f32) -> f32 {
    let x = if x < LOWEST { LOWEST } else { x };
    let x = if x > HIGHEST { HIGHEST } else { x };
    let shifted = fused::<FUSED>(x, core::f32::consts::LOG2_E, ROUND);
    let power = shifted - ROUND;
    let r = fused::<FUSED>(power, -LN_2_HIGH, x);
    let r = fused::<FUSED>(power, -LN_2_LOW, r);
    let p = fused::<FUSED>(1.987_569_1e-4, r, 1.398_199_9e-3);
    let p = fused::<FUSED>(p, r, 8.333_452e-3);
    let p = fused::<FUSED>(p, r, 4.166_579_6e-2);
    let p = fused::<FUSED>(p, r, 1.666_666_5e-1);
    let p = fused::<FUSED>(p, r, 0.5);
    let p = fused::<FUSED>(p, r * r, r) + 1.0;
    // The low bits of `shifted` hold the integer; moved into the exponent field they are 2^power.
    let scale = f32::from_bits(shifted.to_bits().wrapping_add(127).wrapping_shl(23));
    p * scale
}
