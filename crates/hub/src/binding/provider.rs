//! Who keeps a model.

use std::{fmt, str::FromStr};

/// Where models come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Provider {
    /// A model hub of the pool's own kind.
    Hub,
    /// Hugging Face.
    HuggingFace,
    /// Civitai.
    Civitai,
    /// ModelScope.
    ModelScope,
}

/// A name that is no provider's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no provider of models (tensorhub, hf, civitai, modelscope)")]
pub struct UnknownProvider(pub String);

impl Provider {
    /// Name in manifests and events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hub => "tensorhub",
            Self::HuggingFace => "hf",
            Self::Civitai => "civitai",
            Self::ModelScope => "modelscope",
        }
    }

    /// Name of the binding type in listings.
    #[must_use]
    pub fn type_name(self) -> &'static str {
        match self {
            Self::Hub => "Hub",
            Self::HuggingFace => "HF",
            Self::Civitai => "Civitai",
            Self::ModelScope => "ModelScope",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Provider {
    type Err = UnknownProvider;

    /// The inverse of [`Provider::as_str`]; blank text is the hub, which needs no naming.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "" | "tensorhub" => Ok(Self::Hub),
            "hf" => Ok(Self::HuggingFace),
            "civitai" => Ok(Self::Civitai),
            "modelscope" => Ok(Self::ModelScope),
            other => Err(UnknownProvider(other.to_owned())),
        }
    }
}
