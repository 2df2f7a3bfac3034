//! `#[field(default = ..)]` as an expression of the field's type.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Expr, ExprLit, Lit, Type};

use super::field::is_option;

/// Text literals become owned, and a plain value becomes a present one; everything else is taken as it is.
pub(super) fn of(value: &Expr, ty: &Type) -> TokenStream {
    let is_text = matches!(value, Expr::Lit(ExprLit { lit: Lit::Str(_), .. }));
    let owned = if is_text { quote!(::core::convert::Into::into(#value)) } else { quote!(#value) };
    if is_option(ty) && matches!(value, Expr::Lit(_) | Expr::Unary(_)) {
        quote!(::core::option::Option::Some(#owned))
    } else {
        owned
    }
}
