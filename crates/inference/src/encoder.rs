//! The fused BERT encoder for CPUs.
//!
//! ```text
//! pass 0        embeddings + LayerNorm ............................ query, key, value of layer 0
//! pass l (1..)  attention . output + residual + LayerNorm . feed-forward + residual + LayerNorm . q, k, v of layer l
//! ```
//! A pass is one parallel loop over blocks of rows; between passes there is one barrier, because attention reads the
//! keys and values of whole sequences. Within a pass a block goes through everything while it is in the core's
//! own cache: biases and residuals start the accumulators, GELU runs on a slice of the intermediate values right
//! after they are computed, and no mask, transpose or padding exists.
//!
//! The encoder owns the packed weights. Activations belong to a [`Workspace`] the caller lends. It does not know
//! texts, tokenizers or pooling.

mod attention;
mod blocks;
mod embeddings;
mod layer;
mod overlay;
mod workspace;

use rayon::prelude::*;

pub(crate) use overlay::PackedPair;
pub(crate) use workspace::Workspace;

use crate::kernel::{Activation, Kernels};
use crate::lora::{Active, Adapter, Prepared};
use crate::model_dir::BertConfig;
use crate::packing::PackedBatch;
use crate::weights::{Checkpoint, WeightsError};
use attention::Projected;
use blocks::Block;
use embeddings::Embeddings;
use layer::Layer;
use overlay::Overlays;

/// Dimensions that the blocks of a pass are cut by.
#[derive(Debug, Clone, Copy)]
struct Shape {
    hidden: usize,
    heads: usize,
    head: usize,
    activation: Activation,
    epsilon: f32,
}

/// The caller asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Canceled;

/// A loaded encoder. Immutable: any number of threads may run it, each with its own workspace.
#[derive(Debug)]
pub(crate) struct FusedEncoder {
    kernels: Kernels,
    shape: Shape,
    embeddings: Embeddings,
    layers: Vec<Layer>,
}

impl FusedEncoder {
    /// Reads and packs the weights, in parallel over layers.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or differs from what `config` says.
    pub(crate) fn load(checkpoint: &Checkpoint, config: &BertConfig, kernels: Kernels) -> Result<Self, WeightsError> {
        let embeddings = Embeddings::load(checkpoint, config)?;
        let layers = (0..config.layers)
            .into_par_iter()
            .map(|index| Layer::load(checkpoint, config, kernels, index))
            .collect::<Result<Vec<_>, _>>()?;
        let shape = Shape {
            hidden: config.hidden_size,
            heads: config.heads,
            head: config.head_size(),
            activation: config.activation,
            epsilon: config.layer_norm_epsilon,
        };
        Ok(Self { kernels, shape, embeddings, layers })
    }

    /// Runs the batch and leaves one vector per row in `workspace.hidden()`.
    ///
    /// `canceled` is asked before every layer. Work is spread over the current rayon pool.
    ///
    /// # Errors
    ///
    /// [`Canceled`] when `canceled` returned true.
    pub(crate) fn run(
        &self,
        batch: &PackedBatch,
        adapters: &Active<PackedPair>,
        workspace: &mut Workspace,
        canceled: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), Canceled> {
        workspace.reserve(batch.rows(), self.shape.hidden);
        let ranges = blocks::cut(batch.rows(), rayon::current_num_threads());
        for index in 0..=self.layers.len() {
            if canceled() {
                return Err(Canceled);
            }
            self.pass(batch, adapters, workspace, &ranges, index);
            workspace.swap();
        }
        Ok(())
    }

    /// What its packed weights take. Tables that stay in the mapped file count as what they are there.
    pub(crate) fn bytes(&self) -> u64 {
        let values = self.embeddings.values() + self.layers.iter().map(Layer::values).sum::<usize>();
        values as u64 * size_of::<f32>() as u64
    }

    /// An adapter, packed for the kernels of this encoder.
    pub(crate) fn prepare(&self, adapter: &Adapter) -> Prepared<PackedPair> {
        adapter.pairs.iter().map(|(target, pair)| (*target, PackedPair::new(pair, self.kernels))).collect()
    }

    /// One parallel loop: finish the layer before `index` (or embed), then start that one.
    fn pass(
        &self,
        batch: &PackedBatch,
        adapters: &Active<PackedPair>,
        workspace: &mut Workspace,
        ranges: &[std::ops::Range<usize>],
        index: usize,
    ) {
        let previous = index.checked_sub(1).and_then(|index| Some((index, self.layers.get(index)?)));
        let (hidden, current, upcoming, scratches) = workspace.parts();
        let blocks = blocks::split(ranges, hidden, upcoming, self.shape.hidden);
        blocks.into_par_iter().with_max_len(1).for_each(|block| {
            let mut scratch = scratches.take();
            let Block { rows, hidden, projected, keys } = block;
            let rows_count = rows.len();
            let overlays = |layer| Overlays { kernels: self.kernels, active: adapters, layer, rows: rows_count };
            match previous {
                None => self.embeddings.embed(self.kernels, self.shape, batch.tokens(rows), hidden),
                Some((index, layer)) => {
                    let projected = Projected { batch, ranges, values: &current.rows, keys: &current.keys };
                    layer.finish(self.shape, overlays(index), projected, rows, hidden, &mut scratch);
                }
            }
            if let Some(layer) = self.layers.get(index) {
                layer.project(self.shape, overlays(index), hidden, projected, keys);
            }
            scratches.put(scratch);
        });
    }
}
