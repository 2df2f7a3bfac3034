//! Number formats of weights.

/// Number format a model is loaded in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// 16 bits with the exponent range of 32.
    Bf16,
    /// IEEE half.
    Fp16,
    /// IEEE single.
    Fp32,
    /// 8-bit float.
    Fp8,
    /// 8-bit integer.
    Int8,
    /// 4-bit integer.
    Int4,
    /// 4-bit float with block scales.
    Nvfp4,
}

impl From<Dtype> for String {
    fn from(dtype: Dtype) -> Self {
        let name = match dtype {
            Dtype::Bf16 => "bf16",
            Dtype::Fp16 => "fp16",
            Dtype::Fp32 => "fp32",
            Dtype::Fp8 => "fp8",
            Dtype::Int8 => "int8",
            Dtype::Int4 => "int4",
            Dtype::Nvfp4 => "nvfp4",
        };
        name.to_owned()
    }
}
