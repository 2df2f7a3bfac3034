//! `#[field(..)]`: what is allowed in a field.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{
    Error, Expr, ExprLit, ExprUnary, Field, Lit, LitStr, Result, Type, UnOp, meta::ParseNestedMeta, parse_quote,
    spanned::Spanned,
};

use crate::placed::placed;

/// `#[field(..)]` as written.
#[derive(Default)]
pub(super) struct Bounds {
    /// Name of the bound in the runtime, and its value.
    numbers: Vec<(&'static str, Expr)>,
    lengths: Vec<(&'static str, Expr)>,
    pattern: Option<LitStr>,
    /// `default`, perhaps with a value.
    pub(super) default: Option<Option<Expr>>,
}

/// The checks of one field.
#[derive(Default)]
pub(super) struct Checks {
    /// Items the calls name.
    pub(super) statics: TokenStream,
    /// Expressions of type `Result<(), String>` on `value`.
    pub(super) calls: Vec<TokenStream>,
}

impl Checks {
    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }
}

impl Bounds {
    pub(super) fn parse(field: &Field) -> Result<Self> {
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

    pub(super) fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.lengths.is_empty() && self.pattern.is_none()
    }

    pub(super) fn checks(&self, ty: &Type, bytes: bool) -> Checks {
        let mut checks = Checks::default();
        let span = placed(ty);
        if let Some(bounds) = self.number_bounds() {
            checks.statics.extend(quote! { const NUMBER: __gw::NumberBounds = #bounds; });
            checks.calls.push(quote_spanned!(span=> NUMBER.check::<#ty>(&value)));
        }
        if let Some(bounds) = self.length_bounds() {
            checks.statics.extend(quote! { const LENGTH: __gw::LengthBounds = #bounds; });
            let check = if bytes { quote!(check_bytes) } else { quote!(check) };
            checks.calls.push(quote_spanned!(span=> LENGTH.#check::<#ty>(&value)));
        }
        if let Some(pattern) = &self.pattern {
            checks.statics.extend(quote! { static PATTERN: __gw::Pattern = __gw::Pattern::new(#pattern); });
            checks.calls.push(quote_spanned!(span=> PATTERN.check::<#ty>(&value)));
        }
        checks
    }

    pub(super) fn describe(&self, ty: &Type, bytes: bool) -> Option<TokenStream> {
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

fn ident(name: &str) -> syn::Ident {
    syn::Ident::new(name, Span::call_site())
}
