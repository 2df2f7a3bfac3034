//! Which function a command means.

use gen_worker_proto::slug;

#[cfg(test)]
mod tests;

/// A function as far as selection looks at it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<'a> {
    /// Routable name.
    pub(crate) slug: &'a str,
    /// Type of a stateful endpoint.
    pub(crate) class: Option<&'a str>,
    /// Handler attribute name of a stateful endpoint.
    pub(crate) method: Option<&'a str>,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted<'a> {
    /// Type name.
    pub(crate) class: Option<&'a str>,
    /// Handler attribute name or slug, in either spelling.
    pub(crate) method: Option<&'a str>,
    /// Name of the endpoint binary: without filters, the function of that name is meant.
    pub(crate) main: &'a str,
}

/// Why no single function is meant.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SelectError {
    #[error("no endpoint function matches; available: {0}")]
    NoMatch(String),
    #[error("ambiguous: {0} functions match, choose with --method (and --class): {1}")]
    Ambiguous(usize, String),
    #[error("this endpoint has no functions")]
    Empty,
}

/// The index of the one function that is meant. Filters are conjunctive.
///
/// # Errors
/// When none or several match; the text lists the candidates.
pub(crate) fn select(candidates: &[Candidate<'_>], wanted: Wanted<'_>) -> Result<usize, SelectError> {
    if candidates.is_empty() {
        return Err(SelectError::Empty);
    }
    let matching: Vec<(usize, &Candidate<'_>)> =
        candidates.iter().enumerate().filter(|(_, candidate)| matches(candidate, wanted)).collect();
    match matching.as_slice() {
        [] => Err(SelectError::NoMatch(listing(candidates.iter()))),
        [(only, _)] => Ok(*only),
        several => {
            let default = match (wanted.class, wanted.method) {
                (_, Some(method)) => Some(slug(method)),
                (None, None) => Some(slug(wanted.main)),
                (Some(_), None) => None,
            };
            let mut exact = several.iter().filter(|(_, candidate)| default.as_deref() == Some(candidate.slug));
            match (exact.next(), exact.next()) {
                (Some((index, _)), None) => Ok(*index),
                _ => {
                    Err(SelectError::Ambiguous(several.len(), listing(several.iter().map(|(_, candidate)| *candidate))))
                }
            }
        }
    }
}

fn matches(candidate: &Candidate<'_>, wanted: Wanted<'_>) -> bool {
    let class = wanted.class.is_none_or(|class| candidate.class == Some(class));
    let method = wanted.method.is_none_or(|name| {
        let wanted = slug(name);
        candidate.method == Some(name)
            || candidate.slug == wanted
            || candidate.method.is_some_and(|own| slug(own) == wanted)
    });
    class && method
}

fn listing<'a>(candidates: impl Iterator<Item = &'a Candidate<'a>>) -> String {
    let shown = candidates.map(|candidate| match candidate.class {
        Some(class) => format!("{} ({class})", candidate.slug),
        None => candidate.slug.to_owned(),
    });
    shown.collect::<Vec<_>>().join(", ")
}
