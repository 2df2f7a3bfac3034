//! `#[endpoint]` on a function.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, ItemFn, Result};

use super::{
    arguments::Arguments,
    call,
    signature::{Handler, Mode},
};

pub(super) fn expand(arguments: Arguments, function: ItemFn) -> Result<TokenStream> {
    let handler = Handler::parse(&function.sig, false)?;
    if let Some(flag) = &arguments.movable {
        return Err(Error::new(flag.span(), "only a type can move: it implements `Movable`"));
    }
    no_producer_stream(&arguments, &handler)?;
    let decl = call::handler_decl(&handler, None, arguments.name.as_ref());
    let apply = arguments.apply();
    Ok(quote! {
        #function
        const _: () = {
            use ::gen_worker::__private as __gw;
            fn __endpoint() -> __gw::EndpointDecl {
                let mut decl = __gw::EndpointDecl::function(::core::module_path!(), #decl);
                #apply
                decl
            }
            __gw::inventory::submit! { __gw::Linked(__endpoint) }
        };
    })
}

pub(super) fn no_producer_stream(arguments: &Arguments, handler: &Handler) -> Result<()> {
    if arguments.is_producer() && handler.mode == Mode::Stream {
        return Err(Error::new(handler.name.span(), "only inference handlers may stream"));
    }
    Ok(())
}
