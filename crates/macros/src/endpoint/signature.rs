//! The signature of a handler.

use syn::{
    Error, FnArg, GenericArgument, GenericParam, Ident, Pat, PathArguments, Result, ReturnType, Signature, Type,
    TypeParamBound, spanned::Spanned,
};

/// A handler as the macro understands it.
pub(super) struct Handler {
    pub(super) name: Ident,
    pub(super) context: Passing,
    pub(super) payload: Type,
    /// Per-call slots.
    pub(super) slots: Vec<(Ident, Type)>,
    pub(super) mode: Mode,
    /// The output, or the item of the stream.
    pub(super) output: Type,
}

/// How a handler takes its context.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Passing {
    Borrowed,
    Owned,
}

/// How a handler runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Async,
    Blocking,
    Stream,
}

const SHAPE: &str = "a handler takes the context and the payload: `(ctx: &RequestContext, payload: T)`";
const RETURNS: &str = "a handler returns `Result<T>`, or `impl Stream<Item = Result<T>> + Send`";

impl Handler {
    /// Reads a signature; `method` says whether it has to have `&self`.
    pub(super) fn parse(signature: &Signature, method: bool) -> Result<Self> {
        plain(signature)?;
        let mut inputs = signature.inputs.iter().peekable();
        if method {
            receiver(signature, inputs.next())?;
        } else if let Some(FnArg::Receiver(this)) = inputs.peek() {
            return Err(Error::new_spanned(this, "put `#[endpoint]` on the `impl` block and `#[handler]` here"));
        }
        let (Some(FnArg::Typed(context)), Some(FnArg::Typed(payload))) = (inputs.next(), inputs.next()) else {
            return Err(Error::new(signature.paren_token.span.join(), SHAPE));
        };
        let context = match &*context.ty {
            Type::Reference(reference) if reference.mutability.is_none() => Passing::Borrowed,
            Type::Path(_) => Passing::Owned,
            other => return Err(Error::new_spanned(other, SHAPE)),
        };
        if let Type::Reference(reference) = &*payload.ty {
            return Err(Error::new_spanned(reference, "a handler owns its payload: take it by value"));
        }
        let (mode, output) = returned(signature)?;
        Ok(Self {
            name: signature.ident.clone(),
            context,
            payload: (*payload.ty).clone(),
            slots: inputs.map(slot).collect::<Result<_>>()?,
            mode,
            output,
        })
    }
}

/// A parameter that is a slot: a name and a type.
pub(super) fn slot(input: &FnArg) -> Result<(Ident, Type)> {
    match input {
        FnArg::Typed(typed) => match &*typed.pat {
            Pat::Ident(pattern) if pattern.subpat.is_none() => {
                // `_model` is the slot `model` that happens to be unused.
                let name = pattern.ident.to_string();
                let name = name.trim_start_matches('_');
                if name.is_empty() {
                    return Err(Error::new_spanned(pattern, "a slot parameter needs a name: that of its slot"));
                }
                Ok((Ident::new(name, pattern.ident.span()), (*typed.ty).clone()))
            }
            other => Err(Error::new_spanned(other, "a slot parameter is a plain name: that of its slot")),
        },
        FnArg::Receiver(this) => Err(Error::new_spanned(this, "unexpected `self`")),
    }
}

/// What no routable or lifecycle function can have.
pub(super) fn plain(signature: &Signature) -> Result<()> {
    if let Some(generic) = signature.generics.params.iter().find(|param| !matches!(param, GenericParam::Lifetime(_))) {
        return Err(Error::new_spanned(generic, "functions of an endpoint cannot be generic"));
    }
    if let Some(unsafety) = signature.unsafety {
        return Err(Error::new_spanned(unsafety, "functions of an endpoint cannot be unsafe"));
    }
    Ok(())
}

fn receiver(signature: &Signature, input: Option<&FnArg>) -> Result<()> {
    match input {
        Some(FnArg::Receiver(this)) if this.reference.is_some() && this.mutability.is_none() => Ok(()),
        Some(other) => Err(Error::new_spanned(other, "a handler takes `&self`: its instance is shared by all calls")),
        None => {
            Err(Error::new(signature.paren_token.span.join(), "a handler takes `&self`, the context and the payload"))
        }
    }
}

fn returned(signature: &Signature) -> Result<(Mode, Type)> {
    let ReturnType::Type(_, ty) = &signature.output else {
        return Err(Error::new_spanned(&signature.ident, RETURNS));
    };
    if let Some(item) = stream_item(ty) {
        if let Some(token) = signature.asyncness {
            return Err(Error::new_spanned(token, "a streaming handler is a plain `fn`: the stream does the waiting"));
        }
        return Ok((Mode::Stream, ok_of(item)?));
    }
    let mode = if signature.asyncness.is_some() { Mode::Async } else { Mode::Blocking };
    Ok((mode, ok_of(ty)?))
}

/// `T` of `Result<T>`.
fn ok_of(ty: &Type) -> Result<Type> {
    let Type::Path(path) = ty else { return Err(Error::new_spanned(ty, RETURNS)) };
    let last = path.path.segments.last().filter(|last| last.ident == "Result");
    match last.map(|last| &last.arguments) {
        Some(PathArguments::AngleBracketed(arguments)) => match arguments.args.first() {
            Some(GenericArgument::Type(Type::Tuple(unit))) if unit.elems.is_empty() => Err(Error::new(
                unit.span(),
                "a handler returns a struct with `#[derive(Output)]`; `struct Done {}` will do",
            )),
            Some(GenericArgument::Type(output)) => Ok(output.clone()),
            _ => Err(Error::new_spanned(ty, RETURNS)),
        },
        _ => Err(Error::new_spanned(ty, RETURNS)),
    }
}

/// `T` of `impl Stream<Item = T>` or `BoxStream<'_, T>`.
fn stream_item(ty: &Type) -> Option<&Type> {
    match ty {
        Type::ImplTrait(bounds) => bounds.bounds.iter().find_map(|bound| match bound {
            TypeParamBound::Trait(bound) => {
                let last = bound.path.segments.last().filter(|last| last.ident == "Stream")?;
                associated(&last.arguments, "Item")
            }
            _ => None,
        }),
        Type::Path(path) => {
            let last = path.path.segments.last().filter(|last| last.ident == "BoxStream")?;
            let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
            arguments.args.iter().find_map(|argument| match argument {
                GenericArgument::Type(item) => Some(item),
                _ => None,
            })
        }
        _ => None,
    }
}

fn associated<'a>(arguments: &'a PathArguments, name: &str) -> Option<&'a Type> {
    let PathArguments::AngleBracketed(arguments) = arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::AssocType(binding) if binding.ident == name => Some(&binding.ty),
        _ => None,
    })
}

/// Whether a type is written as `Name` or `path::Name`.
pub(super) fn is_named(ty: &Type, name: &str) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == name))
}
