//! The code that decodes a payload, calls the handler and encodes what it returns.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{Ident, LitStr, Type};

use super::signature::{Handler, Mode, Passing};
use crate::placed::placed;

/// An expression of type `HandlerDecl`. `this` is the type whose method it is, if it is one.
pub(super) fn handler_decl(handler: &Handler, this: Option<&Type>, name: Option<&LitStr>) -> TokenStream {
    let Handler { payload, output, mode, slots, .. } = handler;
    let method = handler.name.to_string();
    let name = match name {
        Some(name) => quote!(::core::option::Option::Some(#name)),
        None => quote!(::core::option::Option::None),
    };
    let shape = if *mode == Mode::Stream { quote!(Incremental) } else { quote!(Single) };
    let blocking = *mode == Mode::Blocking;
    let slot_names = slots.iter().map(|(name, _)| name.to_string());
    // Spanned, so that a type which is no payload or no output is what the compiler points at.
    let payload_decl = quote_spanned!(placed(&payload)=> <#payload as __gw::Payload>::type_decl());
    let output_trait = if *mode == Mode::Stream { quote!(StreamItem) } else { quote!(Output) };
    let output_check = quote_spanned!(placed(&output)=> __gw::#output_trait);
    let output_decl = quote_spanned!(placed(&output)=> <#output as __gw::Output>::type_decl());
    let call = call(handler, this);
    quote! {
        {
            fn __returns<T: #output_check>() {}
            __returns::<#output>();
            __gw::HandlerDecl {
                method: #method,
                name: #name,
                payload: #payload_decl,
                output: #output_decl,
                shape: __gw::OutputShape::#shape,
                blocking: #blocking,
                slots: ::std::vec![#(#slot_names),*],
                call: ::std::sync::Arc::new(#call),
            }
        }
    }
}

/// A closure from `Call` to `Result<Invocation>`.
fn call(handler: &Handler, this: Option<&Type>) -> TokenStream {
    let Handler { payload, output, mode, slots, .. } = handler;
    let name = &handler.name;
    let borrow = this.map(|this| quote! { let instance = call.borrow_instance::<#this>()?; });
    let slot_variables: Vec<Ident> = slots.iter().map(|(name, _)| format_ident!("slot_{name}")).collect();
    let take_slots = slots.iter().zip(&slot_variables).map(|((slot, ty), variable)| {
        let slot = slot.to_string();
        quote_spanned!(placed(&ty)=> let #variable = call.slot::<#ty>(#slot)?;)
    });
    let path = match this {
        Some(this) => quote!(<#this>::#name),
        None => quote!(#name),
    };
    let receiver = this.map(|_| quote!(&*instance,));
    let context = match handler.context {
        Passing::Borrowed => quote!(&context),
        Passing::Owned => quote!(__gw::RequestContext::clone(&context)),
    };
    let invoke = quote_spanned!(placed(&name)=> #path(#receiver #context, payload, #(#slot_variables),*));
    let result = quote_spanned!(placed(&output)=> __gw::Result<#output>);
    let work = match mode {
        Mode::Async => quote! {
            __gw::Invocation::Async(::std::boxed::Box::pin(async move {
                let outcome: #result = #invoke.await;
                __gw::encode(&outcome?)
            }))
        },
        Mode::Blocking => quote! {
            __gw::Invocation::Blocking(::std::boxed::Box::new(move || {
                let outcome: #result = #invoke;
                __gw::encode(&outcome?)
            }))
        },
        Mode::Stream => quote! {
            __gw::Invocation::Stream(::std::boxed::Box::pin(__gw::stream! {
                let mut framer = __gw::Framer::new(__gw::RequestContext::clone(&context), caller);
                let mut items = ::core::pin::pin!(#invoke);
                loop {
                    let item: ::core::option::Option<#result> = __gw::StreamExt::next(&mut items).await;
                    match framer.step(item) {
                        __gw::Step::Chunk(frame) => yield ::core::result::Result::Ok(frame),
                        __gw::Step::Last(last) => {
                            yield last;
                            break;
                        }
                    }
                }
            }))
        },
    };
    let caller = (*mode == Mode::Stream).then(|| quote! { let caller = call.caller; });
    quote! {
        |call: __gw::Call| -> __gw::Result<__gw::Invocation> {
            let payload = call.decode::<#payload>()?;
            #borrow
            #(#take_slots)*
            #caller
            let context = call.context;
            ::core::result::Result::Ok(#work)
        }
    }
}
