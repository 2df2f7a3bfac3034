use proptest::prelude::*;

use super::*;

/// Every combination this CPU can run.
fn all_kernels() -> Vec<Kernels> {
    [MatrixKernel::Tile, MatrixKernel::Gemm]
        .into_iter()
        .filter_map(Kernels::with_matrix)
        .chain([Kernels::baseline()])
        .collect()
}

/// Small integers: their products and sums are exact in f32, so results compare with `==`.
fn integers(seed: u32, count: usize) -> Vec<f32> {
    let mut state = seed | 1;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f32::from((state >> 28) as u8) - 8.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

proptest! {
    #[test]
    fn products_equal_the_definition(
        rows in 1_usize..40, depth in 1_usize..40, columns in 1_usize..60, gap in 0_usize..4, seed: u32,
    ) {
        let (a_stride, b_stride, c_stride) = (depth + gap, columns + gap, columns + gap);
        // Exactly as long as the shape needs: a read past the end would be a read past the allocation.
        let a = integers(seed, (rows - 1) * a_stride + depth);
        let b = integers(seed ^ 1, (depth - 1) * b_stride + columns);
        let start = integers(seed ^ 2, (rows - 1) * c_stride + columns);
        let mut expected = start.clone();
        for row in 0..rows {
            for column in 0..columns {
                for step in 0..depth {
                    expected[row * c_stride + column] += a[row * a_stride + step] * b[step * b_stride + column];
                }
            }
        }
        for kernels in all_kernels() {
            let mut c = start.clone();
            kernels.multiply_add(
                (rows, depth, columns),
                Operand { values: &a, stride: a_stride },
                Operand { values: &b, stride: b_stride },
                Target { values: &mut c, stride: c_stride },
            );
            prop_assert_eq!(&c, &expected, "{:?}", kernels);
        }
    }

    #[test]
    fn packed_matrices_multiply_like_their_rows(
        rows in 1_usize..8, depth in 1_usize..900, parts in prop::collection::vec(1_usize..70, 1..4), seed: u32,
    ) {
        let weights: Vec<Vec<f32>> = parts.iter().map(|columns| integers(seed, columns * depth)).collect();
        let parts: Vec<&[f32]> = weights.iter().map(Vec::as_slice).collect();
        let x = integers(seed ^ 3, rows * depth);
        let dot = |x: &[f32], w: &[f32]| x.iter().zip(w).map(|(x, w)| x * w).sum::<f32>();
        let expected: Vec<f32> = x
            .chunks(depth)
            .flat_map(|x| weights.iter().flat_map(move |part| part.chunks(depth).map(move |w| dot(x, w))))
            .collect();
        for kernels in all_kernels() {
            let packed = PackedMatrix::pack(kernels, &parts, depth);
            let columns = packed.columns();
            let mut out = vec![0.0; rows * columns];
            let target = Target { values: &mut out, stride: columns };
            packed.multiply_add(kernels, rows, Operand { values: &x, stride: depth }, target);
            prop_assert_eq!(&out, &expected, "{:?}", kernels);
        }
    }

    #[test]
    fn transposed_rows_are_columns(rows in 0_usize..40, columns in 1_usize..40, seed: u32) {
        let values = integers(seed, rows * columns);
        let rows: Vec<&[f32]> = values.chunks(columns).collect();
        for kernels in all_kernels() {
            let mut target = vec![f32::NAN; values.len()];
            kernels.transpose(&rows, &mut target);
            for (row, expected) in rows.iter().enumerate() {
                for (column, expected) in expected.iter().enumerate() {
                    prop_assert_eq!(target[column * rows.len() + row], *expected);
                }
            }
        }
    }

    #[test]
    fn softmax_and_layer_norm_follow_their_definitions(
        rows in 1_usize..4, columns in 1_usize..70, seed: u32, scale in 0.01_f32..2.0,
    ) {
        let values = integers(seed, rows * columns);
        let (gain, shift) = (integers(seed ^ 4, columns), integers(seed ^ 5, columns));
        for kernels in all_kernels() {
            let (mut soft, mut norm) = (values.clone(), values.clone());
            kernels.softmax(&mut soft, columns, scale);
            kernels.layer_norm(&mut norm, &gain, &shift, 1e-5);
            for (row, (soft, norm)) in values.chunks(columns).zip(soft.chunks(columns).zip(norm.chunks(columns))) {
                let row: Vec<f64> = row.iter().map(|value| f64::from(*value)).collect();
                let total: f64 = row.iter().map(|value| (value * f64::from(scale)).exp()).sum();
                let mean = row.iter().sum::<f64>() / columns as f64;
                let variance = row.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / columns as f64;
                for (index, value) in row.iter().enumerate() {
                    let expected = (value * f64::from(scale)).exp() / total;
                    prop_assert!((f64::from(soft[index]) - expected).abs() < 1e-6);
                    let normal = (value - mean) / (variance + 1e-5).sqrt();
                    let expected = normal * f64::from(gain[index]) + f64::from(shift[index]);
                    prop_assert!((f64::from(norm[index]) - expected).abs() < 1e-4, "{} {}", norm[index], expected);
                }
            }
        }
    }
}

/// A sample of f32 values: every `step`-th bit pattern from zero to `limit`, with both signs.
fn patterns(limit: f32, step: usize) -> impl Iterator<Item = f32> {
    (0..=limit.to_bits()).step_by(step).map(f32::from_bits).flat_map(|value| [value, -value])
}

#[test]
fn error_function_error() {
    let worst = |erf: fn(f32) -> f32| {
        patterns(6.0, 97).map(|x| (f64::from(erf(x)) - libm::erf(f64::from(x))).abs()).fold(0.0, f64::max)
    };
    assert!(worst(activation::error_function::<true>) < 4e-7);
    assert!(worst(activation::error_function::<false>) < 5e-7);
}

#[test]
fn activation_error() {
    for kernels in all_kernels() {
        for (activation, exact) in [
            (Activation::Gelu, (|x| 0.5 * x * (1.0 + libm::erf(x / 2.0_f64.sqrt()))) as fn(f64) -> f64),
            (Activation::GeluTanh, |x| {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
                0.5 * x * (1.0 + inner.tanh())
            }),
            (Activation::Relu, |x| x.max(0.0)),
        ] {
            let inputs: Vec<f32> = patterns(12.0, 9973).collect();
            let mut outputs = inputs.clone();
            kernels.activate(activation, &mut outputs);
            for (x, y) in inputs.iter().zip(&outputs) {
                let error = (f64::from(*y) - exact(f64::from(*x))).abs();
                assert!(error <= 5e-7 * f64::from(x.abs()).max(1e-3), "{activation:?}({x}) = {y}, off by {error}");
            }
        }
    }
}

#[test]
fn exponential_error() {
    let units = |exponential: fn(f32) -> f32| {
        patterns(87.0, 97)
            .map(|x| {
                let exact = f64::from(x).exp();
                (f64::from(exponential(x)) - exact).abs() / (exact * f64::from(f32::EPSILON))
            })
            .fold(0.0, f64::max)
    };
    assert!(units(exponential::exponential::<true>) < 2.0);
    assert!(units(exponential::exponential::<false>) < 2.0);
    assert!(exponential::exponential::<true>(-1e30) < 1e-37);
}

#[test]
#[should_panic(expected = "right operand is too short")]
fn short_operands_are_refused() {
    let (a, b, mut c) = ([0.0; 4], [0.0; 3], [0.0; 4]);
    let kernels = Kernels::baseline();
    let target = Target { values: &mut c, stride: 2 };
    kernels.multiply_add((2, 2, 2), Operand { values: &a, stride: 2 }, Operand { values: &b, stride: 2 }, target);
}
