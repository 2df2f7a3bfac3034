//! Models of providers, against local servers that speak their interfaces.

mod hugging_face;
mod site;
