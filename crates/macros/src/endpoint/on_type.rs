//! `#[endpoint]` on the `impl` block of a type.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Attribute, Error, ImplItem, ImplItemFn, ItemImpl, Meta, Result, Type};

use super::{arguments::Arguments, call, lifecycle::Lifecycle, on_function::no_producer_stream, signature::Handler};
use crate::placed::placed;

/// What a method of an endpoint type is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Setup,
    Warmup,
    Shutdown,
    Handler,
}

pub(super) fn expand(arguments: Arguments, mut block: ItemImpl) -> Result<TokenStream> {
    if let Some(name) = &arguments.name {
        return Err(Error::new(name.span(), "handlers of a type are named by their methods"));
    }
    if let Some((_, path, _)) = &block.trait_ {
        return Err(Error::new_spanned(path, "`#[endpoint]` goes on an inherent `impl` block"));
    }
    if let Some(generic) = block.generics.params.first() {
        return Err(Error::new_spanned(generic, "an endpoint type cannot be generic"));
    }
    let this = (*block.self_ty).clone();
    let mut handlers = Vec::new();
    let mut lifecycle = Lifecycle::default();
    for item in &mut block.items {
        let ImplItem::Fn(method) = item else { continue };
        match take_role(method)? {
            Some(Role::Handler) => {
                let handler = Handler::parse(&method.sig, true)?;
                no_producer_stream(&arguments, &handler)?;
                handlers.push(handler);
            }
            Some(role) => lifecycle.add(role, &method.sig)?,
            None => {}
        }
    }
    if handlers.is_empty() {
        return Err(Error::new_spanned(&this, "an endpoint type needs at least one `#[handler]`"));
    }
    let handlers = handlers.iter().map(|handler| call::handler_decl(handler, Some(&this), None));
    let lifecycle = lifecycle.decl(&this);
    let name = type_name(&this)?;
    let movable = arguments.movable.as_ref().map(|flag| {
        let instance = quote_spanned!(placed(flag)=> __gw::movable_instance::<#this>);
        quote! { decl.movable = ::core::option::Option::Some(#instance); }
    });
    let apply = arguments.apply();
    Ok(quote! {
        #block
        const _: () = {
            use ::gen_worker::__private as __gw;
            fn __endpoint() -> __gw::EndpointDecl {
                let mut decl = __gw::EndpointDecl::of_type(::core::module_path!(), #name, #lifecycle);
                #( decl.handlers.push(#handlers); )*
                #movable
                #apply
                decl
            }
            __gw::inventory::submit! { __gw::Linked(__endpoint) }
        };
    })
}

/// Takes the marker off a method.
fn take_role(method: &mut ImplItemFn) -> Result<Option<Role>> {
    let mut found = None;
    let mut twice = None;
    method.attrs.retain(|attribute| match role(attribute) {
        Some(role) => {
            if found.replace(role).is_some() {
                twice = Some(Error::new_spanned(attribute, "a method has one role"));
            }
            if !matches!(attribute.meta, Meta::Path(_)) {
                twice = Some(Error::new_spanned(attribute, "this marker takes no arguments"));
            }
            false
        }
        None => true,
    });
    twice.map_or(Ok(found), Err)
}

fn role(attribute: &Attribute) -> Option<Role> {
    let roles =
        [("setup", Role::Setup), ("warmup", Role::Warmup), ("shutdown", Role::Shutdown), ("handler", Role::Handler)];
    roles.into_iter().find(|(name, _)| attribute.path().is_ident(name)).map(|(_, role)| role)
}

fn type_name(this: &Type) -> Result<String> {
    match this {
        Type::Path(path) if path.qself.is_none() => {
            path.path.segments.last().map(|last| last.ident.to_string()).ok_or_else(|| not_a_type(this))
        }
        _ => Err(not_a_type(this)),
    }
}

fn not_a_type(this: &Type) -> Error {
    Error::new_spanned(this, "an endpoint type is a struct or an enum of this crate")
}
