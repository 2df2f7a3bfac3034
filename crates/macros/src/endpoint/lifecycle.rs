//! Setup, warm-up and shutdown of an endpoint type.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{Error, FnArg, Ident, Result, ReturnType, Signature, Type};

use super::{
    on_type::Role,
    signature::{is_named, plain, slot},
};
use crate::placed::placed;

/// The lifecycle functions of one type.
#[derive(Default)]
pub(super) struct Lifecycle {
    setup: Option<Setup>,
    warmup: Option<Hook>,
    shutdown: Option<Hook>,
}

struct Setup {
    name: Ident,
    is_async: bool,
    parameters: Vec<Parameter>,
}

struct Parameter {
    /// The slot it takes; none when it takes all.
    slot: Option<Ident>,
    ty: Type,
}

struct Hook {
    name: Ident,
    is_async: bool,
    by_value: bool,
}

impl Lifecycle {
    pub(super) fn add(&mut self, role: Role, signature: &Signature) -> Result<()> {
        plain(signature)?;
        let is_second = match role {
            Role::Setup => self.setup.replace(Setup::parse(signature)?).is_some(),
            Role::Warmup => self.warmup.replace(Hook::parse(signature, false)?).is_some(),
            Role::Shutdown => self.shutdown.replace(Hook::parse(signature, true)?).is_some(),
            Role::Handler => false,
        };
        if is_second {
            return Err(Error::new(signature.ident.span(), "a type has one function of this role"));
        }
        Ok(())
    }

    /// An expression of type `LifecycleDecl`.
    pub(super) fn decl(&self, this: &Type) -> TokenStream {
        let declared = self.setup.is_some();
        let parameters = self.setup.iter().flat_map(|setup| &setup.parameters).map(|parameter| {
            match parameter.slot.as_ref().map(ToString::to_string) {
                Some(name) => quote!(__gw::SetupParameter::Slot(#name)),
                None => quote!(__gw::SetupParameter::All),
            }
        });
        let setup = match &self.setup {
            Some(setup) => setup.function(this),
            None => by_default(this),
        };
        let warmup = hook(self.warmup.as_ref(), this);
        let shutdown = hook(self.shutdown.as_ref(), this);
        quote! {
            __gw::LifecycleDecl {
                parameters: ::std::vec![#(#parameters),*],
                declared_setup: #declared,
                setup: #setup,
                warmup: #warmup,
                shutdown: #shutdown,
            }
        }
    }
}

impl Setup {
    fn parse(signature: &Signature) -> Result<Self> {
        if let Some(FnArg::Receiver(this)) = signature.inputs.first() {
            return Err(Error::new_spanned(
                this,
                "setup makes the instance: it takes model slots and returns `Result<Self>`",
            ));
        }
        let parameters = signature.inputs.iter().map(|input| match slot(input) {
            Ok((_, ty)) if is_named(&ty, "Slots") => Ok(Parameter { slot: None, ty }),
            Ok((name, ty)) => Ok(Parameter { slot: Some(name), ty }),
            Err(error) => Err(error),
        });
        let returns_something = matches!(signature.output, ReturnType::Type(..));
        if !returns_something {
            return Err(Error::new(signature.ident.span(), "setup returns `Result<Self>`"));
        }
        let parameters = parameters.collect::<Result<_>>()?;
        Ok(Self { name: signature.ident.clone(), is_async: signature.asyncness.is_some(), parameters })
    }

    /// A function from slots to the work that makes an instance.
    fn function(&self, this: &Type) -> TokenStream {
        let Self { name, is_async, parameters } = self;
        let variables: Vec<Ident> = (0..parameters.len()).map(|index| format_ident!("parameter_{index}")).collect();
        let loads = parameters.iter().zip(&variables).map(|(Parameter { slot, ty }, variable)| {
            let Some(slot) = slot.as_ref().map(ToString::to_string) else {
                return quote! { let #variable = ::core::clone::Clone::clone(&slots); };
            };
            let load = if *is_async { quote!(load::<#ty>(#slot).await?) } else { quote!(load_blocking::<#ty>(#slot)?) };
            quote_spanned! { placed(ty)=> let #variable = slots.#load; }
        });
        let invoke = quote_spanned!(placed(&name)=> <#this>::#name(#(#variables),*));
        let wrap = quote! { ::core::result::Result::Ok(::std::sync::Arc::new(instance?) as __gw::InstanceValue) };
        let work = if *is_async {
            quote! {
                __gw::Work::Async(::std::boxed::Box::pin(async move {
                    #(#loads)*
                    let instance: __gw::Result<#this> = #invoke.await;
                    #wrap
                }))
            }
        } else {
            quote! {
                __gw::Work::Blocking(::std::boxed::Box::new(move || {
                    #(#loads)*
                    let instance: __gw::Result<#this> = #invoke;
                    #wrap
                }))
            }
        };
        quote! {
            ::std::sync::Arc::new(|slots: __gw::Slots| -> __gw::Work<__gw::InstanceValue> {
                let _ = &slots;
                #work
            })
        }
    }
}

/// The instance of a type without setup.
fn by_default(this: &Type) -> TokenStream {
    let default = quote_spanned!(placed(&this)=> <#this as ::core::default::Default>::default());
    quote! {
        ::std::sync::Arc::new(|_: __gw::Slots| -> __gw::Work<__gw::InstanceValue> {
            __gw::Work::Blocking(::std::boxed::Box::new(|| {
                ::core::result::Result::Ok(::std::sync::Arc::new(#default) as __gw::InstanceValue)
            }))
        })
    }
}

impl Hook {
    fn parse(signature: &Signature, may_consume: bool) -> Result<Self> {
        let receiver = match signature.inputs.first() {
            Some(FnArg::Receiver(this)) if signature.inputs.len() == 1 && this.colon_token.is_none() => this,
            _ => return Err(Error::new(signature.paren_token.span.join(), "this takes `&self` and nothing else")),
        };
        let by_value = receiver.reference.is_none();
        let exclusive = receiver.reference.is_some() && receiver.mutability.is_some();
        if exclusive || (by_value && !may_consume) {
            return Err(Error::new_spanned(receiver, "this takes `&self`"));
        }
        Ok(Self { name: signature.ident.clone(), is_async: signature.asyncness.is_some(), by_value })
    }
}

fn hook(hook: Option<&Hook>, this: &Type) -> TokenStream {
    let Some(Hook { name, is_async, by_value }) = hook else {
        return quote!(::core::option::Option::None);
    };
    let take = if *by_value {
        quote! { let instance = __gw::owned_instance::<#this>(value)?; }
    } else {
        quote! { let instance = __gw::shared_instance::<#this>(value)?; }
    };
    let receiver = if *by_value { quote!(instance) } else { quote!(&*instance) };
    let invoke = quote_spanned!(placed(&name)=> <#this>::#name(#receiver));
    let work = if *is_async {
        quote! {
            __gw::Work::Async(::std::boxed::Box::pin(async move {
                #take
                __gw::HookOutcome::outcome(#invoke.await)
            }))
        }
    } else {
        quote! {
            __gw::Work::Blocking(::std::boxed::Box::new(move || {
                #take
                __gw::HookOutcome::outcome(#invoke)
            }))
        }
    };
    quote! {
        ::core::option::Option::Some(::std::sync::Arc::new(|value: __gw::InstanceValue| -> __gw::Work<()> { #work }))
    }
}
