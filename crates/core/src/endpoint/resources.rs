//! The machine a function needs.

use std::num::NonZeroU32;

/// Requirements as written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResourcesDecl {
    /// Needs an accelerator.
    pub gpu: bool,
    /// Accelerator memory, in GiB.
    pub vram_gb: Option<f64>,
    /// Lowest compute capability, as `8.9`.
    pub compute_capability: Option<f64>,
    /// Capability tokens that must be there.
    pub libraries: Vec<String>,
    /// Calls at once on one worker; unlimited when absent.
    pub max_concurrency: Option<i64>,
    /// Its models can be loaded with parts of them elsewhere: they do as
    /// [`LoadOptions::offload`](crate::instance::LoadOptions::offload) says.
    pub offload: bool,
}

/// Checked requirements.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resources {
    gpu: bool,
    vram_gb: Option<f64>,
    compute_capability: Option<f64>,
    libraries: Vec<String>,
    max_concurrency: Option<NonZeroU32>,
    offload: bool,
}

/// Requirements that no machine can meet or that mean nothing.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ResourceError {
    /// A size that is zero, negative or not a number.
    #[error("{name} must be a positive number, got {value}")]
    NotPositive {
        /// Which one.
        name: &'static str,
        /// What was written.
        value: f64,
    },
    /// A limit that is not a count from 1 on.
    #[error("max_concurrency must be an integer from 1 to {max}, got {0}", max = u32::MAX)]
    Concurrency(i64),
}

impl ResourcesDecl {
    /// Checks and normalises. Naming accelerator memory or a capability asks for an accelerator.
    ///
    /// # Errors
    /// One entry per wrong member.
    pub fn check(&self) -> Result<Resources, Vec<ResourceError>> {
        let mut errors = Vec::new();
        let mut positive = |name, value: Option<f64>| {
            if let Some(value) = value.filter(|value| !(value.is_finite() && *value > 0.0)) {
                errors.push(ResourceError::NotPositive { name, value });
            }
        };
        positive("vram_gb", self.vram_gb);
        positive("compute_capability", self.compute_capability);
        let max_concurrency =
            self.max_concurrency.and_then(|limit| u32::try_from(limit).ok()).and_then(NonZeroU32::new);
        if let (Some(limit), None) = (self.max_concurrency, max_concurrency) {
            errors.push(ResourceError::Concurrency(limit));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let libraries = self.libraries.iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        Ok(Resources {
            gpu: self.gpu || self.vram_gb.is_some() || self.compute_capability.is_some(),
            vram_gb: self.vram_gb,
            compute_capability: self.compute_capability,
            libraries: libraries.collect(),
            max_concurrency,
            offload: self.offload,
        })
    }
}

impl Resources {
    /// Needs an accelerator.
    #[must_use]
    pub fn gpu(&self) -> bool {
        self.gpu
    }

    /// Accelerator memory, in GiB.
    #[must_use]
    pub fn vram_gb(&self) -> Option<f64> {
        self.vram_gb
    }

    /// Lowest compute capability, as `8.9`.
    #[must_use]
    pub fn compute_capability(&self) -> Option<f64> {
        self.compute_capability
    }

    /// Capability tokens that must be there.
    #[must_use]
    pub fn libraries(&self) -> &[String] {
        &self.libraries
    }

    /// Calls at once on one worker; unlimited when absent.
    #[must_use]
    pub fn max_concurrency(&self) -> Option<NonZeroU32> {
        self.max_concurrency
    }

    /// Whether its models can be loaded with parts of them elsewhere.
    #[must_use]
    pub fn offload(&self) -> bool {
        self.offload
    }

    /// The same, with `limit` where no other was written.
    #[must_use]
    pub(crate) fn at_once(mut self, limit: NonZeroU32) -> Self {
        self.max_concurrency.get_or_insert(limit);
        self
    }
}

#[cfg(test)]
mod tests;
