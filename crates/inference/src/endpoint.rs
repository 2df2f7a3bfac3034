//! How endpoints load and move the models of this crate. Translates; owns nothing.

use std::path::Path;

use gen_worker_core::context::Device;
use gen_worker_core::endpoint::Movable;
use gen_worker_core::instance::{LoadModel, LoadOptions};
use gen_worker_core::{Classify as _, Result, WorkerError};

use crate::{EmbedError, EmbedderOptions, LoadError, LoraError, SentenceEmbedder};

impl LoadModel for SentenceEmbedder {
    /// On the device, in the numbers and with as much of it there as the worker decided.
    fn load(dir: &Path, options: &LoadOptions) -> Result<Self> {
        match Self::load(dir, EmbedderOptions::of(options)) {
            Err(LoadError::Candle(cause)) if is_out_of_memory(&cause) => Err(WorkerError::out_of_memory()),
            loaded => loaded.fatal(),
        }
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
    use gen_worker_core::FailureClass;

    use super::*;

    #[test]
    fn m9_13_out_of_memory_is_known_by_its_words_and_may_pass() {
        let class = |cause: &str| EmbedError::Candle(cause.to_owned()).into_worker_error().class();
        assert_eq!(class("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")"), FailureClass::Retryable);
        assert_eq!(class("shape mismatch"), FailureClass::Fatal);
    }
}
