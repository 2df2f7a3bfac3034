//! Tensors of a safetensors checkpoint, read through a memory map.
//!
//! The header is parsed and checked by the `safetensors` crate; each tensor is then asked for by name and shape, so
//! a checkpoint that differs from its configuration is refused before any arithmetic. f32 tensors are views of the
//! file; narrower ones are converted when they are asked for.
//!
//! The map lives as long as any tensor that views it. Truncating a model file while it is mapped stops the process
//! (SIGBUS), as with every memory map: replace model files, never rewrite them.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use float8::F8E4M3;
use half::{bf16, f16};
use safetensors::tensor::{Metadata, SafeTensors};
use safetensors::{Dtype, SafeTensorError};
use thiserror::Error;

use crate::mapped::MappedFile;

/// Largest header read, in bytes. A BERT checkpoint has a few hundred tensors of about 150 header bytes each.
const HEADER_SIZE_BYTES_MAX: u64 = 16 << 20;

/// Bytes of the length in front of the header.
const PREFIX_BYTES: usize = 8;

/// Why weights could not be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The file cannot be opened or mapped.
    #[error("cannot read weights {}", path.display())]
    Open {
        /// The weights file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The header names a size that no checkpoint has, or the file is too short to hold one.
    #[error("{} is not a safetensors file: {size_bytes} bytes of file, header of {header_bytes} bytes, at most {HEADER_SIZE_BYTES_MAX} expected", path.display())]
    HeaderSize {
        /// The weights file.
        path: PathBuf,
        /// Size of the file.
        size_bytes: u64,
        /// Size of the header by the file's own word.
        header_bytes: u64,
    },
    /// The header is damaged, or does not describe the rest of the file.
    #[error("{} is not a complete safetensors file", path.display())]
    Header {
        /// The weights file.
        path: PathBuf,
        /// What is wrong with it.
        source: SafeTensorError,
    },
    /// A tensor that the model needs is not in the file.
    #[error("{} has no tensor {name:?} of shape {expected:?}", path.display())]
    Missing {
        /// The weights file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The shape it should have.
        expected: Vec<usize>,
    },
    /// A tensor has another shape than the configuration says.
    #[error("tensor {name:?} in {} has shape {found:?}, the configuration says {expected:?}", path.display())]
    Shape {
        /// The weights file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The shape by the configuration.
        expected: Vec<usize>,
        /// The shape by the file.
        found: Vec<usize>,
    },
    /// A tensor has a type that is not a supported float.
    #[error("tensor {name:?} in {} has type {found}, expected F32, F16, BF16 or F8_E4M3", path.display())]
    Dtype {
        /// The weights file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The type by the file.
        found: String,
    },
}

/// A checkpoint: its map and its table of tensors.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    file: Arc<MappedFile>,
    path: PathBuf,
    metadata: Metadata,
    data_start: usize,
    prefix: &'static str,
}

/// The values of one tensor in f32.
#[derive(Debug, Clone)]
pub(crate) enum Tensor {
    /// A view of the file. The bytes are aligned and a whole number of values: checked when this was made.
    Mapped { file: Arc<MappedFile>, bytes: Range<usize> },
    /// Converted, or copied because the file does not align it.
    Owned(Arc<[f32]>),
}

impl Tensor {
    /// The values in row-major order.
    pub(crate) fn values(&self) -> &[f32] {
        match self {
            Self::Owned(values) => values,
            Self::Mapped { file, bytes } => {
                bytemuck::try_cast_slice(&file.bytes()[bytes.clone()]).expect("alignment was checked at load")
            }
        }
    }
}

