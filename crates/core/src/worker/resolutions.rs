//! Which models future set-ups take instead of the declared ones (wire contract, 11.9). Owns no state: each instance
//! keeps what it was made from and what the next one is made from.

use tracing::{debug, warn};

use super::serving::Serving;
use crate::Binding;

impl Serving {
    /// Applies what the latest acknowledgement says. Instances that are there stay; what it leaves out falls back to
    /// what was declared.
    pub(super) fn resolve_models(&self) {
        let resolutions = &self.acknowledged.resolutions;
        let resolve = |declared: &Binding| {
            let reference = declared.wire_ref();
            let told = resolutions.iter().find(|told| told.r#ref == reference && !told.resolved_ref.is_empty())?;
            if told.resolved_ref == reference {
                return None;
            }
            let resolved = declared.resolved(&told.resolved_ref);
            match &resolved {
                Some(_) => debug!(model = reference, resolved = told.resolved_ref, "set-ups take another flavor"),
                None => warn!(model = reference, resolved = told.resolved_ref, "ignored: more than the flavor changes"),
            }
            resolved
        };
        for cell in self.roster.cells() {
            cell.resolve(resolve);
        }
    }
}
