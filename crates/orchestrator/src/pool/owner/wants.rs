//! Which models an attempt needs of the hub, and as whom they are asked for: what an endpoint declares as its owner, what a request
//! names as its tenant. A request that names what is declared anyway gets just that.

use super::Owner;
use crate::{
    payload,
    pool::{declared::Needs, live::Live, snapshots::ModelKey},
    request::ModelChoice,
};

/// A model of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Want {
    /// Its ref on the wire: workers compare it byte for byte (O24).
    pub(super) r#ref: String,
    /// What the hub is asked.
    pub(super) key: ModelKey,
    pub(super) origin: Origin,
}

/// Who wants it, and what that says of where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The endpoint declares it as a model of the hub.
    Declared,
    /// The request names it at this place, which takes models of the hub.
    Named(String),
    /// The request names it at this place, and nobody said of which provider it is.
    Unclear(String),
    /// The request names it for what is a model of another provider: its worker brings it, unless the hub has it too.
    Elsewhere(String),
    /// The request is made from it. Its files always go with the job: a worker takes no other word for who may have it.
    Source,
}

impl Owner {
    /// The models of the hub that an attempt needs; none where there is no hub.
    pub(super) fn wants(&self, live: &Live) -> Vec<Want> {
        let submitted = &live.request.submitted;
        let needs = self.declared.get(&submitted.function);
        let has_own = !submitted.options.models.is_empty();
        if !self.options.hub.is_present() || (needs.is_none() && !has_own) {
            return Vec::new();
        }
        let mut wants = Vec::new();
        if let Some(needs) = needs {
            let chosen = |slot: &str| submitted.options.models.iter().find(|choice| choice.slot == slot);
            let stays = |need: &str, slot: &str| chosen(slot).is_none_or(|choice| choice.r#ref == need);
            let declared = needs.of_hub().filter(|(need, _)| stays(&need.r#ref, &need.slot));
            wants.extend(declared.map(|(need, key)| Want {
                r#ref: need.r#ref.clone(),
                key: key.clone(),
                origin: Origin::Declared,
            }));
        }
        for choice in &submitted.options.models {
            named(choice, needs.map(|needs| &**needs), &submitted.tenant, &mut wants);
        }
        if needs.is_some_and(|needs| needs.has_source) {
            wants.extend(source(&submitted.payload, &submitted.tenant));
        }
        wants
    }
}

/// The models that a request names for one slot.
fn named(choice: &ModelChoice, needs: Option<&Needs>, tenant: &str, wants: &mut Vec<Want>) {
    let place = format!("slot `{}`", choice.slot);
    let need = needs.and_then(|needs| needs.slot(&choice.slot));
    let origin = match need {
        Some(need) if need.key.is_some() => Origin::Named(place),
        Some(_) => Origin::Elsewhere(place),
        None => Origin::Unclear(place),
    };
    let want = |reference: &str| Want {
        r#ref: reference.to_owned(),
        key: ModelKey { tenant: tenant.to_owned(), reference: reference.to_owned() },
        origin: origin.clone(),
    };
    if need.is_none_or(|need| need.r#ref != choice.r#ref) {
        wants.push(want(&choice.r#ref));
    }
    wants.extend(choice.loras.iter().map(|adapter| want(&adapter.r#ref)));
}

/// What a job is made from (9.8, model contract 3.10).
fn source(payload: &[u8], tenant: &str) -> Option<Want> {
    let r#ref = payload::source(payload)?;
    let key = ModelKey { tenant: tenant.to_owned(), reference: r#ref.clone() };
    Some(Want { r#ref, key, origin: Origin::Source })
}
