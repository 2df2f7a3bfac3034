//! One field: its bounds, its default, and bytes.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::{
    Attribute, Error, Expr, ExprLit, ExprUnary, Field, GenericArgument, Lit, LitStr, PathArguments, Result, Type, UnOp,
    meta::ParseNestedMeta, parse_quote, spanned::Spanned,
};

use super::{Direction, default_value};
use crate::placed::placed;

/// What a field adds to the shadow.
pub(super) struct Expansion {
    pub(super) attributes: Vec<Attribute>,
    pub(super) functions: TokenStream,
}

/// `#[field(..)]` as written.
#[derive(Default)]
struct Bounds {
    /// Name of the bound in the runtime, and its value.
    numbers: Vec<(&'static str, Expr)>,
    lengths: Vec<(&'static str, Expr)>,
    pattern: Option<LitStr>,
    default: Option<Option<Expr>>,
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

/// The checks of one field.
#[derive(Default)]
struct Checks {
    statics: TokenStream,
    calls: Vec<TokenStream>,
}

impl Checks {
    fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }
}

impl Bounds {
    fn parse(field: &Field) -> Result<Self> {
        let mut bounds = Self::default();
        for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("field")) {
            attribute.parse_nested_meta(|meta| bounds.argument(&meta))?;
        }
        Ok(bounds)
    }

    fn argument(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        match name.as_str() {
            "min" => self.number("min", meta),
            "max" => self.number("max", meta),
            "exclusive_min" => self.number("exclusive_min", meta),
            "exclusive_max" => self.number("exclusive_max", meta),
            "multiple_of" => self.number("multiple_of", meta),
            "min_len" => self.length("min", meta),
            "max_len" => self.length("max", meta),
            "pattern" => {
                let text: LitStr = meta.value()?.parse()?;
                regex_syntax::parse(&text.value()).map_err(|error| Error::new(text.span(), error.to_string()))?;
                self.pattern = Some(text);
                Ok(())
            }
            "default" => {
                let value = if meta.input.peek(syn::Token![=]) { Some(meta.value()?.parse()?) } else { None };
                self.default = Some(value);
                Ok(())
            }
            _ => Err(meta.error(
                "unknown bound: one of min, max, exclusive_min, exclusive_max, multiple_of, min_len, max_len, pattern, default",
            )),
        }
    }

    fn number(&mut self, name: &'static str, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let value: Expr = meta.value()?.parse()?;
        let number = number(&value)?;
        if name == "multiple_of" && !number.is_positive {
            return Err(Error::new(value.span(), "`multiple_of` takes a number above zero"));
        }
        self.numbers.push((name, number.expression));
        Ok(())
    }

    fn length(&mut self, name: &'static str, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let value: Expr = meta.value()?.parse()?;
        match &value {
            Expr::Lit(ExprLit { lit: Lit::Int(length), .. }) => {
                length.base10_parse::<usize>()?;
            }
            other => return Err(Error::new(other.span(), "a length is an integer literal from 0 on")),
        }
        self.lengths.push((name, value));
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.lengths.is_empty() && self.pattern.is_none()
    }

    fn checks(&self, ty: &Type, bytes: bool) -> Checks {
        let mut checks = Checks::default();
        let span = placed(ty);
        if let Some(bounds) = self.number_bounds() {
            checks.statics.extend(quote! { const NUMBER: __gw::NumberBounds = #bounds; });
            checks.calls.push(quote::quote_spanned!(span=> NUMBER.check::<#ty>(&value)));
        }
        if let Some(bounds) = self.length_bounds() {
            checks.statics.extend(quote! { const LENGTH: __gw::LengthBounds = #bounds; });
            let check = if bytes { quote!(check_bytes) } else { quote!(check) };
            checks.calls.push(quote::quote_spanned!(span=> LENGTH.#check::<#ty>(&value)));
        }
        if let Some(pattern) = &self.pattern {
            checks.statics.extend(quote! { static PATTERN: __gw::Pattern = __gw::Pattern::new(#pattern); });
            checks.calls.push(quote::quote_spanned!(span=> PATTERN.check::<#ty>(&value)));
        }
        checks
    }

    fn describe(&self, ty: &Type, bytes: bool) -> Option<TokenStream> {
        let number = self.number_bounds().map(|bounds| quote! { #bounds.describe(schema); });
        let describe = if bytes { quote!(describe_bytes) } else { quote!(describe::<#ty>) };
        let length = self.length_bounds().map(|bounds| quote! { #bounds.#describe(schema); });
        let pattern = self.pattern.as_ref().map(|text| quote! { __gw::Pattern::new(#text).describe(schema); });
        (!self.is_empty()).then(|| quote! { #number #length #pattern })
    }

    fn number_bounds(&self) -> Option<TokenStream> {
        let all = ["min", "max", "exclusive_min", "exclusive_max", "multiple_of"];
        literal("NumberBounds", &all, &self.numbers)
    }

    fn length_bounds(&self) -> Option<TokenStream> {
        literal("LengthBounds", &["min", "max"], &self.lengths)
    }
}

/// A struct literal with every field: `Some` for what was written, `None` for the rest.
fn literal(name: &str, all: &[&str], written: &[(&'static str, Expr)]) -> Option<TokenStream> {
    let name = ident(name);
    let fields = all.iter().map(|field| {
        let label = ident(field);
        match written.iter().rev().find(|(name, _)| name == field) {
            Some((_, value)) => quote! { #label: ::core::option::Option::Some(#value) },
            None => quote! { #label: ::core::option::Option::None },
        }
    });
    let literal = quote! { __gw::#name { #(#fields),* } };
    (!written.is_empty()).then_some(literal)
}

struct NumberLiteral {
    expression: Expr,
    is_positive: bool,
}

/// A number literal, perhaps with a minus sign.
fn number(value: &Expr) -> Result<NumberLiteral> {
    let (negative, literal) = match value {
        Expr::Unary(ExprUnary { op: UnOp::Neg(_), expr, .. }) => (true, &**expr),
        other => (false, other),
    };
    match literal {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => {
            let magnitude = number.base10_parse::<u64>()?;
            let expression = match i64::try_from(magnitude) {
                Ok(magnitude) if negative => parse_quote!(__gw::Number::Int(-#magnitude)),
                Ok(magnitude) => parse_quote!(__gw::Number::Int(#magnitude)),
                Err(_) if negative => return Err(Error::new(number.span(), "this number is below every integer type")),
                Err(_) => parse_quote!(__gw::Number::Large(#magnitude)),
            };
            Ok(NumberLiteral { expression, is_positive: !negative && magnitude > 0 })
        }
        Expr::Lit(ExprLit { lit: Lit::Float(number), .. }) => {
            let magnitude = number.base10_parse::<f64>()?;
            let signed = if negative { -magnitude } else { magnitude };
            Ok(NumberLiteral { expression: parse_quote!(__gw::Number::Float(#signed)), is_positive: signed > 0.0 })
        }
        other => Err(Error::new(other.span(), "a bound is a number literal")),
    }
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

fn ident(name: &str) -> syn::Ident {
    syn::Ident::new(name, Span::call_site())
}
