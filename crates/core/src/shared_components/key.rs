//! What makes two components the same.

use std::collections::BTreeSet;

use gen_worker_hub::digest::Digest;

use crate::context::Device;

/// Characters of the ref in an id.
const REF_CHARS: usize = 48;

/// Digits of the digest in an id.
const DIGEST_DIGITS: usize = 16;

/// Stands between the fields of a digest: no field contains it.
const SEPARATOR: &str = "\u{1f}";

/// Everything that decides what a loaded component is. All equal = one object; what does not apply is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ComponentKey {
    /// Where the model is from.
    pub provider: String,
    /// Its ref.
    pub reference: String,
    /// Its revision, or the digest of its snapshot.
    pub revision: String,
    /// The type of its weights.
    pub dtype: String,
    /// How they are quantized.
    pub quantization: String,
    /// Hash of the configuration of that.
    pub quantization_config: String,
    /// Where it is loaded to.
    pub device: Device,
    /// How it is spread there.
    pub placement: String,
    /// Which directory of the model it is.
    pub subfolder: String,
    /// Which parts it consists of.
    pub components: BTreeSet<String>,
    /// What is attached to it.
    pub adapter: String,
}

impl ComponentKey {
    /// A name for logs and reports: readable, and different for different keys.
    #[must_use]
    pub fn id(&self) -> String {
        let reference: String = self.reference.replace('/', "--").chars().take(REF_CHARS).collect();
        let device = match self.device {
            Device::Cpu => "cpu".to_owned(),
            Device::Cuda(ordinal) => ordinal.to_string(),
        };
        let components: Vec<_> = self.components.iter().map(String::as_str).collect();
        let components = components.join(",");
        let fields = [
            &self.provider,
            &self.reference,
            &self.revision,
            &self.dtype,
            &self.quantization,
            &self.quantization_config,
            &device,
            &self.placement,
            &self.subfolder,
            &components,
            &self.adapter,
        ];
        let mut digest = Digest::sha256(fields.map(String::as_str).join(SEPARATOR).as_bytes()).hex();
        digest.truncate(DIGEST_DIGITS);
        format!("shared::{reference}::dev{device}::{digest}")
    }
}
