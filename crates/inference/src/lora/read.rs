//! Reading an adapter from its file and checking it against the model. Blocks; owns nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use half::{bf16, f16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use super::names::{Role, parse};
use super::{Adapter, LoraError, LowRank, Target};
use crate::mapped::MappedFile;
use crate::model_dir::BertConfig;

/// Beside the file of an adapter, as PEFT writes it.
const CONFIG: &str = "adapter_config.json";

/// Largest such file; they have some hundred bytes.
const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// What PEFT says of an adapter besides its tensors.
#[derive(Debug, Default, Deserialize)]
struct Config {
    lora_alpha: Option<f32>,
    #[serde(default)]
    use_rslora: bool,
}

/// The tensors of one dense layer, as far as they were found.
#[derive(Default)]
struct Found<'a> {
    down: Option<TensorView<'a>>,
    up: Option<TensorView<'a>>,
    alpha: Option<f32>,
}

/// Reads the adapter in `path` for a model of this shape.
///
/// # Errors
///
/// When the file is damaged, holds something else, or does not fit the model.
pub(crate) fn read(path: &Path, model: &BertConfig) -> Result<Adapter, LoraError> {
    let file = MappedFile::open(path).map_err(|source| LoraError::Read { path: path.to_owned(), source })?;
    let tensors =
        SafeTensors::deserialize(file.bytes()).map_err(|source| LoraError::Header { path: path.to_owned(), source })?;
    let config = config(path);
    let mut found: BTreeMap<Target, Found<'_>> = BTreeMap::new();
    for (name, view) in tensors.iter() {
        let Some((target, role)) = parse(name, model.layers) else {
            return Err(LoraError::NoSuchPart { path: path.to_owned(), tensor: name.to_owned() });
        };
        let of_target = found.entry(target).or_default();
        match role {
            Role::Down => of_target.down = Some(view),
            Role::Up => of_target.up = Some(view),
            Role::Alpha => of_target.alpha = values(path, name, &view)?.first().copied(),
        }
    }
    let pairs = found.into_iter().map(|(target, found)| Ok((target, pair(path, target, found, &config, model)?)));
    Ok(Adapter { pairs: pairs.collect::<Result<_, LoraError>>()? })
}

fn pair(
    path: &Path,
    target: Target,
    found: Found<'_>,
    config: &Config,
    model: &BertConfig,
) -> Result<LowRank, LoraError> {
    let part = format!("encoder.layer.{}.{}", target.layer, target.part.name());
    let wrong = |detail: String| LoraError::Shape { path: path.to_owned(), part: part.clone(), detail };
    let (Some(down), Some(up)) = (found.down, found.up) else {
        return Err(wrong("one of its two matrices is missing".to_owned()));
    };
    let (input, output) = target.part.shape(model);
    let rank = down.shape().first().copied().unwrap_or(0);
    if rank == 0 || rank > input.max(output) || down.shape() != [rank, input] || up.shape() != [output, rank] {
        let (down, up) = (down.shape(), up.shape());
        return Err(wrong(format!("shapes {down:?} and {up:?}, the layer takes {input} values and gives {output}")));
    }
    #[expect(clippy::cast_precision_loss, reason = "ranks are small")]
    let width = rank as f32;
    let divisor = if config.use_rslora { width.sqrt() } else { width };
    let scale = found.alpha.or(config.lora_alpha).map_or(1.0, |alpha| alpha / divisor);
    let (down, up) = (values(path, &part, &down)?, values(path, &part, &up)?);
    if !scale.is_finite() || down.iter().chain(&up).any(|value| !value.is_finite()) {
        return Err(wrong("not all of its numbers are finite".to_owned()));
    }
    Ok(LowRank { rank, down, up, scale })
}

fn values(path: &Path, name: &str, view: &TensorView<'_>) -> Result<Vec<f32>, LoraError> {
    let bytes = view.data();
    Ok(match view.dtype() {
        Dtype::F32 => bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        Dtype::F16 => bytes.as_chunks::<2>().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(),
        Dtype::BF16 => bytes.as_chunks::<2>().0.iter().map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect(),
        other => {
            let (tensor, found) = (name.to_owned(), format!("{other:?}"));
            return Err(LoraError::Dtype { path: path.to_owned(), tensor, found });
        }
    })
}

/// What stands beside the file. Without it, or when it says nothing of use, scales are 1.
fn config(path: &Path) -> Config {
    let beside = path.with_file_name(CONFIG);
    let mut text = Vec::new();
    let read = File::open(beside).and_then(|file| file.take(CONFIG_BYTES_MAX).read_to_end(&mut text));
    read.ok().and_then(|_| serde_json::from_slice(&text).ok()).unwrap_or_default()
}