impl Checkpoint {
    /// Maps `path` and reads its header.
    ///
    /// # Errors
    ///
    /// When the file cannot be mapped or its header does not describe it exactly.
    pub(crate) fn open(path: &Path) -> Result<Self, WeightsError> {
        let file = MappedFile::open(path).map_err(|source| WeightsError::Open { path: path.to_owned(), source })?;
        let bytes = file.bytes();
        let size_bytes = bytes.len() as u64;
        let header_bytes = bytes.first_chunk::<PREFIX_BYTES>().map_or(0, |prefix| u64::from_le_bytes(*prefix));
        if header_bytes == 0 || header_bytes > HEADER_SIZE_BYTES_MAX || header_bytes > size_bytes {
            return Err(WeightsError::HeaderSize { path: path.to_owned(), size_bytes, header_bytes });
        }
        let (header, metadata) = SafeTensors::read_metadata(bytes)
            .map_err(|source| WeightsError::Header { path: path.to_owned(), source })?;
        let bare = metadata.info("embeddings.word_embeddings.weight").is_some();
        let prefix = if bare { "" } else { "bert." };
        Ok(Self { file: Arc::new(file), path: path.to_owned(), metadata, data_start: PREFIX_BYTES + header, prefix })
    }

    /// The tensor `name` (without a `bert.` prefix), which has to have `shape`.
    ///
    /// # Errors
    ///
    /// When it is missing, has another shape, or is no float type.
    pub(crate) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor, WeightsError> {
        let name = format!("{}{name}", self.prefix);
        let Some(info) = self.metadata.info(&name) else {
            return Err(WeightsError::Missing { path: self.path.clone(), name, expected: shape.to_vec() });
        };
        if info.shape != shape {
            let (expected, found) = (shape.to_vec(), info.shape.clone());
            return Err(WeightsError::Shape { path: self.path.clone(), name, expected, found });
        }
        let range = self.data_start + info.data_offsets.0..self.data_start + info.data_offsets.1;
        let bytes = self.file.bytes().get(range.clone()).expect("the header was checked against the file's length");
        match info.dtype {
            Dtype::F32 => Ok(self.single(bytes, range)),
            Dtype::F16 => Ok(Tensor::Owned(widen(bytes, |bits| f16::from_le_bytes(bits).to_f32()))),
            Dtype::BF16 => Ok(Tensor::Owned(widen(bytes, |bits| bf16::from_le_bytes(bits).to_f32()))),
            Dtype::F8_E4M3 => Ok(Tensor::Owned(bytes.iter().map(|bits| F8E4M3::from_bits(*bits).to_f32()).collect())),
            other => Err(WeightsError::Dtype { path: self.path.clone(), name, found: format!("{other:?}") }),
        }
    }

    /// The gain of a LayerNorm: `weight`, or `gamma` in checkpoints converted from TensorFlow.
    pub(crate) fn layer_norm_gain(&self, name: &str, width: usize) -> Result<Tensor, WeightsError> {
        self.tensor(&self.either(name, "weight", "gamma"), &[width])
    }

    /// The shift of a LayerNorm: `bias`, or `beta` in checkpoints converted from TensorFlow.
    pub(crate) fn layer_norm_shift(&self, name: &str, width: usize) -> Result<Tensor, WeightsError> {
        self.tensor(&self.either(name, "bias", "beta"), &[width])
    }

    fn either(&self, name: &str, usual: &str, old: &str) -> String {
        let has_old = self.metadata.info(&format!("{}{name}.{old}", self.prefix)).is_some();
        format!("{name}.{}", if has_old { old } else { usual })
    }

    fn single(&self, bytes: &[u8], range: Range<usize>) -> Tensor {
        if cfg!(target_endian = "little") && bytemuck::try_cast_slice::<u8, f32>(bytes).is_ok() {
            return Tensor::Mapped { file: Arc::clone(&self.file), bytes: range };
        }
        Tensor::Owned(bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }
}

fn widen(bytes: &[u8], convert: impl Fn([u8; 2]) -> f32) -> Arc<[f32]> {
    bytes.as_chunks::<2>().0.iter().map(|bits| convert(*bits)).collect()
}
