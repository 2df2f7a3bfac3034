//! What a worker is told to bring and to load before anybody asks it to run something (O22, model contract 13.1), as a plain function
//! of a snapshot.
//!
//! The problem. A worker offers functions whose models the hub has. One that is still **loading** takes no requests until all its
//! models are there and set up; one that is **available** may have lost a model, or have files of an older version of it; a
//! **broken** one failed to set up, and may work with other files. Wanted: what requests wait for first, the rest as far as there is
//! room, and nothing for a ref that is under way, or that has failed a moment ago.
//!
//! A function with several models has them brought first, side by side, and is loaded when all are there: a load brings only the
//! files of the one ref it names.

/// Free accelerator memory that is left alone, as workers leave it themselves (model contract, 9.10).
const RESERVE_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// How a function stands on the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It takes requests.
    Available,
    /// Its models are not ready.
    Loading,
    /// It could not be set up.
    Broken,
}

/// A model of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model<'a> {
    /// Its ref.
    pub r#ref: &'a str,
    /// Digest of the files that the hub gives for it now; `None` when it gives none.
    pub wanted: Option<&'a str>,
    /// Size of those files.
    pub bytes: u64,
    /// Whether the worker has it at all.
    pub is_held: bool,
    /// Digest of what the worker has, when that is known.
    pub held: Option<&'a str>,
    /// Something is under way for it, or has just failed.
    pub is_busy: bool,
    /// Whether the worker was sent the wanted files already.
    pub is_tried: bool,
}

/// A function that the worker offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function<'a> {
    /// How it stands.
    pub standing: Standing,
    /// Whether requests wait for it and no other worker has it available.
    pub is_awaited: bool,
    /// Its models of the hub; at least one.
    pub models: Vec<Model<'a>>,
}

/// A worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot<'a> {
    /// What it offers.
    pub functions: Vec<Function<'a>>,
    /// Accelerator memory that is free and not spoken for; `None` without accelerators, whose worker refuses by itself what does not
    /// fit in host memory.
    pub free_bytes: Option<u64>,
}

/// Something to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step<'a> {
    /// Bring the files.
    Download(&'a str),
    /// Bring what is missing and set up.
    Load(&'a str),
}

impl<'a> Step<'a> {
    /// The ref it is about.
    #[must_use]
    pub fn reference(self) -> &'a str {
        match self {
            Self::Download(reference) | Self::Load(reference) => reference,
        }
    }
}

/// What to send, at most one step for each ref.
#[must_use]
pub fn plan<'a>(snapshot: &Snapshot<'a>) -> Vec<Step<'a>> {
    let mut steps: Vec<Step<'a>> = Vec::new();
    let mut free_bytes = snapshot.free_bytes;
    let (awaited, others): (Vec<_>, Vec<_>) = snapshot.functions.iter().partition(|function| function.is_awaited);
    for function in awaited.into_iter().chain(others) {
        let mut loads = false;
        for step in next(function, free_bytes) {
            // Two slots, and two functions, may have one model.
            if steps.iter().all(|other| other.reference() != step.reference()) {
                loads |= matches!(step, Step::Load(_));
                steps.push(step);
            }
        }
        if loads {
            free_bytes = free_bytes.map(|free| free.saturating_sub(bytes(function)));
        }
    }
    steps
}

/// The steps of one function.
fn next<'a>(function: &Function<'a>, free_bytes: Option<u64>) -> Vec<Step<'a>> {
    let fits = free_bytes.is_none_or(|free| free >= bytes(function).saturating_add(RESERVE_BYTES));
    let loads = match function.standing {
        Standing::Available => false,
        Standing::Loading => function.is_awaited || fits,
        // The same files would only fail again.
        Standing::Broken => function.models.iter().any(|model| model.wanted.is_some() && !model.is_tried),
    };
    let missing = |model: &&Model<'a>| !model.is_held;
    let is_there = |model: &Model<'a>| model.is_held || function.models.len() == 1;
    if loads && function.models.iter().all(is_there) {
        return load(function).into_iter().collect();
    }
    let outdated = |model: &&Model<'a>| model.held.is_some() && model.held != model.wanted;
    let can_come = |model: &&Model<'a>| model.wanted.is_some() && !model.is_busy;
    let wanted = function.models.iter().filter(|model| missing(model) || outdated(model)).filter(can_come);
    wanted.map(|model| Step::Download(model.r#ref)).collect()
}

/// Loads a function whose models are there, or whose only model comes with the command. Nothing while one of them is under way.
fn load<'a>(function: &Function<'a>) -> Option<Step<'a>> {
    if function.models.iter().any(|model| model.is_busy) {
        return None;
    }
    let with_files = function.models.iter().find(|model| model.wanted.is_some());
    let model = with_files.or_else(|| function.models.iter().find(|model| model.is_held))?;
    Some(Step::Load(model.r#ref))
}

fn bytes(function: &Function<'_>) -> u64 {
    function.models.iter().fold(0, |sum, model| sum.saturating_add(model.bytes))
}

#[cfg(test)]
mod tests;
