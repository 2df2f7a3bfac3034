//! The table of variables, by group. Rows only; reading them is the parent's business.

mod connection;
mod jobs;
mod models;
mod stores;
mod tools;
mod upstream;

/// One variable of the environment.
#[derive(Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Older names, in the order in which they are tried after [`Variable::name`].
    pub aliases: &'static [&'static str],
    /// Its name as a field of the peer's settings, where that is not the name in lower case.
    pub fields: &'static [&'static str],
    /// The flag that overrides it, with the command it belongs to; empty when there is none.
    pub flag: &'static str,
    /// What holds when it is unset, as text for people.
    pub default: &'static str,
    /// What becomes of its value.
    pub effect: Effect,
    /// What it means.
    pub meaning: &'static str,
}

/// What becomes of the value of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is used.
    Used,
    /// It is used, and belongs to the system: only the process's own environment counts, no file of ours.
    System,
    /// It is accepted, for launchers that set it, and does nothing for this reason; the worker says so once.
    Ignored(&'static str),
}

impl Variable {
    /// All names under which it is read, in order of preference.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

macro_rules! rows {
    ($($name:ident {
        $(aliases: [$($alias:literal),*],)?
        $(field: $field:literal,)?
        $(flag: $flag:literal,)?
        default: $default:literal,
        $(effect: $effect:expr,)?
        meaning: $meaning:literal
    })*) => {
        $(
            #[doc = $meaning]
            pub(crate) static $name: super::Variable = super::Variable {
                name: stringify!($name),
                aliases: &[$($($alias),*)?],
                fields: &[$($field)?],
                flag: concat!("" $(, $flag)?),
                default: $default,
                effect: super::effect(&[$($effect)?]),
                meaning: $meaning,
            };
        )*

        /// The rows, in the order of the reference page.
        pub(super) static ROWS: &[&super::Variable] = &[$(&$name),*];
    };
}
use rows;

/// What a row says, or that it is used when it says nothing.
const fn effect(said: &[Effect]) -> Effect {
    match said {
        [effect, ..] => *effect,
        [] => Effect::Used,
    }
}

/// Every variable by its name, for the code that reads it.
pub(crate) mod names {
    #[cfg(feature = "pool")]
    pub(crate) use super::stores::*;
    pub(crate) use super::{connection::*, jobs::*, models::*, tools::*, upstream::*};
}

/// Every variable, in groups with titles, in the order of the reference page.
pub static GROUPS: [(&str, &[&Variable]); 6] = [
    ("Connection", connection::ROWS),
    ("Jobs", jobs::ROWS),
    ("Models", models::ROWS),
    ("Downloads of models", upstream::ROWS),
    ("Commands and logs", tools::ROWS),
    ("Stores of a hub", stores::ROWS),
];

/// Every variable, in the order of the reference page.
pub fn variables() -> impl Iterator<Item = &'static Variable> {
    GROUPS.iter().flat_map(|(_, rows)| rows.iter().copied())
}
