//! Settings that are no flags: every variable that any part of this system reads, and the only place that reads one.
//!
//! [`variables`] is the reference; `docs/env.md` is generated from it, and a test keeps the two equal. Libraries
//! never look at the environment: commands read it once into an `Environment` and pass options down.
//!
//! A variable may stand in several layers; the first layer in which it is not empty counts:
//!
//! ```text
//! flags > environment > .env > /run/secrets/<NAME> > config.yaml or gen-worker.yaml > defaults
//! ```

mod files;
mod reference;
mod table;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    str::FromStr,
    time::Duration,
};

pub(crate) use files::ConfigFiles;
pub use reference::reference;
pub(crate) use table::names;
pub use table::{Effect, GROUPS, Variable, variables};
use tracing::info;

use crate::exit::Failure;

/// Bytes of a GB as the settings count it.
const BYTES_PER_GB: f64 = 1_073_741_824.0;

/// What was set when the process started, by the names of [`variables`] and their aliases. Values may be secrets:
/// it has no `Debug`, and errors name the variable, never its value.
pub(crate) struct Environment {
    /// Those that count first come first.
    layers: Vec<Layer>,
}

/// The variables of one source.
struct Layer {
    /// Where they stand, as text for people; empty for the environment of the process.
    origin: String,
    values: BTreeMap<&'static str, OsString>,
}

impl Environment {
    /// Reads every known variable of this process, and no file.
    pub(crate) fn of_process() -> Self {
        let known = variables().flat_map(Variable::names);
        let values = known.filter_map(|name| Some((name, read(name)?))).collect();
        Self { layers: vec![Layer { origin: String::new(), values }] }
    }

    /// The same with what `files` say below it.
    ///
    /// # Errors
    /// When one of them cannot be read or is broken; the text names file and line.
    pub(crate) fn with_files(mut self, files: &ConfigFiles) -> Result<Self, Failure> {
        self.layers.extend(files.layers().map_err(|error| Failure::usage(error.to_string()))?);
        Ok(self)
    }

    /// An environment with exactly these variables. Names outside the table are ignored.
    #[cfg(test)]
    pub(crate) fn of_pairs(pairs: &[(&str, &str)]) -> Self {
        let known = variables().flat_map(Variable::names);
        let value = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
        let values = known.filter_map(|name| Some((name, value(name)?))).collect();
        Self { layers: vec![Layer { origin: String::new(), values }] }
    }

    /// The value as it was set, in the first layer that has one; there under the modern name or else the first
    /// alias. Empty counts as unset.
    pub(crate) fn raw(&self, variable: &Variable) -> Option<&OsString> {
        self.found(variable).map(|(_, value)| value)
    }

    fn found(&self, variable: &Variable) -> Option<(&Layer, &OsString)> {
        let found = |layer: &'_ Layer, name| layer.values.get(name).filter(|value| !value.is_empty()).is_some();
        let layer = self.layers.iter().find(|layer| variable.names().any(|name| found(layer, name)))?;
        let name = variable.names().find(|name| found(layer, name))?;
        Some((layer, layer.values.get(name)?))
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

    /// The value of the first of `variables` that is set in the uppermost layer that sets any of them.
    ///
    /// # Errors
    /// When it is not UTF-8.
    pub(crate) fn text_of_first(&self, variables: &[&'static Variable]) -> Result<Option<(&Variable, &str)>, Failure> {
        let depth = |variable: &Variable| {
            let (found, _) = self.found(variable)?;
            self.layers.iter().position(|layer| std::ptr::eq(layer, found))
        };
        let uppermost = variables.iter().filter_map(|variable| Some((depth(variable)?, *variable)));
        // Of equals the first is taken.
        let Some((_, variable)) = uppermost.min_by_key(|(depth, _)| *depth) else { return Ok(None) };
        Ok(self.text(variable)?.map(|text| (variable, text)))
    }

    /// The value, parsed.
    ///
    /// # Errors
    /// When it is not UTF-8 or not a `T`; `expected` says what would be.
    pub(crate) fn parsed<T: FromStr>(&self, variable: &Variable, expected: &str) -> Result<Option<T>, Failure> {
        let Some(text) = self.text(variable)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| self.unexpected(variable, expected))
    }

    /// A number of seconds, fractions allowed.
    ///
    /// # Errors
    /// When it is not a finite number that is at least 0.
    pub(crate) fn seconds(&self, variable: &Variable) -> Result<Option<Duration>, Failure> {
        let expected = "a number of seconds, 0 or more";
        let seconds = self.parsed::<f64>(variable, expected)?;
        let duration = seconds.map(Duration::try_from_secs_f64).transpose();
        duration.map_err(|_| self.unexpected(variable, expected))
    }

    /// Bytes from a number of GB (2^30 bytes), fractions allowed.
    ///
    /// # Errors
    /// When it is not a finite number that is at least 0.
    pub(crate) fn gigabytes(&self, variable: &Variable) -> Result<Option<u64>, Failure> {
        let expected = "a number of GB, 0 or more";
        let Some(gigabytes) = self.parsed::<f64>(variable, expected)? else { return Ok(None) };
        if !(gigabytes.is_finite() && gigabytes >= 0.0) {
            return Err(self.unexpected(variable, expected));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "finite, at least 0, and beyond the largest number it is that"
        )]
        let bytes = (gigabytes * BYTES_PER_GB) as u64;
        Ok(Some(bytes))
    }

    /// A switch: 1, true and yes are on, everything else is off, as the peer reads it.
    ///
    /// # Errors
    /// When it is not UTF-8.
    pub(crate) fn switch(&self, variable: &Variable) -> Result<bool, Failure> {
        let on = |text: &str| ["1", "true", "yes"].iter().any(|word| text.eq_ignore_ascii_case(word));
        Ok(self.text(variable)?.is_some_and(on))
    }

    /// Says once, per reason, which variables are set and do nothing.
    pub(crate) fn tell_ignored(&self) {
        for (reason, names) in self.ignored() {
            info!(variables = names.join(", "), "no effect: {reason}");
        }
    }

    fn ignored(&self) -> Vec<(&'static str, Vec<&'static str>)> {
        let reason = |variable: &'static Variable| match variable.effect {
            Effect::Ignored(reason) if self.raw(variable).is_some() => Some((reason, variable.name)),
            _ => None,
        };
        let set: Vec<_> = variables().filter_map(reason).collect();
        let reasons: BTreeSet<_> = set.iter().map(|(reason, _)| *reason).collect();
        let names = |of| set.iter().filter(|(reason, _)| *reason == of).map(|(_, name)| *name).collect();
        reasons.into_iter().map(|reason| (reason, names(reason))).collect()
    }

    /// The value is of the wrong form. It is not shown: a token in the wrong variable would be.
    pub(crate) fn unexpected(&self, variable: &Variable, expected: &str) -> Failure {
        let origin = self.found(variable).map(|(layer, _)| layer.origin.as_str()).unwrap_or_default();
        let place = if origin.is_empty() { String::new() } else { format!(" (in {origin})") };
        Failure::usage(format!("{}{place} must be {expected}", variable.name))
    }
}

#[expect(clippy::disallowed_methods, reason = "this module is the one reader of the environment")]
fn read(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}
