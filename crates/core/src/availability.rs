//! What this worker can run right now, and when the orchestrator must hear about it: the wire contract, sections
//! 12.1, 12.2, 12.6 and rules W6, W7, W20.
//!
//! Owns the phase, the state of every function and what was last said on the current connection. Sends nothing:
//! it answers which messages are due.

use std::collections::BTreeMap;

use gen_worker_proto::{FunctionName, pb};

/// Why a function is disabled here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// One word of the contract's vocabulary, for example `setup_failed`.
    pub reason: String,
    /// Text for people, already fit for a client.
    pub detail: String,
    /// Facts of the gate that failed.
    pub axes: BTreeMap<String, String>,
    /// The machine lacks something: nothing that happens in this process can change it.
    pub permanent: bool,
}

/// Whether a function can be dispatched to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It needs nothing, or what it needs is set up.
    Ready,
    /// Its instance is not set up yet; a job would do that first.
    Loading,
}

#[derive(Clone, Debug)]
struct FunctionState {
    readiness: Readiness,
    disabled: Option<Unavailable>,
    /// Whether the current failure was already told on this connection.
    announced: bool,
}

/// The worker's availability.
#[derive(Clone, Debug)]
pub struct Availability {
    phase: pb::WorkerPhase,
    functions: BTreeMap<FunctionName, FunctionState>,
    draining: bool,
    free_vram_bytes: i64,
    told: Option<pb::StateDelta>,
    /// Something may differ from what was told. The loop asks after every turn; nearly always nothing changed.
    touched: bool,
}

impl Availability {
    /// A booting worker with these functions.
    #[must_use]
    pub fn new(functions: impl IntoIterator<Item = (FunctionName, Readiness)>) -> Self {
        let functions = functions
            .into_iter()
            .map(|(name, readiness)| (name, FunctionState { readiness, disabled: None, announced: false }))
            .collect();
        let phase = pb::WorkerPhase::Booting;
        Self { phase, functions, draining: false, free_vram_bytes: 0, told: None, touched: false }
    }

    /// Moves the phase forward. Steps back are ignored and an error is final.
    pub fn advance(&mut self, phase: pb::WorkerPhase) {
        if self.phase != pb::WorkerPhase::Error && phase > self.phase {
            self.phase = phase;
            self.touched = true;
        }
    }

    /// No function is offered from now on.
    pub fn drain(&mut self) {
        self.draining = true;
        self.touched = true;
    }

    /// Free accelerator memory, as it is told.
    pub fn free_vram(&mut self, bytes: i64) {
        self.touched |= self.free_vram_bytes != bytes;
        self.free_vram_bytes = bytes;
    }

    /// Whether the function is set up and not disabled.
    #[must_use]
    pub fn is_ready(&self, function: &FunctionName) -> bool {
        let ready = |state: &FunctionState| state.readiness == Readiness::Ready && state.disabled.is_none();
        self.functions.get(function).is_some_and(ready)
    }

    /// Its instance is set up: the function is offered, and an earlier failure is forgotten.
    pub fn ready(&mut self, function: &FunctionName) {
        if let Some(state) = self.functions.get_mut(function)
            && !state.disabled.as_ref().is_some_and(|why| why.permanent)
        {
            *state = FunctionState { readiness: Readiness::Ready, disabled: None, announced: false };
            self.touched = true;
        }
    }

    /// Its instance is gone: the next job would set it up again.
    pub fn unloaded(&mut self, function: &FunctionName) {
        if let Some(state) = self.functions.get_mut(function) {
            state.readiness = Readiness::Loading;
            self.touched = true;
        }
    }

    /// The function cannot run here until [`Availability::ready`]. Returns the message to send, or nothing when
    /// this failure was already told on this connection.
    pub fn disable(&mut self, function: &FunctionName, why: Unavailable) -> Option<pb::FnUnavailable> {
        let state = self.functions.get_mut(function)?;
        let known = state.announced && state.disabled.as_ref() == Some(&why);
        state.disabled = Some(why);
        state.announced = true;
        self.touched = true;
        if known { None } else { unavailable(function, state) }
    }

    /// Why `function` is disabled, if it is.
    #[must_use]
    pub fn disabled(&self, function: &FunctionName) -> Option<&Unavailable> {
        self.functions.get(function)?.disabled.as_ref()
    }

    /// A connection is being opened: nothing was told on it yet. Returns the state for its Hello.
    pub fn connecting(&mut self) -> pb::StateDelta {
        self.told = None;
        for state in self.functions.values_mut() {
            state.announced = false;
        }
        self.snapshot()
    }

    /// What follows every HelloAck (W6): one message per disabled function, then the state even if it is the same.
    pub fn acknowledged(&mut self) -> (Vec<pb::FnUnavailable>, pb::StateDelta) {
        let disabled = self
            .functions
            .iter_mut()
            .filter_map(|(name, state)| {
                let message = unavailable(name, state);
                state.announced |= message.is_some();
                message
            })
            .collect();
        let state = self.snapshot();
        self.told = Some(state.clone());
        (disabled, state)
    }

    /// The state, if it differs from what was last sent on this connection (W7). Nothing before the first
    /// acknowledgement.
    pub fn changed(&mut self) -> Option<pb::StateDelta> {
        let told = self.told.as_ref()?;
        if !std::mem::take(&mut self.touched) {
            return None;
        }
        let state = self.snapshot();
        if *told == state {
            return None;
        }
        self.told = Some(state.clone());
        Some(state)
    }

    fn snapshot(&self) -> pb::StateDelta {
        let list = |want: Readiness| {
            self.functions
                .iter()
                .filter(|(_, state)| !self.draining && state.disabled.is_none() && state.readiness == want)
                .map(|(name, _)| name.as_str().to_owned())
                .collect()
        };
        pb::StateDelta {
            phase: self.phase.into(),
            available_functions: list(Readiness::Ready),
            loading_functions: list(Readiness::Loading),
            free_vram_bytes: self.free_vram_bytes,
        }
    }
}

fn unavailable(function: &FunctionName, state: &FunctionState) -> Option<pb::FnUnavailable> {
    let why = state.disabled.as_ref()?;
    Some(pb::FnUnavailable {
        function_name: function.as_str().to_owned(),
        reason: why.reason.clone(),
        detail: why.detail.clone(),
        axes: why.axes.clone(),
    })
}

#[cfg(test)]
mod tests;
