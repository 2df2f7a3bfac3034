//! What goes into a handler and what comes out of it.
//!
//! Both traits are derived: `#[derive(Payload)]` makes a type that can be either, with bounds enforced when it is
//! decoded; `#[derive(Output)]` makes a type that only comes out.

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

use crate::{endpoint::TypeDecl, schema};

pub mod bytes_field;
pub mod field_bounds;

/// Input of a handler: a struct with named fields.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a payload",
    label = "not a payload",
    note = "a payload is a struct with named fields and `#[derive(Payload)]`"
)]
pub trait Payload: DeserializeOwned + JsonSchema + Send + 'static {
    /// What listings know about the type.
    #[must_use]
    fn type_decl() -> TypeDecl {
        TypeDecl { path: std::any::type_name::<Self>(), schema: schema::of_input::<Self> }
    }
}

/// Output of a handler: a struct with named fields, or an enum of such structs with a tag.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an output",
    label = "not an output",
    note = "an output is a struct with named fields, or a tagged enum, and `#[derive(Output)]`"
)]
pub trait Output: Serialize + JsonSchema + Sized + Send + 'static {
    /// What listings know about the type.
    #[must_use]
    fn type_decl() -> TypeDecl {
        TypeDecl { path: std::any::type_name::<Self>(), schema: schema::of_output::<Self> }
    }
}
