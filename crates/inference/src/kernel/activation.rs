//! The activation functions of the feed-forward block.

use super::exponential::exponential;
use super::fused;

/// What stands between the two halves of the feed-forward block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    /// `x * Phi(x)` with the error function.
    Gelu,
    /// The tanh approximation of GELU (`gelu_new`, `gelu_pytorch_tanh`).
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
}

/// Applies the activation in place.
#[inline(always)]
pub(super) fn apply<const FUSED: bool>(activation: Activation, values: &mut [f32]) {
    match activation {
        Activation::Gelu => values.iter_mut().for_each(|value| *value = gelu::<FUSED>(*value)),
        Activation::GeluTanh => values.iter_mut().for_each(|value| *value = gelu_tanh::<FUSED>(*value)),
        Activation::Relu => values.iter_mut().for_each(|value| *value = if *value < 0.0 { 0.0 } else { *value }),
    }
}

/// `0.5 * x * (1 + erf(x / sqrt(2)))`.
#[inline(always)]
fn gelu<const FUSED: bool>(x: f32) -> f32 {
    let half = 0.5 * x;
    fused::<FUSED>(half, error_function::<FUSED>(x * core::f32::consts::FRAC_1_SQRT_2), half)
}

/// `x * sigmoid(2 * sqrt(2 / pi) * (x + 0.044715 * x^3))`, which equals the tanh form.
#[inline(always)]
fn gelu_tanh<const FUSED: bool>(x: f32) -> f32 {
    const TWICE_SQRT_2_OVER_PI: f32 = 1.595_769_2;
    let inner = fused::<FUSED>(0.044_715 * x * x, x, x) * TWICE_SQRT_2_OVER_PI;
    x / (1.0 + exponential::<FUSED>(-inner))
}

/// The error function as an odd rational function on -4..=4, outside which it is 1 in f32.
///
/// The coefficients are those of the single-precision approximation in the Eigen and XLA libraries (degree 13 over
/// 8). Largest measured absolute error with fused multiply-add: 3.5e-7, near |x| = 3.5, about five roundings
/// (`kernel::tests::error_function_error` checks 4e-7). Fits of higher degree gained nothing: evaluation in f32 is
/// what limits it, and the products around it round by more.
#[inline(always)]
pub(super) fn error_function<const FUSED: bool>(x: f32) -> f32 {
    let x = if x < -4.0 { -4.0 } else { x };
    let x = if x > 4.0 { 4.0 } else { x };
    let s = x * x;
    let p = fused::<FUSED>(-2.726_142_4e-10, s, 2.770_681_5e-8);
    let p = fused::<FUSED>(p, s, -2.101_024e-6);
    let p = fused::<FUSED>(p, s, -5.692_506_2e-5);
    let p = fused::<FUSED>(p, s, -7.349_906_4e-4);
    let p = fused::<FUSED>(p, s, -2.954_6e-3);
    let p = fused::<FUSED>(p, s, -1.609_603_3e-2);
    let q = fused::<FUSED>(-1.456_607_15e-5, s, -2.133_740_5e-4);
    let q = fused::<FUSED>(q, s, -1.682_827e-3);
    let q = fused::<FUSED>(q, s, -7.373_329_3e-3);
    let q = fused::<FUSED>(q, s, -1.426_473_9e-2);
    x * p / q
}
