//! What stands between the parentheses of `#[endpoint(..)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    Error, Expr, ExprLit, Ident, Lit, LitStr, Result, Token, parenthesized,
    parse::{Parse, ParseStream},
};

const KINDS: [(&str, &str); 4] =
    [("inference", "Inference"), ("conversion", "Conversion"), ("training", "Training"), ("dataset", "Dataset")];

/// The arguments, as far as syntax decides them.
#[derive(Default)]
pub(super) struct Arguments {
    pub(super) name: Option<LitStr>,
    pub(super) kind: Option<LitStr>,
    model: Option<(Ident, Expr)>,
    slots: Option<(Ident, Vec<(Ident, Expr)>)>,
    resources: Option<Resources>,
    timeout: Option<TokenStream>,
    /// Handlers run in processes of their own.
    isolated: bool,
    /// Instances can move between devices.
    pub(super) movable: Option<Ident>,
}

#[derive(Default)]
struct Resources {
    gpu: Option<Expr>,
    vram_gb: Option<Expr>,
    compute_capability: Option<Expr>,
    libraries: Vec<LitStr>,
    max_concurrency: Option<Expr>,
    offload: Option<Expr>,
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut arguments = Self::default();
        let mut seen: Vec<Ident> = Vec::new();
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            if seen.contains(&key) {
                return Err(Error::new(key.span(), format!("`{key}` is given twice")));
            }
            arguments.argument(&key, input)?;
            seen.push(key);
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        if let (Some((key, _)), Some(_)) = (&arguments.model, &arguments.slots) {
            return Err(Error::new(key.span(), "write either `model = ..` or `slots(..)`"));
        }
        Ok(arguments)
    }
}

impl Arguments {
    fn argument(&mut self, key: &Ident, input: ParseStream<'_>) -> Result<()> {
        match key.to_string().as_str() {
            "name" => self.name = Some(value(input)?),
            "kind" => self.kind = Some(known_kind(value(input)?)?),
            "model" => self.model = Some((key.clone(), value(input)?)),
            "slots" => {
                let inside;
                parenthesized!(inside in input);
                self.slots = Some((key.clone(), slots(&inside)?));
            }
            "resources" => {
                let inside;
                parenthesized!(inside in input);
                self.resources = Some(inside.parse()?);
            }
            "timeout" => self.timeout = Some(timeout(&value(input)?)?),
            "movable" => self.movable = Some(key.clone()),
            "isolation" => self.isolated = isolation(&value(input)?)?,
            _ => {
                let known = "name, kind, model, slots, resources, timeout, isolation, movable";
                return Err(Error::new(key.span(), format!("unknown argument `{key}`: one of {known}")));
            }
        }
        Ok(())
    }

    /// Whether functions of this kind may not stream.
    pub(super) fn is_producer(&self) -> bool {
        self.kind.as_ref().is_some_and(|kind| kind.value() != "inference")
    }

