//! Where generated code seems to stand.

use proc_macro2::Span;
use syn::spanned::Spanned;

/// The place of `tokens`, so that the compiler points there, but with the standing of generated code, so that lints
/// about what an author wrote leave it alone.
pub(crate) fn placed(tokens: &impl Spanned) -> Span {
    Span::call_site().located_at(tokens.span())
}
