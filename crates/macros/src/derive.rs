//! `#[derive(Payload)]` and `#[derive(Output)]`.
//!
//! Both write a shadow of the type next to it, let serde and schemars derive on the shadow (`remote`), and pass the
//! type's own traits on to it. So all of serde's attributes work, and nothing is derived on the type that the
//! author did not ask for.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Fields, Result};

mod bounds;
mod default_value;
mod field;
mod shadow;

/// What a derive makes of a type.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    /// In and out.
    Both,
    /// Out.
    Out,
}

pub(crate) fn payload(item: TokenStream) -> Result<TokenStream> {
    expand(syn::parse2(item)?, Direction::Both)
}

pub(crate) fn output(item: TokenStream) -> Result<TokenStream> {
    expand(syn::parse2(item)?, Direction::Out)
}

fn expand(item: DeriveInput, direction: Direction) -> Result<TokenStream> {
    if let Some(parameter) = item.generics.params.first() {
        return Err(Error::new_spanned(parameter, "payloads and outputs cannot be generic: write the type out"));
    }
    let name = &item.ident;
    let shape = Shape::of(&item)?;
    let shadow = shadow::write(&item, direction)?;
    let payload = (direction == Direction::Both && shape == Shape::Struct).then(|| {
        quote! { #[automatically_derived] impl __gw::Payload for #name {} }
    });
    let output = (shape != Shape::Part).then(|| {
        quote! {
            #[automatically_derived] impl __gw::Output for #name {}
            #[automatically_derived] impl __gw::StreamItem for #name {}
        }
    });
    // What schemars derives names `serde` without a path of its own, so it has to be in scope.
    Ok(quote! {
        const _: () = {
            use ::gen_worker::__private::{self as __gw, serde};
            #shadow
            #payload
            #output
        };
    })
}

/// What a type can be used as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// A struct with named fields: payload or output.
    Struct,
    /// An enum whose members carry a tag: output.
    Tagged,
    /// Part of another type.
    Part,
}

impl Shape {
    fn of(item: &DeriveInput) -> Result<Self> {
        match &item.data {
            Data::Struct(data) if matches!(data.fields, Fields::Named(_)) => Ok(Self::Struct),
            Data::Struct(data) if matches!(data.fields, Fields::Unit) => {
                Err(Error::new_spanned(&item.ident, "a struct without fields is written with braces: `struct Name {}`"))
            }
            Data::Struct(_) => Ok(Self::Part),
            Data::Enum(_) if has_tag(item)? => Ok(Self::Tagged),
            Data::Enum(_) => Ok(Self::Part),
            Data::Union(data) => Err(Error::new_spanned(data.union_token, "a union has no encoding")),
        }
    }
}

/// Whether serde was told to write the name of the variant as a field.
fn has_tag(item: &DeriveInput) -> Result<bool> {
    let mut found = false;
    for attribute in item.attrs.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        attribute.parse_nested_meta(|meta| {
            found |= meta.path.is_ident("tag");
            field::skip_value(&meta)
        })?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
