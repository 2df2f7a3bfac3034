//! The shadow type that serde and schemars derive on.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};
use syn::{Attribute, Data, DeriveInput, Fields, Result};

use super::{Direction, field};

/// Writes the shadow, the functions its fields need, and the traits of the type itself.
pub(super) fn write(item: &DeriveInput, direction: Direction) -> Result<TokenStream> {
    let name = &item.ident;
    let shadow_name = format_ident!("__{name}Shadow");
    let mut functions = TokenStream::new();
    let mut shadow = item.clone();
    shadow.ident = shadow_name.clone();
    shadow.vis = syn::Visibility::Inherited;
    shadow.attrs = kept(&item.attrs);
    match &mut shadow.data {
        Data::Struct(data) => fields(&mut data.fields, "field", direction, &mut functions)?,
        Data::Enum(data) => {
            for variant in &mut data.variants {
                variant.attrs = kept(&variant.attrs);
                fields(&mut variant.fields, &variant.ident.to_string(), direction, &mut functions)?;
            }
        }
        Data::Union(_) => {}
    }
    let remote = name.to_string();
    let derives = match direction {
        Direction::Both => quote!(__gw::serde::Deserialize, __gw::serde::Serialize, __gw::schemars::JsonSchema),
        Direction::Out => quote!(__gw::serde::Serialize, __gw::schemars::JsonSchema),
    };
    let default = container_default(item, &shadow_name);
    let traits = traits(item, &shadow_name, direction);
    Ok(quote! {
        #functions
        #[derive(#derives)]
        #[serde(crate = "::gen_worker::__private::serde", remote = #remote)]
        #[schemars(crate = "::gen_worker::__private::schemars")]
        #shadow
        #default
        #traits
    })
}

fn traits(item: &DeriveInput, shadow: &syn::Ident, direction: Direction) -> TokenStream {
    let name = &item.ident;
    let input = (direction == Direction::Both).then(|| {
        quote! {
            #[automatically_derived]
            impl<'de> serde::Deserialize<'de> for #name {
                fn deserialize<D: serde::Deserializer<'de>>(
                    deserializer: D,
                ) -> ::core::result::Result<Self, D::Error> {
                    #shadow::deserialize(deserializer)
                }
            }
        }
    });
    quote! {
        #input
        #[automatically_derived]
        impl serde::Serialize for #name {
            fn serialize<S: serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                #shadow::serialize(self, serializer)
            }
        }
        #[automatically_derived]
        impl __gw::schemars::JsonSchema for #name {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                <#shadow as __gw::schemars::JsonSchema>::schema_name()
            }
            fn schema_id() -> ::std::borrow::Cow<'static, str> {
                <#shadow as __gw::schemars::JsonSchema>::schema_id()
            }
            fn json_schema(generator: &mut __gw::schemars::SchemaGenerator) -> __gw::schemars::Schema {
                <#shadow as __gw::schemars::JsonSchema>::json_schema(generator)
            }
        }
    }
}

/// `#[serde(default)]` on the whole type makes schemars ask the shadow for its defaults.
fn container_default(item: &DeriveInput, shadow: &syn::Ident) -> Option<TokenStream> {
    let Data::Struct(data) = &item.data else { return None };
    let Fields::Named(fields) = &data.fields else { return None };
    let asked = item.attrs.iter().filter(|attribute| attribute.path().is_ident("serde")).any(|attribute| {
        let mut found = false;
        // A malformed attribute is serde's to report.
        drop(attribute.parse_nested_meta(|meta| {
            found |= meta.path.is_ident("default");
            field::skip_value(&meta)
        }));
        found
    });
    let names: Vec<_> = fields.named.iter().filter_map(|field| field.ident.as_ref()).collect();
    let name = &item.ident;
    asked.then(|| {
        quote! {
            #[automatically_derived]
            impl ::core::default::Default for #shadow {
                fn default() -> Self {
                    let #name { #(#names),* } = ::core::default::Default::default();
                    Self { #(#names),* }
                }
            }
        }
    })
}

fn fields(fields: &mut Fields, prefix: &str, direction: Direction, functions: &mut TokenStream) -> Result<()> {
    for (index, entry) in fields.iter_mut().enumerate() {
        let tag = match &entry.ident {
            Some(ident) => format!("{prefix}_{}", ident.to_string().trim_start_matches("r#")),
            None => format!("{prefix}_{index}"),
        };
        let field::Expansion { attributes, functions: own } = field::expand(entry, &tag, direction)?;
        entry.attrs = kept(&entry.attrs);
        entry.attrs.extend(attributes);
        own.to_tokens(functions);
    }
    Ok(())
}

/// Attributes that mean something to serde, schemars or the compiler's view of the shadow.
fn kept(attributes: &[Attribute]) -> Vec<Attribute> {
    let is_kept = |attribute: &&Attribute| {
        ["serde", "schemars", "doc", "cfg", "deprecated"].iter().any(|name| attribute.path().is_ident(name))
    };
    attributes.iter().filter(is_kept).cloned().collect()
}
