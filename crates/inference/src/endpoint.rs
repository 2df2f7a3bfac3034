//! How endpoints load and move the models of this crate. Translates; owns nothing.

use std::path::Path;

use gen_worker_core::context::Device;
use gen_worker_core::endpoint::Movable;
use gen_worker_core::instance::{LoadModel, LoadOptions};
use gen_worker_core::{Classify as _, Result, WorkerError};

use crate::{EmbedError, EmbedderOptions, LoraError, SentenceEmbedder};

impl LoadModel for SentenceEmbedder {
    /// On the device, in the numbers and with as much of it there as the worker decided.
    fn load(dir: &Path, options: &LoadOptions) -> Result<Self> {
        Self::load(dir, EmbedderOptions::of(options)).fatal()
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
            _ => WorkerError::fatal("EmbedError", self.to_string()),
        }
    }
}
