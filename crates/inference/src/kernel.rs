//! The arithmetic of the encoder, chosen once for the CPU it runs on.
//!
//! Two independent choices: which matrix kernel multiplies ([`MatrixKernel`]) and which instruction set the
//! element-wise loops are compiled for ([`Instructions`]). Everything above this module is safe code that knows
//! neither; this module and its children are the crate's only place for `unsafe` next to the file mapping in
//! `weights::mapped`. It owns no state and starts no thread: callers decide how work is spread.
//!
//! The public face is a set of safe functions that check every bound before the unsafe call.

#![expect(unsafe_code, reason = "SIMD kernels: bounds are asserted and CPU features detected before each unsafe call")]

mod activation;
mod exponential;
mod layer_norm;
mod matrix;
mod portable;
mod softmax;
#[cfg(target_arch = "x86_64")]
mod tile;
mod transpose;

pub(crate) use activation::Activation;
pub(crate) use matrix::{DEPTH_BLOCK, PackedMatrix};

/// How products of matrices are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MatrixKernel {
    /// Our own 6 x 16 register tile over packed weights, for CPUs with AVX2 and FMA and without AVX-512.
    Tile,
    /// The `gemm` crate over packed weights: any CPU, and AVX-512 where it is present.
    Gemm,
}

impl MatrixKernel {
    /// The faster kernel of this CPU.
    #[must_use]
    pub fn detect() -> Self {
        if Self::Tile.is_supported() && !has_avx512() { Self::Tile } else { Self::Gemm }
    }

    /// Whether this CPU can run the kernel.
    #[must_use]
    pub fn is_supported(self) -> bool {
        match self {
            Self::Tile => Instructions::detect() != Instructions::Baseline,
            Self::Gemm => true,
        }
    }
}

/// Instruction set of the element-wise loops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Instructions {
    /// What the target guarantees.
    Baseline,
    /// AVX2 and FMA, detected: [`Instructions::detect`] is the only place that makes this value.
    #[cfg(target_arch = "x86_64")]
    Avx2Fma,
}

impl Instructions {
    #[cfg(target_arch = "x86_64")]
    fn detect() -> Self {
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") { Self::Avx2Fma } else { Self::Baseline }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn detect() -> Self {
        Self::Baseline
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_avx512() -> bool {
    false
}

/// A row-major operand: row `r` starts at `r * stride`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operand<'a> {
    /// The values; only the rows and columns of the product are read.
    pub(crate) values: &'a [f32],
    /// Distance between rows, in values.
    pub(crate) stride: usize,
}

/// The row-major result of a product: row `r` starts at `r * stride`.
#[derive(Debug)]
pub(crate) struct Target<'a> {
    /// The values; only the rows and columns of the product are written.
    pub(crate) values: &'a mut [f32],
    /// Distance between rows, in values.
    pub(crate) stride: usize,
}

/// The kernels of one encoder: a `Copy` token that proves the CPU has what they need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kernels {
    matrix: MatrixKernel,
    instructions: Instructions,
}

impl Kernels {
    /// The kernels for this CPU with the given matrix kernel, or `None` when the CPU cannot run it.
    pub(crate) fn with_matrix(matrix: MatrixKernel) -> Option<Self> {
        matrix.is_supported().then(|| Self { matrix, instructions: Instructions::detect() })
    }

    /// `gemm` and plain loops: what a CPU without AVX2 runs.
    #[cfg(test)]
    pub(crate) fn baseline() -> Self {
        Self { matrix: MatrixKernel::Gemm, instructions: Instructions::Baseline }
    }

    /// Columns of a packed panel. `gemm` computes 24 or 48 columns at a time and skips its own packing when the
    /// panel is a multiple of that; our tile is 16 wide.
    pub(crate) fn panel_width(self) -> usize {
        match self.matrix {
            MatrixKernel::Tile => 16,
            MatrixKernel::Gemm => 48,
        }
    }

    /// `c[rows x columns] += a[rows x depth] * b[depth x columns]`.
    ///
    /// # Panics
    ///
    /// When a slice is shorter than its shape needs: a bug in the caller, never a property of a model.
    pub(crate) fn multiply_add(
        self,
        (rows, depth, columns): (usize, usize, usize),
        a: Operand<'_>,
        b: Operand<'_>,
        c: Target<'_>,
    ) {
        if rows == 0 || depth == 0 || columns == 0 {
            return;
        }
        // The last value touched in each operand. These three lines are the proof for the unsafe calls below.
        assert!((rows - 1) * a.stride + depth <= a.values.len(), "left operand is too short");
        assert!((depth - 1) * b.stride + columns <= b.values.len(), "right operand is too short");
        assert!((rows - 1) * c.stride + columns <= c.values.len() && columns <= c.stride, "target is too short");
        match (self.matrix, self.instructions) {
            #[cfg(target_arch = "x86_64")]
            (MatrixKernel::Tile, Instructions::Avx2Fma) => {
                // SAFETY: `Avx2Fma` exists only after detection; the asserts bound every access.
                unsafe { tile::multiply_add((rows, depth, columns), a, b, c) }
            }
            // SAFETY: the asserts bound every access.
            _ => unsafe { portable::multiply_add((rows, depth, columns), a, b, c) },
        }
    }
}

/// Writes a method of [`Kernels`] that runs `$module::apply` compiled for the detected instruction set.
///
/// `apply` is an `#[inline(always)]` function with a leading const argument: whether fused multiply-add is one
/// instruction there. Without it `f32::mul_add` is a library call, so the plain version multiplies, then adds.
macro_rules! vectorized {
    ($(#[$meta:meta])* $name:ident, $module:ident, ($($argument:ident: $kind:ty),*)) => {
        impl Kernels {
            $(#[$meta])*
            pub(crate) fn $name(self, $($argument: $kind),*) {
                #[cfg(target_arch = "x86_64")]
                #[target_feature(enable = "avx2,fma")]
                fn wide($($argument: $kind),*) {
                    $module::apply::<true>($($argument),*);
                }
                match self.instructions {
                    Instructions::Baseline => $module::apply::<{ cfg!(target_arch = "aarch64") }>($($argument),*),
                    // SAFETY: this value exists only after both features were detected.
                    #[cfg(target_arch = "x86_64")]
                    Instructions::Avx2Fma => unsafe { wide($($argument),*) },
                }
            }
        }
    };
}

vectorized!(
    /// Applies the activation to every value.
    activate, activation, (activation: Activation, values: &mut [f32])
);
vectorized!(
    /// Normalises each row of `gain.len()` values to mean 0 and variance 1, then scales and shifts it.
    layer_norm, layer_norm, (rows: &mut [f32], gain: &[f32], shift: &[f32], epsilon: f32)
);
vectorized!(
    /// Softmax of `scale * row` for each row of `columns` values.
    softmax, softmax, (rows: &mut [f32], columns: usize, scale: f32)
);
vectorized!(
    /// Writes `rows` as columns: `target[c * rows.len() + r] = rows[r][c]`.
    transpose, transpose, (rows: &[&[f32]], target: &mut [f32])
);

/// `a * b + c`, in one instruction where the enclosing function has it.
#[inline(always)]
fn fused<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

#[cfg(test)]
mod tests;
