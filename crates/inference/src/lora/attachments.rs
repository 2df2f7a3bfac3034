//! Which adapters one model has at hand: those that were read, and those that are prepared for its encoder. Owns both
//! tables. A call keeps what it uses, whatever becomes of the tables meanwhile.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gen_worker_core::context::Lora;
use gen_worker_core::lora_overlays::{AttachLimits, Attached, ParsedLoras, attach_plan};

use super::{Active, Adapter, LoraError, Prepared, read};
use crate::model_dir::BertConfig;

/// The adapters of one model whose encoder takes them as `P`.
#[derive(Debug)]
pub(crate) struct Attachments<P> {
    limits: AttachLimits,
    table: Mutex<Table<P>>,
}

#[derive(Debug)]
struct Table<P> {
    parsed: ParsedLoras<Adapter>,
    /// The one used longest ago first.
    attached: Vec<(Attached, Arc<Prepared<P>>)>,
}

impl<P> Attachments<P> {
    /// None yet.
    pub(crate) fn new(limits: AttachLimits) -> Self {
        Self { limits, table: Mutex::new(Table { parsed: ParsedLoras::default(), attached: Vec::new() }) }
    }

    /// The adapters of a call, read and prepared as far as they are not at hand. `prepare` may be called for one that
    /// another call prepares at the same time: then one of the two is dropped.
    ///
    /// # Errors
    ///
    /// When one of them cannot be read or does not fit the model, there are too many, or `prepare` fails.
    pub(crate) fn activate<E: From<LoraError>>(
        &self,
        loras: &[Lora],
        config: &BertConfig,
        prepare: impl Fn(&Adapter) -> Result<Prepared<P>, E>,
    ) -> Result<Active<P>, E> {
        let adapters = loras.iter().map(|lora| self.parsed(lora, config)).collect::<Result<Vec<_>, _>>()?;
        let wanted =
            loras.iter().zip(&adapters).map(|(lora, adapter)| Attached { id: lora.id.clone(), bytes: adapter.bytes() });
        let wanted: Vec<_> = wanted.collect();
        // What cannot be attached is not prepared.
        attach_plan(&[], &wanted, self.limits).map_err(LoraError::from)?;
        let mut active = Vec::with_capacity(loras.len());
        for ((lora, adapter), attached) in loras.iter().zip(&adapters).zip(&wanted) {
            let there = self.lock().attached(&attached.id);
            let prepared = match there {
                Some(prepared) => prepared,
                None => Arc::new(prepare(adapter)?),
            };
            #[expect(clippy::cast_possible_truncation, reason = "a weight is within 4 of zero")]
            active.push((prepared, lora.weight as f32));
        }
        self.keep(&wanted, &active).map_err(LoraError::from)?;
        Ok(Active(active))
    }

    /// Lets go of everything that is prepared: it is of no use elsewhere.
    pub(crate) fn detach_all(&self) {
        self.lock().attached.clear();
    }

    /// How many are attached, and their bytes together.
    pub(crate) fn held(&self) -> (usize, u64) {
        let table = self.lock();
        (table.attached.len(), table.attached.iter().map(|(attached, _)| attached.bytes).sum())
    }

    fn parsed(&self, lora: &Lora, config: &BertConfig) -> Result<Arc<Adapter>, LoraError> {
        if let Some(adapter) = self.lock().parsed.get(&lora.id) {
            return Ok(adapter);
        }
        let adapter = Arc::new(read(&lora.file, config)?);
        self.lock().parsed.insert(&lora.id, adapter.clone(), adapter.bytes());
        Ok(adapter)
    }

    /// Keeps what a call uses attached; others go as far as the bounds ask for it.
    fn keep(
        &self,
        wanted: &[Attached],
        active: &[(Arc<Prepared<P>>, f32)],
    ) -> Result<(), gen_worker_core::lora_overlays::LoraError> {
        let mut table = self.lock();
        let there: Vec<_> = table.attached.iter().map(|(attached, _)| attached.clone()).collect();
        let plan = attach_plan(&there, wanted, self.limits)?;
        let mut at = 0;
        table.attached.retain(|(attached, _)| {
            let stays = !plan.detach.contains(&at) && !wanted.contains(attached);
            at += 1;
            stays
        });
        // Those of this call are now the ones used last.
        table.attached.extend(wanted.iter().cloned().zip(active.iter().map(|(prepared, _)| prepared.clone())));
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Table<P>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P> Table<P> {
    fn attached(&self, id: &str) -> Option<Arc<Prepared<P>>> {
        let found = self.attached.iter().find(|(attached, _)| attached.id == id);
        found.map(|(_, prepared)| prepared.clone())
    }
}
