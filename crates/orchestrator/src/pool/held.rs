//! The models that one worker holds, as its Hello and its events tell (O5, 11.3), and what the pool knows beside: which digest it
//! gave, and when it last sent a job that uses them.

use std::collections::BTreeMap;

use gen_worker_proto::pb::{ModelState, ResidencyTier};

use super::{clock::Tick, views::ResidencyView};
use crate::{
    scheduler::Tier,
    session::report::{ModelPlace, ModelReport},
};

/// Most models remembered per worker; a worker with more has the rest unlisted.
const MODELS_MAX: usize = 4_096;

/// The models of a worker, by ref.
#[derive(Debug, Default)]
pub(crate) struct Held(BTreeMap<String, Model>);

#[derive(Debug)]
struct Model {
    tier: ResidencyTier,
    vram_bytes: i64,
    download: Option<(i64, i64)>,
    /// Of the files it has, when they came from here on this connection.
    digest: Option<String>,
    used: Tick,
}

impl Model {
    fn at(tier: ResidencyTier, vram_bytes: i64) -> Self {
        Self { tier, vram_bytes, download: None, digest: None, used: Tick::default() }
    }
}

impl Held {
    /// Replaces everything by what a Hello lists.
    pub(crate) fn replace(&mut self, models: Vec<ModelPlace>) {
        let model = |place: ModelPlace| (place.r#ref, Model::at(place.tier, place.vram_bytes));
        self.0 = models.into_iter().take(MODELS_MAX).map(model).collect();
    }

    /// Applies an event; failures and adoptions leave the view as it was (O21). Tells whether a tier has changed.
    pub(crate) fn event(&mut self, event: &ModelReport) -> bool {
        let before = self.tier(&event.r#ref);
        match event.state {
            ModelState::OnDisk => self.moved(event, ResidencyTier::Disk),
            ModelState::InRam => self.moved(event, ResidencyTier::Ram),
            ModelState::InVram => self.moved(event, ResidencyTier::Vram),
            ModelState::Downloading => {
                if let Some(model) = self.entry(&event.r#ref) {
                    model.download = Some((event.bytes_done, event.bytes_total));
                }
            }
            ModelState::Evicted => drop(self.0.remove(&event.r#ref)),
            ModelState::Failed => self.failed(&event.r#ref),
            ModelState::Adopted | ModelState::Unspecified => {}
        }
        self.tier(&event.r#ref) != before
    }

    fn moved(&mut self, event: &ModelReport, tier: ResidencyTier) {
        if let Some(model) = self.entry(&event.r#ref) {
            (model.tier, model.vram_bytes, model.download) = (tier, event.vram_bytes, None);
        }
    }

    /// The tier stays; a download that failed is no longer under way.
    fn failed(&mut self, reference: &str) {
        if let Some(model) = self.0.get_mut(reference) {
            model.download = None;
            if model.tier == ResidencyTier::Unspecified {
                self.0.remove(reference);
            }
        }
    }

    fn entry(&mut self, reference: &str) -> Option<&mut Model> {
        if self.0.len() >= MODELS_MAX && !self.0.contains_key(reference) {
            return None;
        }
        Some(self.0.entry(reference.to_owned()).or_insert_with(|| Model::at(ResidencyTier::Unspecified, 0)))
    }

    /// Where a model is; unspecified when it is not there.
    pub(crate) fn tier(&self, reference: &str) -> ResidencyTier {
        self.0.get(reference).map_or(ResidencyTier::Unspecified, |model| model.tier)
    }

    /// Whether the worker has it at all.
    pub(crate) fn has(&self, reference: &str) -> bool {
        self.tier(reference) != ResidencyTier::Unspecified
    }

    /// The place of the one of these models that is farthest from use. `has_vram` = models are used on accelerators here.
    pub(crate) fn farthest<'a>(&self, references: impl Iterator<Item = &'a str>, has_vram: bool) -> Tier {
        let tier = |reference| match self.tier(reference) {
            ResidencyTier::Vram => Tier::Ready,
            ResidencyTier::Ram if !has_vram => Tier::Ready,
            ResidencyTier::Ram => Tier::Ram,
            ResidencyTier::Disk => Tier::Disk,
            ResidencyTier::Unspecified => Tier::Absent,
        };
        references.map(tier).max().unwrap_or_default()
    }

    /// Of which files a model is; none when that is not known.
    pub(crate) fn digest(&self, reference: &str) -> Option<&str> {
        self.0.get(reference)?.digest.as_deref()
    }

    /// The worker took these files for the model.
    pub(crate) fn learn(&mut self, reference: &str, digest: &str) {
        if let Some(model) = self.0.get_mut(reference).filter(|model| model.tier != ResidencyTier::Unspecified) {
            model.digest = Some(digest.to_owned());
        }
    }

    /// The worker seems not to have what it told of: the next job brings the files along.
    pub(crate) fn distrust(&mut self, reference: &str) {
        if let Some(model) = self.0.get_mut(reference) {
            model.digest = None;
        }
    }

    /// A job that uses it was sent.
    pub(crate) fn touch(&mut self, reference: &str, now: Tick) {
        if let Some(model) = self.0.get_mut(reference) {
            model.used = now;
        }
    }

    /// The loaded model that was not used for the longest time, of those that may go.
    pub(crate) fn least_used(&self, may_go: impl Fn(&str) -> bool) -> Option<String> {
        let loaded = |model: &Model| matches!(model.tier, ResidencyTier::Vram | ResidencyTier::Ram);
        let candidates = self.0.iter().filter(|(name, model)| loaded(model) && may_go(name));
        // What takes accelerator memory goes before what only waits in host memory.
        let first = candidates.min_by_key(|(_, model)| (model.tier != ResidencyTier::Vram, model.used));
        first.map(|(name, _)| name.clone())
    }

    /// As clients see it.
    pub(crate) fn views(&self) -> Vec<ResidencyView> {
        let view = |(name, model): (&String, &Model)| ResidencyView {
            r#ref: name.clone(),
            tier: match model.tier {
                ResidencyTier::Unspecified => "none",
                ResidencyTier::Disk => "disk",
                ResidencyTier::Ram => "ram",
                ResidencyTier::Vram => "vram",
            },
            vram_bytes: model.vram_bytes,
            download: model.download,
        };
        self.0.iter().map(view).collect()
    }
}