    /// Statements that put the arguments into `decl`.
    pub(super) fn apply(&self) -> TokenStream {
        let kind = self.kind.as_ref().map(|kind| {
            let name = kind.value();
            let variant = KINDS.iter().find(|(known, _)| *known == name).map_or("Inference", |(_, variant)| variant);
            let variant = Ident::new(variant, kind.span());
            quote! { decl.kind = __gw::Kind::#variant; }
        });
        let model = self.model.as_ref().map(|(_, binding)| quote! { decl.slots = decl.slots.model(#binding); });
        let slots = self.slots.iter().flat_map(|(_, slots)| slots).map(|(name, binding)| {
            let name = name.to_string();
            quote! { decl.slots = decl.slots.slot(#name, #binding); }
        });
        let resources = self.resources.as_ref().map(Resources::apply);
        let timeout =
            self.timeout.as_ref().map(|limit| quote! { decl.timeout = ::core::option::Option::Some(#limit); });
        let isolation = self.isolated.then(|| quote! { decl.isolation = __gw::Isolation::Process; });
        quote! { #kind #model #(#slots)* #resources #timeout #isolation }
    }
}

fn value<T: Parse>(input: ParseStream<'_>) -> Result<T> {
    input.parse::<Token![=]>()?;
    input.parse()
}

fn known_kind(kind: LitStr) -> Result<LitStr> {
    let name = kind.value();
    if KINDS.iter().any(|(known, _)| *known == name) {
        return Ok(kind);
    }
    let message = format!("unknown kind {name:?}: one of inference, conversion, training, dataset");
    Err(Error::new(kind.span(), message))
}

fn slots(input: ParseStream<'_>) -> Result<Vec<(Ident, Expr)>> {
    let mut slots: Vec<(Ident, Expr)> = Vec::new();
    while !input.is_empty() {
        let name: Ident = input.parse()?;
        if slots.iter().any(|(other, _)| *other == name) {
            return Err(Error::new(name.span(), format!("slot `{name}` is declared twice")));
        }
        slots.push((name, value(input)?));
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
        }
    }
    Ok(slots)
}

/// Whether handlers run in processes of their own.
fn isolation(value: &LitStr) -> Result<bool> {
    match value.value().as_str() {
        "process" => Ok(true),
        "shared" => Ok(false),
        other => Err(Error::new(value.span(), format!("unknown isolation {other:?}: one of shared, process"))),
    }
}

/// `"30s"`, or an expression of type `Duration`.
fn timeout(value: &Expr) -> Result<TokenStream> {
    let Expr::Lit(ExprLit { lit, .. }) = value else {
        return Ok(quote!(#value));
    };
    let wrong = || Error::new(lit.span(), "a time limit is text such as \"500ms\", \"30s\", \"5m\" or \"2h\"");
    let Lit::Str(text) = lit else { return Err(wrong()) };
    let text = text.value();
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(unit_at);
    let factor: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    let millis = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(wrong)?;
    if millis == 0 {
        return Err(Error::new(lit.span(), "a time limit of zero ends every call at once"));
    }
    Ok(quote!(::core::time::Duration::from_millis(#millis)))
}

impl Parse for Resources {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut resources = Self::default();
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            match key.to_string().as_str() {
                "gpu" if input.peek(Token![=]) => resources.gpu = Some(value(input)?),
                "gpu" => resources.gpu = Some(syn::parse_quote!(true)),
                "offload" => resources.offload = Some(syn::parse_quote!(true)),
                "vram_gb" => resources.vram_gb = Some(value(input)?),
                "compute_capability" => resources.compute_capability = Some(value(input)?),
                "max_concurrency" => resources.max_concurrency = Some(value(input)?),
                "libraries" => {
                    let inside;
                    parenthesized!(inside in input);
                    let names = inside.parse_terminated(<LitStr as Parse>::parse, Token![,])?;
                    resources.libraries = names.into_iter().collect();
                }
                _ => {
                    let known = "gpu, vram_gb, compute_capability, libraries, max_concurrency, offload";
                    return Err(Error::new(key.span(), format!("unknown resource `{key}`: one of {known}")));
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(resources)
    }
}

impl Resources {
    fn apply(&self) -> TokenStream {
        let Self { gpu, vram_gb, compute_capability, libraries, max_concurrency, offload } = self;
        let offload = offload.as_ref().map(|offload| quote! { decl.resources.offload = #offload; });
        let gpu = gpu.as_ref().map(|gpu| quote! { decl.resources.gpu = #gpu; });
        let optional = |name: &str, value: &Option<Expr>| {
            let name = Ident::new(name, proc_macro2::Span::call_site());
            value.as_ref().map(|value| quote! { decl.resources.#name = ::core::option::Option::Some(#value); })
        };
        let vram_gb = optional("vram_gb", vram_gb);
        let compute_capability = optional("compute_capability", compute_capability);
        let max_concurrency = optional("max_concurrency", max_concurrency);
        quote! {
            #gpu #vram_gb #compute_capability #max_concurrency #offload
            #( decl.resources.libraries.push(::std::string::String::from(#libraries)); )*
        }
    }
}
