//! How endpoints load and move the models of this crate. Translates; owns nothing.

use std::path::Path;

use gen_worker_core::context::Device;
use gen_worker_core::endpoint::Movable;
use gen_worker_core::instance::{LoadModel, LoadOptions};
use gen_worker_core::memory_ladder::WeightStorage;
use gen_worker_core::{Classify as _, Result, WorkerError};

use crate::{EmbedError, EmbedderOptions, LoadError, LoraError, SentenceEmbedder};

impl LoadModel for SentenceEmbedder {
    /// On the device, in the numbers and with as much of it there as the worker decided.
    fn load(dir: &Path, options: &LoadOptions) -> Result<Self> {
        match narrow_or_plain(EmbedderOptions::of(options), |options| Self::load(dir, options)) {
            Err(LoadError::Candle(cause)) if is_out_of_memory(&cause) => Err(WorkerError::out_of_memory()),
            loaded => loaded.fatal(),
        }
    }
}

/// Loads; where the weights cannot be kept as narrow as was decided, in full precision, and says so (model contract, 10.7).
fn narrow_or_plain<T>(
    options: EmbedderOptions,
    load: impl Fn(EmbedderOptions) -> Result<T, LoadError>,
) -> Result<T, LoadError> {
    let plain = EmbedderOptions { storage: WeightStorage::Plain, ..options.clone() };
    let wanted = options.storage;
    match load(options) {
        Err(LoadError::Candle(cause)) if wanted != WeightStorage::Plain && !is_out_of_memory(&cause) => {
            tracing::warn!(?wanted, %cause, "weights cannot be kept in 8 bits: they take twice as much in full precision");
            load(plain)
        }
        loaded => loaded,
    }
}

impl Movable for SentenceEmbedder {
    fn move_to(&mut self, device: Device) -> Result<()> {
        Self::move_to(self, device).fatal()
    }

    fn bytes_by_device(&self) -> Vec<(Device, u64)> {
        Self::bytes_by_device(self)
    }

    fn is_movable(&self) -> bool {
        Self::is_movable(self)
    }
}

impl EmbedError {
    /// What it means for the request that asked.
    #[must_use]
    pub fn into_worker_error(self) -> WorkerError {
        match self {
            Self::Canceled => WorkerError::canceled(),
            Self::TooManyTexts { .. } | Self::TextTooLong { .. } => WorkerError::validation(self.to_string()),
            // A file that cannot be read says nothing of the request.
            Self::Adapter(LoraError::Read { .. }) => WorkerError::retryable(self.to_string()),
            Self::Adapter(_) => WorkerError::validation(self.to_string()),
            Self::Candle(cause) if is_out_of_memory(&cause) => WorkerError::out_of_memory(),
            _ => WorkerError::fatal("EmbedError", self.to_string()),
        }
    }
}

/// Candle and the drivers below it say so in words only.
fn is_out_of_memory(cause: &str) -> bool {
    cause.to_lowercase().replace('_', " ").contains("out of memory")
}

#[cfg(test)]
mod tests {
    //! What failures mean for a request.
    use std::cell::RefCell;

    use gen_worker_core::{FailureClass, memory_ladder::ComputeDtype};

    use super::*;

    #[test]
    fn m10_7_what_cannot_be_kept_narrow_is_loaded_once_more_in_full_precision() {
        let fp8 = WeightStorage::Fp8(ComputeDtype::Bf16);
        let tried = |storage: WeightStorage, cause: Option<&str>| {
            let tries = RefCell::new(Vec::new());
            let options = EmbedderOptions { storage, ..EmbedderOptions::default() };
            let loaded = narrow_or_plain(options, |options| {
                tries.borrow_mut().push(options.storage);
                match cause.filter(|_| tries.borrow().len() == 1) {
                    Some(cause) => Err(LoadError::Candle(cause.to_owned())),
                    None => Ok(()),
                }
            });
            (tries.into_inner(), loaded.is_ok())
        };
        assert_eq!(tried(fp8, None), (vec![fp8], true));
        assert_eq!(tried(fp8, Some("unsupported dtype F8E4M3")), (vec![fp8, WeightStorage::Plain], true));
        assert_eq!(tried(fp8, Some("out of memory")), (vec![fp8], false), "twice the size would fit even less");
        assert_eq!(tried(WeightStorage::Plain, Some("shape mismatch")), (vec![WeightStorage::Plain], false));
    }

    #[test]
    fn m9_13_out_of_memory_is_known_by_its_words_and_may_pass() {
        let class = |cause: &str| EmbedError::Candle(cause.to_owned()).into_worker_error().class();
        assert_eq!(class("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")"), FailureClass::Retryable);
        assert_eq!(class("shape mismatch"), FailureClass::Fatal);
    }
}
