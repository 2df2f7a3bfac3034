//! The environment: every variable that any part of this system reads, and the only place that reads one.
//!
//! [`VARIABLES`] is the reference; `docs/env.md` is generated from it, and a test keeps the two equal. Libraries
//! never look at the environment: commands read it once into an `Environment` and pass options down.

mod reference;
mod table;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, ffi::OsString, str::FromStr, time::Duration};

pub use reference::reference;
pub(crate) use table::names;
pub use table::{VARIABLES, Variable};

use crate::exit::Failure;

/// What was set when the process started, by the names of [`VARIABLES`] and their aliases. Values may be secrets:
/// it has no `Debug`, and errors name the variable, never the value of a secret one.
pub(crate) struct Environment(BTreeMap<&'static str, OsString>);

impl Environment {
    /// Reads every known variable of this process.
    pub(crate) fn of_process() -> Self {
        let known = VARIABLES.iter().flat_map(|variable| variable.names());
        Self(known.filter_map(|name| Some((name, read(name)?))).collect())
    }

    /// An environment with exactly these variables. Names outside the table are ignored.
    #[cfg(test)]
    pub(crate) fn of_pairs(pairs: &[(&str, &str)]) -> Self {
        let known = VARIABLES.iter().flat_map(|variable| variable.names());
        let value = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
        Self(known.filter_map(|name| Some((name, value(name)?))).collect())
    }

    /// The value as it was set, under the modern name or else the first alias that is set. Empty counts as unset.
    pub(crate) fn raw(&self, variable: &Variable) -> Option<&OsString> {
        variable.names().filter_map(|name| self.0.get(name)).find(|value| !value.is_empty())
    }

    /// The value as trimmed text.
    ///
    /// # Errors
    /// When it is not UTF-8.
    pub(crate) fn text(&self, variable: &Variable) -> Result<Option<&str>, Failure> {
        let Some(value) = self.raw(variable) else { return Ok(None) };
        let text = value.to_str().ok_or_else(|| Failure::usage(format!("{} is not UTF-8", variable.name)))?.trim();
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    /// The value, parsed.
    ///
    /// # Errors
    /// When it is not UTF-8 or not a `T`; `expected` says what would be.
    pub(crate) fn parsed<T: FromStr>(&self, variable: &Variable, expected: &str) -> Result<Option<T>, Failure> {
        let Some(text) = self.text(variable)? else { return Ok(None) };
        let parsed = text.parse().map_err(|_| {
            // Numbers, addresses and switches are no secrets, but a token in the wrong variable would be.
            Failure::usage(format!("{} must be {expected}", variable.name))
        });
        parsed.map(Some)
    }

    /// A number of seconds, fractions allowed.
    ///
    /// # Errors
    /// When it is not a finite number that is at least 0.
    pub(crate) fn seconds(&self, variable: &Variable) -> Result<Option<Duration>, Failure> {
        let expected = "a number of seconds, 0 or more";
        let seconds = self.parsed::<f64>(variable, expected)?;
        let duration = seconds.map(Duration::try_from_secs_f64).transpose();
        duration.map_err(|_| Failure::usage(format!("{} must be {expected}", variable.name)))
    }

    /// A switch: 1, true and yes are on, everything else is off, as the peer reads it.
    ///
    /// # Errors
    /// When it is not UTF-8.
    pub(crate) fn switch(&self, variable: &Variable) -> Result<bool, Failure> {
        let on = |text: &str| ["1", "true", "yes"].iter().any(|word| text.eq_ignore_ascii_case(word));
        Ok(self.text(variable)?.is_some_and(on))
    }
}

#[expect(clippy::disallowed_methods, reason = "this module is the one reader of the environment")]
fn read(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}
