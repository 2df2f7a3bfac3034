//! `#[endpoint]`: one function, or one `impl` block.

use proc_macro2::TokenStream;
use syn::{Error, Item, Result};

mod arguments;
mod call;
mod lifecycle;
mod on_function;
mod on_type;
mod signature;

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let arguments: arguments::Arguments = syn::parse2(arguments)?;
    match syn::parse2(item)? {
        Item::Fn(function) => on_function::expand(arguments, function),
        Item::Impl(block) => on_type::expand(arguments, block),
        Item::Struct(item) => Err(Error::new_spanned(
            item.ident,
            "put `#[endpoint]` on the `impl` block that holds the handlers; the struct stays plain",
        )),
        other => Err(Error::new_spanned(other, "`#[endpoint]` goes on a function or on an `impl` block of a type")),
    }
}

#[cfg(test)]
mod tests;
