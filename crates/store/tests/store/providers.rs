//! Models of providers, against local servers that speak their interfaces.

mod civitai;
mod hugging_face;
#[cfg(feature = "modelscope")]
mod model_scope;
mod site;
mod world;
