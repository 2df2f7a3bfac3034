//! How a model is fitted into the accelerator memory that is free: the rules, as functions of measured numbers. Owns
//! nothing, measures nothing and moves nothing; whoever loads a model executes what is decided here.

mod offload;
mod precision;
mod quantization;
mod variant;

pub use offload::{OOM_RETRIES_MAX, OffloadMode, OffloadSupport, UnknownMode, after_out_of_memory, offloads_to_disk};
pub use precision::{ComputeDtype, StorageWish, UnknownDtype, WeightStorage, majority_dtype, storage};
pub use quantization::QuantizationPlan;
pub use variant::{Fit, VariantNeeds, VariantSupply, choose_variant};

/// What has to stay free besides the weights: activations and the allocator's slack.
const HEADROOM_BYTES: u64 = 2 << 30;
