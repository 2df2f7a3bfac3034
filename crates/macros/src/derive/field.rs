//! One field of the shadow: how it is decoded, described and filled in.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Attribute, Expr, Field, GenericArgument, PathArguments, Result, Type, meta::ParseNestedMeta, parse_quote};

use super::{Direction, bounds::Bounds, default_value};

/// What a field adds to the shadow.
pub(super) struct Expansion {
    pub(super) attributes: Vec<Attribute>,
    pub(super) functions: TokenStream,
}

pub(super) fn expand(field: &Field, tag: &str, direction: Direction) -> Result<Expansion> {
    let bounds = Bounds::parse(field)?;
    let mut expansion = Expansion { attributes: Vec::new(), functions: TokenStream::new() };
    let bytes = Bytes::of(&field.ty).filter(|_| !says_how(field));
    if bytes.is_some() {
        expansion.attributes.push(parse_quote!(#[serde(serialize_with = "__gw::bytes_field::serialize")]));
        let schema = match bytes {
            Some(Bytes::Optional) => "__gw::bytes_field::optional_schema",
            _ => "__gw::bytes_field::schema",
        };
        expansion.attributes.push(parse_quote!(#[schemars(schema_with = #schema)]));
    }
    if direction == Direction::Both {
        input(field, tag, &bounds, bytes.is_some(), &mut expansion)?;
    }
    Ok(expansion)
}

/// How the field is decoded and described.
fn input(field: &Field, tag: &str, bounds: &Bounds, bytes: bool, expansion: &mut Expansion) -> Result<()> {
    let checks = bounds.checks(&field.ty, bytes);
    if bytes || !checks.is_empty() {
        let (name, ty) = (format_ident!("__decode_{tag}"), &field.ty);
        let decode = if bytes {
            quote!(__gw::bytes_field::deserialize(deserializer))
        } else {
            quote!(<#ty as __gw::serde::Deserialize>::deserialize(deserializer))
        };
        let path = name.to_string();
        let (statics, checks) = (checks.statics, checks.calls);
        expansion.attributes.push(parse_quote!(#[serde(deserialize_with = #path)]));
        expansion.functions.extend(quote! {
            fn #name<'de, D: __gw::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::core::result::Result<#ty, D::Error> {
                #statics
                let value: #ty = #decode?;
                #( #checks.map_err(__gw::serde::de::Error::custom)?; )*
                ::core::result::Result::Ok(value)
            }
        });
    }
    if let Some(describe) = bounds.describe(&field.ty, bytes) {
        let name = format_ident!("__describe_{tag}");
        expansion.attributes.push(parse_quote!(#[schemars(transform = #name)]));
        expansion.functions.extend(quote! {
            fn #name(schema: &mut __gw::schemars::Schema) { #describe }
        });
    }
    match &bounds.default {
        Some(None) => expansion.attributes.push(parse_quote!(#[serde(default)])),
        Some(Some(value)) => {
            let (name, ty) = (format_ident!("__default_{tag}"), &field.ty);
            let path = name.to_string();
            let value = default_value::of(value, ty);
            expansion.attributes.push(parse_quote!(#[serde(default = #path)]));
            expansion.functions.extend(quote! { fn #name() -> #ty { #value } });
        }
        // A field that is decoded by a function of its own has to be told that it may be absent.
        None if is_option(&field.ty) && (bytes || !bounds.is_empty()) && !mentions(field, &["default"]) => {
            expansion.attributes.push(parse_quote!(#[serde(default)]));
        }
        None => {}
    }
    Ok(())
}

/// A field type that holds bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bytes {
    Required,
    Optional,
}

impl Bytes {
    /// By name, as nothing else is known here: `Vec<u8>`, `Bytes`, and `Option` of these.
    fn of(ty: &Type) -> Option<Self> {
        if let Some(inner) = argument_of(ty, "Option") {
            return Self::of(inner).map(|_| Self::Optional);
        }
        let is_byte = |inner: &Type| matches!(inner, Type::Path(path) if path.path.is_ident("u8"));
        let is_bytes = matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Bytes" && last.arguments.is_none()));
        (is_bytes || argument_of(ty, "Vec").is_some_and(is_byte)).then_some(Self::Required)
    }
}

/// `T` of `Name<T>`.
fn argument_of<'a>(ty: &'a Type, name: &str) -> Option<&'a Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last().filter(|last| last.ident == name)?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.first() {
        Some(GenericArgument::Type(inner)) => Some(inner),
        _ => None,
    }
}

pub(super) fn is_option(ty: &Type) -> bool {
    argument_of(ty, "Option").is_some()
}

/// Whether the author told serde how to write the field.
fn says_how(field: &Field) -> bool {
    mentions(field, &["with", "serialize_with", "deserialize_with", "skip", "flatten"])
}

fn mentions(field: &Field, names: &[&str]) -> bool {
    field.attrs.iter().filter(|attribute| attribute.path().is_ident("serde")).any(|attribute| {
        let mut found = false;
        // A malformed attribute is serde's to report.
        drop(attribute.parse_nested_meta(|meta| {
            found |= names.iter().any(|name| meta.path.is_ident(name));
            skip_value(&meta)
        }));
        found
    })
}

/// Passes over `= value` or `(..)` of an attribute that somebody else understands.
pub(super) fn skip_value(meta: &ParseNestedMeta<'_>) -> Result<()> {
    if meta.input.peek(syn::Token![=]) {
        meta.value()?.parse::<Expr>()?;
    } else if meta.input.peek(syn::token::Paren) {
        let inside;
        syn::parenthesized!(inside in meta.input);
        inside.parse::<TokenStream>()?;
    }
    Ok(())
}
